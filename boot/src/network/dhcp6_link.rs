//! DHCPv6 on the worker's links: sockets and what the client's actions mean.

use std::{
    io,
    net::{Ipv6Addr, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt,
};

use super::{
    Worker,
    dhcp4_packet::PACKET_BYTES_MAX,
    dhcp6::{Action, Client, Configuration, SERVERS, Wanted},
    links::mac_text,
    random, report,
};
use crate::{config::Prefix, console::say};

/// A link's DHCPv6, since a router first asked for it.
pub(super) struct Dhcp6 {
    pub(super) socket: UdpSocket,
    pub(super) client: Client,
    pub(super) configuration: Configuration,
    wanted: Wanted,
}

impl Worker {
    /// A router's flags came; they come again with every change of anything about the link.
    pub(super) fn on_router_flags(&mut self, index: u32, wanted: Wanted) {
        let now = self.began.elapsed();
        let Some(port) = self.ports.get_mut(&index) else { return };
        if port.dhcp6.as_ref().map_or(Wanted::default(), |dhcp6| dhcp6.wanted) == wanted {
            return;
        }
        if port.dhcp6.is_none() {
            match open_socket(&port.link.name) {
                Ok(socket) => {
                    let client = Client::new(port.link.mac, random(port.link.mac));
                    let configuration = Configuration::default();
                    port.dhcp6 = Some(Dhcp6 { socket, client, configuration, wanted });
                }
                Err(error) => say!("network: {}: no DHCPv6: {error}", port.link.name),
            }
        }
        let Some(dhcp6) = &mut port.dhcp6 else { return };
        dhcp6.wanted = wanted;
        let actions = dhcp6.client.start(now, wanted);
        self.act_on_dhcp6(index, actions);
    }

    /// The kernel does not repeat a router's flags when a cable comes back.
    pub(super) fn on_carrier_for_dhcp6(&mut self, index: u32, has_carrier: bool) {
        let now = self.began.elapsed();
        let Some(dhcp6) = self.ports.get_mut(&index).and_then(|port| port.dhcp6.as_mut()) else {
            return;
        };
        dhcp6.configuration = Configuration::default();
        if has_carrier {
            let actions = dhcp6.client.start(now, dhcp6.wanted);
            self.act_on_dhcp6(index, actions);
        } else {
            dhcp6.client.stop();
        }
    }

    /// What has come in, and what is due.
    pub(super) fn drive_dhcp6(&mut self) {
        let now = self.began.elapsed();
        let mut packet = [0; PACKET_BYTES_MAX];
        let mut pending = Vec::new();
        for (&index, port) in &mut self.ports {
            let Some(dhcp6) = &mut port.dhcp6 else { continue };
            while let Ok(length) = dhcp6.socket.recv(&mut packet) {
                pending.push((index, dhcp6.client.on_packet(now, &packet[..length])));
            }
            pending.push((index, dhcp6.client.on_time(now)));
        }
        for (index, actions) in pending {
            self.act_on_dhcp6(index, actions);
        }
    }

    fn act_on_dhcp6(&mut self, index: u32, actions: Vec<Action>) {
        const SERVER_PORT: u16 = 547;
        for action in actions {
            let Some(port) = self.ports.get_mut(&index) else { return };
            let Some(dhcp6) = &mut port.dhcp6 else { return };
            match action {
                Action::Send(packet) => {
                    let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, index);
                    // Fails while the link-local address is tentative: the client repeats it.
                    let _ = dhcp6.socket.send_to(&packet, to);
                }
                Action::Configure(configuration) => {
                    if let Some(address) = configuration.address {
                        report(self.netlink.add_address(index, host(address)));
                    }
                    if dhcp6.configuration != configuration {
                        say!("network: {}: configured by DHCPv6", port.link.name);
                        dhcp6.configuration = configuration;
                    }
                }
                Action::Deconfigure(address) => {
                    say!("network: {}: {address} given up", port.link.name);
                    dhcp6.configuration = Configuration::default();
                    report(self.netlink.remove_address(index, host(address)));
                }
                Action::Refused(pause) => say!(
                    "network: {}: the DHCPv6 server gives {} no address, asking again in {} s: \
                     make room for it there, or set machine.network.addresses",
                    port.link.name,
                    mac_text(port.link.mac),
                    pause.as_secs(),
                ),
            }
        }
    }
}

/// Which network an address is in is the router's to say, not the DHCPv6 server's.
fn host(address: Ipv6Addr) -> Prefix {
    Prefix { address: address.into(), length: 128 }
}

fn open_socket(link: &str) -> io::Result<UdpSocket> {
    const CLIENT_PORT: u16 = 546;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    setsockopt(&socket, sockopt::BindToDevice, &link.into())?;
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, 0);
    bind(socket.as_raw_fd(), &SockaddrIn6::from(any))?;
    Ok(UdpSocket::from(socket))
}
