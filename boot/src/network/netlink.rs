//! Talks to the kernel about links, addresses and routes.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    os::fd::AsRawFd,
};

use libc::AF_INET6;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol,
        RouteScope, RouteType,
    },
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::dhcp6::Wanted;
use crate::{
    config::Prefix,
    error::{Error, Result},
};

/// A route to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where to.
    pub to: Prefix,
    /// The next hop; unspecified: directly on the link.
    pub via: IpAddr,
    /// Out of which link.
    pub link: u32,
    /// Lower ones win.
    pub metric: u32,
    /// Whether the next hop is outside the link's own network.
    pub on_link: bool,
}

/// A connection that asks the kernel for changes and waits for its answer.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens one.
    pub(crate) fn open() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(|source| failed("open a netlink socket".to_owned(), source))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Brings a link up or down.
    pub(crate) fn set_link_up(&mut self, link: u32, up: bool) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.ask(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("bring link {link} {}", if up { "up" } else { "down" })
        })
    }

    /// Sets a link's MTU.
    pub(crate) fn set_mtu(&mut self, link: u32, mtu: u16) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.attributes.push(LinkAttribute::Mtu(mtu.into()));
        self.ask(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("set the MTU of link {link} to {mtu}")
        })
    }

    /// Adds an address; adding it again is no error.
    pub(crate) fn add_address(&mut self, link: u32, prefix: Prefix) -> Result<()> {
        let message = RouteNetlinkMessage::NewAddress(address_message(link, prefix));
        self.ask(message, NLM_F_CREATE | NLM_F_REPLACE, || format!("add the address {prefix}"))
    }

    /// Takes an address off.
    pub(crate) fn remove_address(&mut self, link: u32, prefix: Prefix) -> Result<()> {
        let message = RouteNetlinkMessage::DelAddress(address_message(link, prefix));
        self.ask(message, 0, || format!("remove the address {prefix}"))
    }

    /// Adds a route or replaces it.
    pub(crate) fn add_route(&mut self, route: Route) -> Result<()> {
        let message = RouteNetlinkMessage::NewRoute(route_message(route));
        self.ask(message, NLM_F_CREATE | NLM_F_REPLACE, || {
            format!("add the route to {} via {}", route.to, route.via)
        })
    }

    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: impl FnOnce() -> String,
    ) -> Result<()> {
        self.exchange(message, flags).map_err(|source| failed(action(), source))
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        loop {
            // The kernel answers a request before `send` returns: this does not block.
            let (answer, _) = self.socket.recv_from_full()?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
                .map_err(io::Error::other)?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            if let NetlinkPayload::Error(error) = answer.payload {
                return if error.code.is_none() { Ok(()) } else { Err(error.to_io()) };
            }
        }
    }
}

/// Is told by the kernel when links, IPv6 addresses or router advertisements change.
pub(crate) struct Monitor {
    socket: Socket,
}

/// Name servers from a router advertisement (RFC 8106), with how long they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouterDns {
    /// Which link it came in by.
    pub link: u32,
    /// 0 takes them back.
    pub lifetime_s: u32,
    /// The servers.
    pub servers: Vec<Ipv6Addr>,
}

/// What a router advertisement said beyond addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Announcement {
    /// Name servers.
    Dns(RouterDns),
    /// Whether to use DHCPv6 on this link.
    Dhcp6 {
        /// Which link it came in by.
        link: u32,
        /// What for.
        wanted: Wanted,
    },
}

impl Monitor {
    /// Subscribes.
    pub(crate) fn open() -> Result<Self> {
        // RTNLGRP_* of linux/rtnetlink.h: link, IPv4 address, IPv6 address, IPv6 interface,
        // neighbour discovery user options.
        const GROUPS: [u32; 5] = [1, 5, 9, 12, 20];
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            for group in GROUPS {
                socket.add_membership(group)?;
            }
            socket.set_non_blocking(true)?;
            Ok(socket)
        };
        let socket =
            open().map_err(|source| failed("watch the network's links".to_owned(), source))?;
        Ok(Self { socket })
    }

    /// Reads what routers have said. What changed about links is looked up afresh by the caller.
    pub(super) fn drain(&self) -> Vec<Announcement> {
        let mut announced = Vec::new();
        // An overrun (ENOBUFS) loses messages, not the wake-up that they caused.
        while let Ok((bytes, _)) = self.socket.recv_from_full() {
            announced.extend(announcements(&bytes));
        }
        announced
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

/// Netlink messages, one after the other.
fn announcements(mut bytes: &[u8]) -> Vec<Announcement> {
    const RTM_NEWLINK: u16 = 16;
    const RTM_NEWNDUSEROPT: u16 = 68;
    const HEADER_BYTES: usize = 16;
    let mut found = Vec::new();
    while let Some((length, kind)) = bytes
        .get(..6)
        .map(|header| (u32_at(header, 0) as usize, u16::from_ne_bytes([header[4], header[5]])))
    {
        let Some(payload) = bytes.get(HEADER_BYTES..length) else { break };
        match kind {
            RTM_NEWNDUSEROPT => {
                found.extend(user_options(payload).into_iter().map(Announcement::Dns));
            }
            RTM_NEWLINK => found.extend(router_flags(payload)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// `struct ifinfomsg` of family IPv6, whose nested attributes hold the router's flags.
fn router_flags(payload: &[u8]) -> Option<Announcement> {
    const HEADER_BYTES: usize = 16;
    const IFLA_PROTINFO: u16 = 12;
    const IFLA_INET6_FLAGS: u16 = 1;
    const MANAGED: u32 = 0x40;
    const OTHER_CONFIGURATION: u32 = 0x80;
    let header = payload.get(..HEADER_BYTES).filter(|header| i32::from(header[0]) == AF_INET6)?;
    let protocol = attribute(payload.get(HEADER_BYTES..)?, IFLA_PROTINFO)?;
    let flags = attribute(protocol, IFLA_INET6_FLAGS).filter(|flags| flags.len() == 4)?;
    let flags = u32_at(flags, 0);
    let wanted =
        Wanted { address: flags & MANAGED != 0, information: flags & OTHER_CONFIGURATION != 0 };
    Some(Announcement::Dhcp6 { link: u32_at(header, 4), wanted })
}

/// The value of one attribute in a row of them.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    /// Flags for "nested" and "network byte order".
    const KIND_MASK: u16 = 0x3fff;
    loop {
        let header = rest.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK;
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// `struct nduseroptmsg`, then neighbour discovery options.
fn user_options(payload: &[u8]) -> Vec<RouterDns> {
    const HEADER_BYTES: usize = 16;
    const RDNSS: u8 = 25;
    let mut found = Vec::new();
    let Some(header) = payload.get(..HEADER_BYTES) else { return found };
    let options_bytes = usize::from(u16::from_ne_bytes([header[2], header[3]]));
    let Some(mut options) = payload.get(HEADER_BYTES..HEADER_BYTES + options_bytes) else {
        return found;
    };
    while let [kind, eights, ..] = *options {
        let length = usize::from(eights) * 8;
        let Some(option) = options.get(..length).filter(|option| option.len() >= 8) else { break };
        if kind == RDNSS {
            let servers = option[8..]
                .chunks_exact(16)
                .filter_map(|bytes| <[u8; 16]>::try_from(bytes).ok())
                .map(Ipv6Addr::from)
                .collect();
            let lifetime_s = u32::from_be_bytes([option[4], option[5], option[6], option[7]]);
            found.push(RouterDns { link: u32_at(header, 4), lifetime_s, servers });
        }
        options = &options[length..];
    }
    found
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn address_message(link: u32, prefix: Prefix) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(prefix.address);
    message.header.prefix_len = prefix.length;
    message.header.index = link;
    message.attributes.push(AddressAttribute::Address(prefix.address));
    if let IpAddr::V4(address) = prefix.address {
        message.attributes.push(AddressAttribute::Local(prefix.address));
        if prefix.length < 31 {
            let host_bits = u32::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
            let broadcast = (u32::from(address) | host_bits).into();
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
    }
    message
}

fn route_message(route: Route) -> RouteMessage {
    let direct = route.via.is_unspecified();
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.to.address);
    message.header.destination_prefix_length = route.to.length;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = if direct { RouteScope::Link } else { RouteScope::Universe };
    message.header.kind = RouteType::Unicast;
    if route.on_link {
        message.header.flags = RouteFlags::Onlink;
    }
    message.attributes.push(RouteAttribute::Oif(route.link));
    message.attributes.push(RouteAttribute::Priority(route.metric));
    if !direct {
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(route.via)));
    }
    if route.to.length > 0 {
        let destination = masked(route.to).address;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(destination)));
    }
    message
}

/// The network's own address: the kernel refuses a route with host bits.
pub(crate) fn masked(prefix: Prefix) -> Prefix {
    let address = match prefix.address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    };
    Prefix { address, ..prefix }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn failed(action: String, source: io::Error) -> Error {
    Error::Network { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_masked() {
        for (given, network) in [
            ("192.0.2.9/24", "192.0.2.0/24"),
            ("192.0.2.9/0", "0.0.0.0/0"),
            ("192.0.2.9/32", "192.0.2.9/32"),
            ("2001:db8:1:2:3::4/64", "2001:db8:1:2::/64"),
            ("::1/128", "::1/128"),
            ("2001:db8::/0", "::/0"),
        ] {
            assert_eq!(masked(prefix(given)), prefix(network));
        }
    }

    #[test]
    fn an_address_carries_its_broadcast() {
        let message = address_message(2, prefix("192.0.2.9/24"));
        let broadcast = AddressAttribute::Broadcast("192.0.2.255".parse().unwrap());
        assert!(message.attributes.contains(&broadcast));
        assert_eq!(address_message(2, prefix("192.0.2.9/31")).attributes.len(), 2);
    }

    fn rdnss_message(lifetime_s: u32) -> Vec<u8> {
        let mut option = vec![25, 3, 0, 0];
        option.extend_from_slice(&lifetime_s.to_be_bytes());
        option.extend_from_slice(&"2001:db8::53".parse::<Ipv6Addr>().unwrap().octets());
        let mut payload = vec![10, 0];
        payload.extend_from_slice(&(option.len() as u16).to_ne_bytes());
        payload.extend_from_slice(&7u32.to_ne_bytes());
        payload.extend_from_slice(&[134, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend_from_slice(&option);
        let mut message = (16 + payload.len() as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&68u16.to_ne_bytes());
        message.extend_from_slice(&[0; 10]);
        message.extend_from_slice(&payload);
        message
    }

    #[test]
    fn router_name_servers_are_read() {
        let servers = vec!["2001:db8::53".parse().unwrap()];
        let expected = RouterDns { link: 7, lifetime_s: 1800, servers };
        assert_eq!(announcements(&rdnss_message(1800)), [Announcement::Dns(expected)]);
    }

    #[test]
    fn router_flags_are_read() {
        let mut payload = vec![AF_INET6 as u8, 0, 0, 0];
        payload.extend_from_slice(&7u32.to_ne_bytes());
        payload.extend_from_slice(&[0; 8]);
        let name: [u8; 8] = [8, 0, 3, 0, b'e', b't', b'h', 0];
        payload.extend_from_slice(&name);
        payload.extend_from_slice(&[12, 0, 12, 0x80, 8, 0, 1, 0]);
        payload.extend_from_slice(&0x80u32.to_ne_bytes());
        let mut message = (16 + payload.len() as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&16u16.to_ne_bytes());
        message.extend_from_slice(&[0; 10]);
        message.extend_from_slice(&payload);
        let wanted = Wanted { address: false, information: true };
        assert_eq!(announcements(&message), [Announcement::Dhcp6 { link: 7, wanted }]);
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            framed in any::<bool>(),
        ) {
            if framed {
                let good = rdnss_message(1);
                let count = bytes.len().min(16);
                bytes[..count].copy_from_slice(&good[..count]);
            }
            let _ = announcements(&bytes);
            let _ = router_flags(&bytes);
        }
    }
}
