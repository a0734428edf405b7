//! The network: one thread that keeps every physical link up and configured.
//!
//! Owns the DHCP sockets, the netlink connection and `/run/aleph/resolv.conf`. It tells others
//! through [`Network::status`] and wakes the main loop over an eventfd; nobody waits for it.
//! IPv6 addresses come from router advertisements, which the kernel handles (SLAAC), and from
//! DHCPv6 where routers ask for it.

mod dhcp4_client;
mod dhcp4_packet;
mod dhcp6;
mod dhcp6_link;
mod links;
pub(crate) mod netlink;

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    rand::{GetRandomFlags, getrandom},
    time::Timespec,
};

use crate::{
    config::{NetworkConfig, Prefix},
    console::say,
    error::Result,
};
use dhcp4_client::{Action, Client, Lease};
use dhcp6_link::Dhcp6;
use links::Link;
use netlink::{Announcement, Monitor, Netlink, Route, RouterDns};

/// What `/etc/resolv.conf` of the image points to.
pub(crate) const RESOLV_CONF: &str = "/run/aleph/resolv.conf";

/// A static route wins over one by DHCP, and that over the kernel's by router advertisement.
const METRIC_STATIC: u32 = 512;
const METRIC_DHCP: u32 = 768;

/// musl and glibc read no more name servers than this.
const DNS_SERVERS_MAX: usize = 3;

/// Even without any event the links are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// What is known about the network right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkStatus {
    /// Addresses that others can reach us at, with the link's name.
    pub addresses: Vec<(String, IpAddr)>,
    /// Physical links that are there.
    pub links: Vec<String>,
    /// Name servers in use.
    pub dns: Vec<IpAddr>,
    /// Time servers that DHCP offered.
    pub ntp: Vec<Ipv4Addr>,
}

impl NetworkStatus {
    /// Whether there is an IPv4 address: DHCP takes a little longer than SLAAC.
    pub(crate) fn has_ipv4(&self) -> bool {
        self.addresses.iter().any(|(_, address)| address.is_ipv4())
    }

    /// Whether there is any address.
    pub(crate) fn is_online(&self) -> bool {
        !self.addresses.is_empty()
    }
}

/// The handle of the thread.
#[derive(Clone)]
pub(crate) struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    status: Mutex<NetworkStatus>,
    changed: Condvar,
    wake: OwnedFd,
}

impl Network {
    /// Starts the thread.
    pub(crate) fn start(config: NetworkConfig, hostname: Option<String>) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            status: Mutex::new(NetworkStatus::default()),
            changed: Condvar::new(),
            wake,
        });
        let network = Self { shared: Arc::clone(&shared) };
        std::thread::Builder::new().name("network".to_owned()).spawn(move || {
            if let Err(error) = Worker::open(config, hostname, shared).and_then(Worker::run) {
                say!("{error}; the network stays as it is until the next restart");
            }
        })?;
        Ok(network)
    }

    /// What is known now.
    pub(crate) fn status(&self) -> NetworkStatus {
        self.shared.lock().clone()
    }

    /// Waits until the status is as wanted.
    pub(crate) fn wait_until(&self, wanted: impl Fn(&NetworkStatus) -> bool) -> NetworkStatus {
        let status = self.shared.lock();
        let reached = self.shared.changed.wait_while(status, |status| !wanted(status));
        reached.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Readable after every change, until [`Network::acknowledge`].
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// Makes the descriptor quiet again.
    pub(crate) fn acknowledge(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.shared.wake, &mut count);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, NetworkStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, status: NetworkStatus) {
        let mut current = self.lock();
        if *current != status {
            *current = status;
            self.changed.notify_all();
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }
}

/// Brings every physical link up or down, for the debug console.
pub(crate) fn set_links_up(up: bool) -> Result<()> {
    let mut netlink = Netlink::open()?;
    links::physical(Path::new("/sys/class/net"))
        .iter()
        .try_for_each(|link| netlink.set_link_up(link.index, up))
}

struct Worker {
    config: NetworkConfig,
    hostname: Option<String>,
    shared: Arc<Shared>,
    netlink: Netlink,
    monitor: Monitor,
    ports: BTreeMap<u32, Port>,
    router_dns: Vec<(Instant, RouterDns)>,
    began: Instant,
}

/// A physical link and what has been done about it.
struct Port {
    link: Link,
    dhcp: Option<(UdpSocket, Client)>,
    lease: Option<Lease>,
    dhcp6: Option<Dhcp6>,
}

impl Worker {
    fn open(config: NetworkConfig, hostname: Option<String>, shared: Arc<Shared>) -> Result<Self> {
        Ok(Self {
            config,
            hostname,
            shared,
            netlink: Netlink::open()?,
            monitor: Monitor::open()?,
            ports: BTreeMap::new(),
            router_dns: Vec::new(),
            began: Instant::now(),
        })
    }

    fn run(mut self) -> Result<()> {
        const LOOPBACK: u32 = 1;
        report(self.netlink.set_link_up(LOOPBACK, true));
        loop {
            let announced = self.monitor.drain();
            self.look_at_links();
            for announcement in announced {
                match announcement {
                    Announcement::Dns(dns) => self.on_router_dns(dns),
                    Announcement::Dhcp6 { link, wanted } => self.on_router_flags(link, wanted),
                }
            }
            self.receive();
            self.on_time();
            self.drive_dhcp6();
            self.publish();
            self.wait();
        }
    }

    fn look_at_links(&mut self) {
        let seen = links::physical(Path::new("/sys/class/net"));
        self.ports.retain(|index, _| seen.iter().any(|link| link.index == *index));
        for link in seen {
            let index = link.index;
            let before = self.ports.get(&index).map(|port| port.link.clone());
            match before {
                None => self.add_port(link),
                Some(before) if before != link => {
                    let has_carrier = link.carrier;
                    let flapped = before.carrier_changes != link.carrier_changes;
                    if let Some(port) = self.ports.get_mut(&index) {
                        port.link = link;
                    }
                    if before.carrier && (flapped || !has_carrier) {
                        self.on_carrier(index, false);
                    }
                    if has_carrier && (flapped || !before.carrier) {
                        self.on_carrier(index, true);
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn add_port(&mut self, link: Link) {
        let index = link.index;
        accept_router_advertisements(&link.name);
        let dhcp = self.config.wants_dhcp().then(|| dhcp_socket(&link.name)).and_then(|socket| {
            let client = Client::new(link.mac, self.hostname.clone(), random(link.mac));
            match socket {
                Ok(socket) => Some((socket, client)),
                Err(error) => {
                    say!("network: {}: no DHCP: {error}", link.name);
                    None
                }
            }
        });
        let has_carrier = link.carrier;
        self.ports.insert(index, Port { link, dhcp, lease: None, dhcp6: None });
        report(self.netlink.set_link_up(index, true));
        if has_carrier {
            self.on_carrier(index, true);
        }
    }

    fn on_carrier(&mut self, index: u32, has_carrier: bool) {
        let now = self.began.elapsed();
        let Some(port) = self.ports.get_mut(&index) else { return };
        say!("network: {}: link {}", port.link.name, if has_carrier { "up" } else { "down" });
        let mut actions = Vec::new();
        if let Some((_, client)) = &mut port.dhcp {
            if has_carrier {
                actions = client.on_carrier_up(now);
            } else {
                client.on_carrier_down(now);
            }
        }
        if has_carrier {
            self.configure_static(index);
        }
        self.act(index, actions);
        self.on_carrier_for_dhcp6(index, has_carrier);
    }

    /// Again after every carrier loss: the kernel forgets routes and IPv6 addresses then.
    fn configure_static(&mut self, index: u32) {
        if self.config.addresses.is_empty() || self.static_port() != Some(index) {
            return;
        }
        for &address in &self.config.addresses {
            report(self.netlink.add_address(index, address));
        }
        let default = |via: &IpAddr| {
            let any = if via.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
            (Prefix { address: any, length: 0 }, *via)
        };
        let defaults = self.config.gateways.iter().map(default);
        let routes = self.config.routes.iter().map(|route| (route.to, route.via));
        for (to, via) in defaults.chain(routes) {
            let on_link = !self.config.addresses.iter().any(|&prefix| contains(prefix, via));
            let route = Route { to, via, link: index, metric: METRIC_STATIC, on_link };
            report(self.netlink.add_route(route));
        }
    }

    /// Which link the static addresses are for. Ambiguity is said, not guessed about.
    fn static_port(&self) -> Option<u32> {
        match &self.config.interface {
            Some(selector) => self
                .ports
                .values()
                .find(|port| selector.matches(&port.link.name, port.link.mac))
                .map(|port| port.link.index),
            None if self.ports.len() == 1 => self.ports.keys().next().copied(),
            None => {
                say!(
                    "network: {} links: say which one the addresses are for, by \
                     machine.network.interface",
                    self.ports.len()
                );
                None
            }
        }
    }

    fn receive(&mut self) {
        let now = self.began.elapsed();
        let mut packet = [0; dhcp4_packet::PACKET_BYTES_MAX];
        let mut pending = Vec::new();
        for (&index, port) in &mut self.ports {
            let Some((socket, client)) = &mut port.dhcp else { continue };
            while let Ok(length) = socket.recv(&mut packet) {
                pending.push((index, client.on_packet(now, &packet[..length])));
            }
        }
        for (index, actions) in pending {
            self.act(index, actions);
        }
    }

    fn on_time(&mut self) {
        let now = self.began.elapsed();
        let due = |(&index, port): (&u32, &mut Port)| {
            port.dhcp.as_mut().map(|(_, client)| (index, client.on_time(now)))
        };
        let pending: Vec<_> = self.ports.iter_mut().filter_map(due).collect();
        for (index, actions) in pending {
            self.act(index, actions);
        }
        let instant = Instant::now();
        self.router_dns.retain(|(expires, _)| *expires > instant);
    }

    fn act(&mut self, index: u32, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { packet, to } => self.send(index, &packet, to),
                Action::Configure(lease) => self.configure(index, lease),
                Action::Deconfigure(lease) => {
                    report(self.netlink.remove_address(index, prefix_of(&lease)));
                    if let Some(port) = self.ports.get_mut(&index) {
                        say!("network: {}: {} given up", port.link.name, lease.address);
                        port.lease = None;
                    }
                }
                Action::Refused { server, pause } => self.say_refused(index, server, pause),
            }
        }
    }

    fn say_refused(&self, index: u32, server: Option<Ipv4Addr>, pause: Duration) {
        let Some(Port { link, .. }) = self.ports.get(&index) else { return };
        let server = server.map_or_else(String::new, |server| format!(" {server}"));
        say!(
            "network: {}: the DHCP server{server} gives {} no address, asking again in {} s: \
             make room for it there, or set machine.network.addresses",
            link.name,
            links::mac_text(link.mac),
            pause.as_secs(),
        );
    }

    fn send(&self, index: u32, packet: &[u8], to: Option<Ipv4Addr>) {
        const SERVER_PORT: u16 = 67;
        let Some((socket, _)) = self.ports.get(&index).and_then(|port| port.dhcp.as_ref()) else {
            return;
        };
        let to = SocketAddrV4::new(to.unwrap_or(Ipv4Addr::BROADCAST), SERVER_PORT);
        // The client repeats what got lost, for whatever reason.
        let _ = socket.send_to(packet, to);
    }

    fn configure(&mut self, index: u32, lease: Lease) {
        let prefix = prefix_of(&lease);
        report(self.netlink.add_address(index, prefix));
        if let Some(mtu) = lease.mtu.filter(|mtu| *mtu >= 1280) {
            report(self.netlink.set_mtu(index, mtu));
        }
        for &(destination, length, via) in &lease.routes {
            let to = Prefix { address: destination.into(), length };
            let via = IpAddr::from(via);
            let on_link = !via.is_unspecified() && !contains(prefix, via);
            let metric = METRIC_DHCP + index;
            report(self.netlink.add_route(Route { to, via, link: index, metric, on_link }));
        }
        let Some(port) = self.ports.get_mut(&index) else { return };
        if port.lease.as_ref() != Some(&lease) {
            say!("network: {}: {prefix} by DHCP from {}", port.link.name, lease.server);
        }
        port.lease = Some(lease);
    }

    fn on_router_dns(&mut self, announced: RouterDns) {
        self.router_dns.retain(|(_, known)| {
            known.link != announced.link || known.servers != announced.servers
        });
        if announced.lifetime_s > 0 {
            // "For ever" is 0xffffffff; a day will do, routers repeat themselves.
            let lifetime_s = announced.lifetime_s.min(86_400);
            let expires = Instant::now() + Duration::from_secs(lifetime_s.into());
            self.router_dns.push((expires, announced));
        }
    }

    fn publish(&mut self) {
        let status = self.current_status();
        let before = self.shared.lock().clone();
        if before.dns != status.dns
            && let Err(error) = write_resolv_conf(&status.dns)
        {
            say!("network: write {RESOLV_CONF}: {error}");
        }
        // IPv4 addresses are told when they are set; these come by the kernel's own doing.
        for (link, address) in &status.addresses {
            let is_new = !before.addresses.iter().any(|(_, known)| known == address);
            if address.is_ipv6() && is_new {
                say!("network: {link}: {address} is usable");
            }
        }
        self.shared.publish(status);
    }

    fn current_status(&self) -> NetworkStatus {
        let mut status = NetworkStatus::default();
        let mut dns = self.config.dns.clone();
        let has_carrier = |index: u32| self.ports.get(&index).is_some_and(|port| port.link.carrier);
        for (&index, port) in &self.ports {
            status.links.push(port.link.name.clone());
            if !port.link.carrier {
                continue;
            }
            let is_static =
                self.config.interface.as_ref().map_or(self.ports.len() == 1, |wanted| {
                    wanted.matches(&port.link.name, port.link.mac)
                });
            let mut add = |address| status.addresses.push((port.link.name.clone(), address));
            if is_static {
                let ipv4 = self.config.addresses.iter().map(|prefix| prefix.address);
                ipv4.filter(IpAddr::is_ipv4).for_each(&mut add);
            }
            if let Some(lease) = &port.lease {
                add(lease.address.into());
                dns.extend(lease.dns.iter().copied().map(IpAddr::from));
                status.ntp.extend(&lease.ntp);
            }
            if let Some(dhcp6) = &port.dhcp6 {
                dns.extend(dhcp6.configuration.dns.iter().copied().map(IpAddr::from));
            }
            // Static IPv6 addresses, and those by DHCPv6, are in the kernel's table, too.
            let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
            links::global_ipv6(&table)
                .into_iter()
                .filter(|(link, _)| *link == index)
                .for_each(|(_, address)| add(address.into()));
        }
        let announced = self.router_dns.iter().filter(|(_, dns)| has_carrier(dns.link));
        dns.extend(announced.flat_map(|(_, dns)| dns.servers.iter().copied().map(IpAddr::from)));
        status.dns = merge_dns(dns);
        status
    }

    fn wait(&self) {
        let now = self.began.elapsed();
        let deadlines = self.ports.values().flat_map(|port| {
            let ipv4 = port.dhcp.as_ref().and_then(|(_, client)| client.deadline());
            let ipv6 = port.dhcp6.as_ref().and_then(|dhcp6| dhcp6.client.deadline());
            [ipv4, ipv6]
        });
        let next = deadlines.flatten().min();
        let timeout = next
            .map_or(LOOK_INTERVAL, |deadline| deadline.saturating_sub(now))
            .min(LOOK_INTERVAL)
            // A deadline that has just been reached must not become a busy loop.
            .max(Duration::from_millis(10));
        // SAFETY: the monitor outlives this function, and nobody closes its descriptor meanwhile.
        let monitor = unsafe { BorrowedFd::borrow_raw(self.monitor.as_raw_fd()) };
        let mut fds = vec![PollFd::from_borrowed_fd(monitor, PollFlags::IN)];
        for port in self.ports.values() {
            let ipv4 = port.dhcp.as_ref().map(|(socket, _)| socket);
            let ipv6 = port.dhcp6.as_ref().map(|dhcp6| &dhcp6.socket);
            fds.extend(ipv4.into_iter().chain(ipv6).map(|fd| PollFd::new(fd, PollFlags::IN)));
        }
        let _ = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
    }
}

fn prefix_of(lease: &Lease) -> Prefix {
    Prefix { address: lease.address.into(), length: lease.prefix_length }
}

fn contains(network: Prefix, address: IpAddr) -> bool {
    network.address.is_ipv4() == address.is_ipv4()
        && netlink::masked(network) == netlink::masked(Prefix { address, ..network })
}

/// The operator's first, each once, no more than the resolver reads.
fn merge_dns(servers: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut merged = Vec::new();
    for server in servers {
        if !merged.contains(&server) && merged.len() < DNS_SERVERS_MAX {
            merged.push(server);
        }
    }
    merged
}

fn write_resolv_conf(servers: &[IpAddr]) -> io::Result<()> {
    let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    let draft = format!("{RESOLV_CONF}.new");
    fs::write(&draft, text)?;
    fs::rename(draft, RESOLV_CONF)
}

/// 2: also when the agent lets the machine forward packets for its guests.
fn accept_router_advertisements(link: &str) {
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{link}/accept_ra"), "2");
}

/// A UDP socket on one link. It works before the link has an address because answers are asked
/// for as broadcasts.
fn dhcp_socket(link: &str) -> io::Result<UdpSocket> {
    const CLIENT_PORT: u16 = 68;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::Broadcast, &true)?;
    setsockopt(&socket, sockopt::BindToDevice, &link.into())?;
    bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, CLIENT_PORT))?;
    Ok(UdpSocket::from(socket))
}

/// Need not be secret, only different from the neighbour's: never blocks.
fn random(mac: [u8; 6]) -> u32 {
    let mut bytes = [mac[2], mac[3], mac[4], mac[5]];
    let _ = getrandom(&mut bytes, GetRandomFlags::INSECURE);
    u32::from_ne_bytes(bytes)
}

fn report(result: Result<()>) {
    if let Err(error) = result {
        say!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_hosts() {
        let network: Prefix = "192.0.2.9/24".parse().unwrap();
        assert!(contains(network, "192.0.2.1".parse().unwrap()));
        assert!(!contains(network, "192.0.3.1".parse().unwrap()));
        assert!(!contains(network, "::1".parse().unwrap()));
    }

    #[test]
    fn name_servers_are_listed_once_and_the_operators_first() {
        let servers = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.3"];
        let merged = merge_dns(servers.iter().map(|server| server.parse().unwrap()).collect());
        let merged: Vec<_> = merged.iter().map(IpAddr::to_string).collect();
        assert_eq!(merged, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    }
}
