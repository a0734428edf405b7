//! The DHCPv4 message format (RFC 2131, RFC 2132), as far as a client needs it.

use std::net::Ipv4Addr;

/// Servers may assume that clients take this much; larger answers are cut by the socket read.
pub(super) const PACKET_BYTES_MAX: usize = 1500;

const OPTIONS_AT: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// Message types of option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Client: who is there?
    Discover,
    /// Server: have this.
    Offer,
    /// Client: I take it.
    Request,
    /// Server: it is yours.
    Ack,
    /// Server: no.
    Nak,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Ack => 5,
            Self::Nak => 6,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Discover, Self::Offer, Self::Request, Self::Ack, Self::Nak]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientMessage<'a> {
    /// Its type.
    pub kind: Kind,
    /// Ties answers to questions.
    pub transaction: u32,
    /// Since the client began, for servers that prefer the patient.
    pub elapsed_s: u16,
    /// Our hardware address.
    pub mac: [u8; 6],
    /// Our address, when we have one.
    pub client_address: Option<Ipv4Addr>,
    /// The address that we ask for.
    pub requested_address: Option<Ipv4Addr>,
    /// The server whose offer we take.
    pub server: Option<Ipv4Addr>,
    /// Our name.
    pub hostname: Option<&'a str>,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerMessage {
    /// Its type.
    pub kind: Kind,
    /// Of the question.
    pub transaction: u32,
    /// Whom it is for.
    pub mac: [u8; 6],
    /// The address that is offered or confirmed.
    pub address: Ipv4Addr,
    /// The server's name for itself; needed to take its offer.
    pub server: Option<Ipv4Addr>,
    /// Length of the network's prefix.
    pub prefix_length: Option<u8>,
    /// Default gateways.
    pub routers: Vec<Ipv4Addr>,
    /// Classless static routes (RFC 3442): they replace the routers.
    pub routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// The link's MTU.
    pub mtu: Option<u16>,
    /// How long the address is ours.
    pub lease_s: Option<u32>,
    /// When to ask the same server again.
    pub renew_s: Option<u32>,
    /// When to ask any server.
    pub rebind_s: Option<u32>,
}

impl ClientMessage<'_> {
    /// The packet. Answers are asked for as broadcasts: without an address nothing else arrives.
    pub(super) fn encode(&self) -> Vec<u8> {
        const BROADCAST_FLAG: [u8; 2] = [0x80, 0];
        let mut packet = vec![0; OPTIONS_AT];
        packet[..4].copy_from_slice(&[1, 1, 6, 0]);
        packet[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        packet[8..10].copy_from_slice(&self.elapsed_s.to_be_bytes());
        match self.client_address {
            Some(address) => packet[12..16].copy_from_slice(&address.octets()),
            None => packet[10..12].copy_from_slice(&BROADCAST_FLAG),
        }
        packet[28..34].copy_from_slice(&self.mac);
        packet[236..240].copy_from_slice(&MAGIC);

        let mut option = |code: u8, value: &[u8]| {
            if let Ok(length) = u8::try_from(value.len()) {
                packet.extend_from_slice(&[code, length]);
                packet.extend_from_slice(value);
            }
        };
        option(53, &[self.kind.code()]);
        let mut client_id = vec![1];
        client_id.extend_from_slice(&self.mac);
        option(61, &client_id);
        if let Some(address) = self.requested_address {
            option(50, &address.octets());
        }
        if let Some(server) = self.server {
            option(54, &server.octets());
        }
        option(57, &(PACKET_BYTES_MAX as u16).to_be_bytes());
        if let Some(hostname) = self.hostname {
            option(12, hostname.as_bytes());
        }
        // Mask, classless routes, routers, DNS, MTU, NTP, lease, renewal, rebinding.
        option(55, &[1, 121, 3, 6, 26, 42, 51, 58, 59]);
        packet.push(255);
        // Some relays drop what is shorter than a BOOTP packet.
        packet.resize(packet.len().max(300), 0);
        packet
    }
}

impl ServerMessage {
    /// Reads a packet; `None` for anything that is not a server's well-formed message.
    pub(super) fn decode(packet: &[u8]) -> Option<Self> {
        if packet.len() < OPTIONS_AT || packet.get(..3)? != [2, 1, 6] {
            return None;
        }
        if packet.get(236..240)? != MAGIC {
            return None;
        }
        let mut message = Self {
            kind: Kind::Nak,
            transaction: u32::from_be_bytes(array(packet.get(4..8)?)?),
            mac: array(packet.get(28..34)?)?,
            address: address(packet.get(16..20)?)?,
            server: None,
            prefix_length: None,
            routers: Vec::new(),
            routes: Vec::new(),
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
            lease_s: None,
            renew_s: None,
            rebind_s: None,
        };
        let mut kind = None;
        for (code, value) in options(packet.get(OPTIONS_AT..)?)? {
            match code {
                53 => kind = Kind::from_code(*value.first()?),
                1 => message.prefix_length = prefix_length(&value),
                3 => message.routers = addresses(&value),
                6 => message.dns = addresses(&value),
                42 => message.ntp = addresses(&value),
                54 => message.server = address(&value),
                121 => message.routes = classless_routes(&value)?,
                26 => message.mtu = array(&value).map(u16::from_be_bytes),
                51 => message.lease_s = array(&value).map(u32::from_be_bytes),
                58 => message.renew_s = array(&value).map(u32::from_be_bytes),
                59 => message.rebind_s = array(&value).map(u32::from_be_bytes),
                _ => {}
            }
        }
        let kind = kind.filter(|kind| matches!(kind, Kind::Offer | Kind::Ack | Kind::Nak))?;
        Some(Self { kind, ..message })
    }
}

/// Options in order; one that occurs more than once is a single one in pieces (RFC 3396).
fn options(mut rest: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    loop {
        match *rest {
            // An end mark is required by the standard, and forgotten by some servers.
            [] | [255, ..] => return Some(found),
            [0, ref tail @ ..] => rest = tail,
            [code, length, ref tail @ ..] => {
                let value = tail.get(..usize::from(length))?;
                match found.iter_mut().find(|(known, _)| *known == code) {
                    Some((_, whole)) => whole.extend_from_slice(value),
                    None => found.push((code, value.to_vec())),
                }
                rest = tail.get(usize::from(length)..)?;
            }
            [_] => return None,
        }
    }
}

fn classless_routes(mut rest: &[u8]) -> Option<Vec<(Ipv4Addr, u8, Ipv4Addr)>> {
    let mut routes = Vec::new();
    while let Some((&length, tail)) = rest.split_first() {
        if length > 32 {
            return None;
        }
        let significant = usize::from(length).div_ceil(8);
        let mut destination = [0; 4];
        destination.get_mut(..significant)?.copy_from_slice(tail.get(..significant)?);
        let gateway = address(tail.get(significant..significant + 4)?)?;
        routes.push((Ipv4Addr::from(destination), length, gateway));
        rest = tail.get(significant + 4..)?;
    }
    Some(routes)
}

/// A mask with a hole in it is no mask.
fn prefix_length(mask: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(array(mask)?);
    (mask.leading_ones() + mask.trailing_zeros() == 32 || mask == u32::MAX)
        .then(|| mask.leading_ones() as u8)
}

fn addresses(value: &[u8]) -> Vec<Ipv4Addr> {
    value.chunks_exact(4).filter_map(address).collect()
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    array::<4>(value).map(Ipv4Addr::from)
}

fn array<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

/// A server's packet, for this module's and the client's tests.
#[cfg(test)]
pub(super) fn server_packet(
    kind: Kind,
    transaction: u32,
    mac: [u8; 6],
    offered: Ipv4Addr,
    extra: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0; OPTIONS_AT];
    packet[..4].copy_from_slice(&[2, 1, 6, 0]);
    packet[4..8].copy_from_slice(&transaction.to_be_bytes());
    packet[16..20].copy_from_slice(&offered.octets());
    packet[28..34].copy_from_slice(&mac);
    packet[236..240].copy_from_slice(&MAGIC);
    packet.extend_from_slice(&[53, 1, kind.code()]);
    packet.extend_from_slice(extra);
    packet.push(255);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn decode(extra: &[u8]) -> Option<ServerMessage> {
        let offered = Ipv4Addr::new(192, 0, 2, 9);
        ServerMessage::decode(&server_packet(Kind::Ack, 7, MAC, offered, extra))
    }

    #[test]
    fn an_answer_is_read() {
        let message = decode(&[
            1, 4, 255, 255, 255, 0, 0, 0, // mask, padding
            3, 4, 192, 0, 2, 1, // router
            6, 4, 192, 0, 2, 2, 6, 4, 192, 0, 2, 3, // DNS in two pieces
            26, 2, 5, 220, // MTU
            51, 4, 0, 0, 14, 16, // lease
            54, 4, 192, 0, 2, 254, // server
        ])
        .unwrap();
        assert_eq!((message.kind, message.transaction), (Kind::Ack, 7));
        assert_eq!(message.prefix_length, Some(24));
        assert_eq!(message.routers, [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(message.dns, [Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 3)]);
        assert_eq!((message.mtu, message.lease_s), (Some(1500), Some(3600)));
    }

    #[test]
    fn classless_routes_are_read() {
        let message = decode(&[121, 14, 0, 192, 0, 2, 1, 24, 10, 1, 2, 192, 0, 2, 5, 0]);
        assert!(message.is_none(), "a truncated route is refused");
        let message = decode(&[121, 13, 0, 192, 0, 2, 1, 24, 10, 1, 2, 192, 0, 2, 5]).unwrap();
        assert_eq!(
            message.routes,
            [
                (Ipv4Addr::UNSPECIFIED, 0, Ipv4Addr::new(192, 0, 2, 1)),
                (Ipv4Addr::new(10, 1, 2, 0), 24, Ipv4Addr::new(192, 0, 2, 5)),
            ]
        );
    }

    #[test]
    fn masks_with_holes_are_not_masks() {
        assert_eq!(prefix_length(&[255, 255, 240, 0]), Some(20));
        assert_eq!(prefix_length(&[255, 255, 255, 255]), Some(32));
        assert_eq!(prefix_length(&[0, 0, 0, 0]), Some(0));
        assert_eq!(prefix_length(&[255, 0, 255, 0]), None);
        assert_eq!(prefix_length(&[255]), None);
    }

    #[test]
    fn a_request_names_server_address_and_host() {
        let message = ClientMessage {
            kind: Kind::Request,
            transaction: 0x0102_0304,
            elapsed_s: 3,
            mac: MAC,
            client_address: None,
            requested_address: Some(Ipv4Addr::new(192, 0, 2, 9)),
            server: Some(Ipv4Addr::new(192, 0, 2, 254)),
            hostname: Some("node-7"),
        };
        let packet = message.encode();
        assert!(packet.len() >= 300);
        let found = options(&packet[OPTIONS_AT..]).unwrap();
        let value = |code| found.iter().find(|(c, _)| *c == code).map(|(_, v)| v.clone());
        assert_eq!(value(53), Some(vec![3]));
        assert_eq!(value(50), Some(vec![192, 0, 2, 9]));
        assert_eq!(value(54), Some(vec![192, 0, 2, 254]));
        assert_eq!(value(12), Some(b"node-7".to_vec()));
        assert_eq!(packet[10], 0x80, "answers are wanted as broadcasts");
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            let _ = ServerMessage::decode(&bytes);
            let _ = decode(&bytes);
        }
    }
}
