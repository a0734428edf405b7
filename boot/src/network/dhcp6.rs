//! The DHCPv6 client (RFC 8415): its messages, and its states without clocks or sockets.
//!
//! It runs on a link only when a router's advertisement says so: for an address (the "managed"
//! flag), or for name servers alone (the "other configuration" flag).

use std::{net::Ipv6Addr, time::Duration};

/// Time since the machine's start.
pub(super) type Now = Duration;

/// Where clients send everything.
pub(super) const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(120);
const REQUEST_TRIES_MAX: u32 = 5;

/// A server that refused is asked again after this, then twice as long each time. It answers at
/// once, so without a pause the two would talk as fast as the network goes.
const REFUSED_PAUSE_MIN: Duration = Duration::from_secs(8);
const REFUSED_PAUSE_MAX: Duration = RETRY_MAX;

/// Without an address to renew, name servers are asked for again after this.
const REFRESH: Duration = Duration::from_secs(24 * 3600);

/// A server that gives shorter lifetimes is asked no more often than this.
const LIFETIME_MIN: Duration = Duration::from_secs(60);

const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const RENEW: u8 = 5;
const REBIND: u8 = 6;
const REPLY: u8 = 7;
const INFORMATION_REQUEST: u8 = 11;

const OPTION_CLIENT_ID: u16 = 1;
const OPTION_SERVER_ID: u16 = 2;
const OPTION_IA_NA: u16 = 3;
const OPTION_IA_ADDRESS: u16 = 5;
const OPTION_REQUESTED: u16 = 6;
const OPTION_ELAPSED: u16 = 8;
const OPTION_STATUS: u16 = 13;
const OPTION_DNS: u16 = 23;

/// What a router told hosts to ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// An address, and everything else.
    pub(super) address: bool,
    /// Everything but an address.
    pub(super) information: bool,
}

/// What the network gave us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Our address.
    pub(super) address: Option<Ipv6Addr>,
    /// Name servers.
    pub(super) dns: Vec<Ipv6Addr>,
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Send to [`SERVERS`].
    Send(Vec<u8>),
    /// Use this.
    Configure(Configuration),
    /// The address is no longer ours.
    Deconfigure(Ipv6Addr),
    /// Tell people: the server gives us no address, and is left alone for this long.
    Refused(Duration),
}

/// One link's client.
#[derive(Debug)]
pub(super) struct Client {
    mac: [u8; 6],
    transaction: u32,
    began: Now,
    state: State,
    deadline: Option<Now>,
    /// The pause after the next refusal; grows until a server says yes.
    refused_pause: Duration,
}

#[derive(Debug)]
enum State {
    Off,
    Asking { retry: Duration },
    Informed,
    Refused,
    Soliciting { retry: Duration },
    Requesting { server: Vec<u8>, tries: u32 },
    Bound { held: Held },
    Renewing { held: Held, retry: Duration },
}

#[derive(Debug, Clone)]
struct Held {
    server: Vec<u8>,
    address: Ipv6Addr,
    rebind_at: Now,
    expires_at: Now,
}

impl Client {
    /// A client that is off. `seed` is random.
    pub(super) fn new(mac: [u8; 6], seed: u32) -> Self {
        Self {
            mac,
            transaction: seed,
            began: Now::ZERO,
            state: State::Off,
            deadline: None,
            refused_pause: REFUSED_PAUSE_MIN,
        }
    }

    /// When [`Client::on_time`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Now> {
        self.deadline
    }

    /// A router spoke, or the carrier came back: begins afresh.
    pub(super) fn start(&mut self, now: Now, wanted: Wanted) -> Vec<Action> {
        self.began = now;
        self.refused_pause = REFUSED_PAUSE_MIN;
        if wanted.address {
            self.solicit(now, RETRY_MIN)
        } else if wanted.information {
            self.ask(now, RETRY_MIN)
        } else {
            self.stop();
            Vec::new()
        }
    }

    /// The carrier is gone; the kernel drops IPv6 addresses by itself then.
    pub(super) fn stop(&mut self) {
        self.state = State::Off;
        self.deadline = None;
    }

    /// The deadline has passed.
    pub(super) fn on_time(&mut self, now: Now) -> Vec<Action> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        match std::mem::replace(&mut self.state, State::Off) {
            State::Off => Vec::new(),
            State::Asking { retry } => self.ask(now, longer(retry)),
            State::Informed => self.ask(now, RETRY_MIN),
            State::Refused => self.solicit(now, RETRY_MIN),
            State::Soliciting { retry } => self.solicit(now, longer(retry)),
            State::Requesting { tries, .. } if tries >= REQUEST_TRIES_MAX => {
                self.solicit(now, RETRY_MIN)
            }
            State::Requesting { server, tries } => self.request(now, server, tries + 1),
            State::Bound { held } | State::Renewing { held, .. } if now >= held.expires_at => {
                let mut actions = vec![Action::Deconfigure(held.address)];
                actions.extend(self.solicit(now, RETRY_MIN));
                actions
            }
            State::Bound { held } => self.renew(now, held, RETRY_MIN * 10),
            State::Renewing { held, retry } => self.renew(now, held, longer(retry)),
        }
    }

    /// A packet came. What is not for us, or not expected, is ignored.
    pub(super) fn on_packet(&mut self, now: Now, packet: &[u8]) -> Vec<Action> {
        let Some(message) = ServerMessage::decode(packet) else { return Vec::new() };
        if message.transaction != self.transaction & 0xff_ffff || message.client != self.duid() {
            return Vec::new();
        }
        match (std::mem::replace(&mut self.state, State::Off), message.kind) {
            (State::Asking { .. }, REPLY) => {
                self.state = State::Informed;
                self.deadline = Some(now + REFRESH);
                vec![Action::Configure(Configuration { address: None, dns: message.dns })]
            }
            (State::Soliciting { .. }, ADVERTISE) if message.address.is_some() => {
                self.request(now, message.server, 1)
            }
            (State::Requesting { server, .. }, REPLY) if message.server == server => {
                match message.address {
                    Some(_) => self.bind(now, message, None),
                    None => self.refused(now),
                }
            }
            (State::Renewing { held, .. }, REPLY) => match message.address {
                Some(_) => self.bind(now, message, Some(held.address)),
                None => {
                    let mut actions = vec![Action::Deconfigure(held.address)];
                    actions.extend(self.refused(now));
                    actions
                }
            },
            (state, _) => {
                self.state = state;
                Vec::new()
            }
        }
    }

    fn ask(&mut self, now: Now, retry: Duration) -> Vec<Action> {
        self.state = State::Asking { retry };
        self.deadline = Some(now + retry);
        self.send(now, INFORMATION_REQUEST, None, None)
    }

    fn refused(&mut self, now: Now) -> Vec<Action> {
        let pause = self.refused_pause;
        self.refused_pause = (pause * 2).min(REFUSED_PAUSE_MAX);
        self.state = State::Refused;
        // Apart from the other machines that the same server refuses.
        let jitter = Duration::from_millis(u64::from(self.transaction >> 8) % 1000);
        self.deadline = Some(now + pause + jitter);
        vec![Action::Refused(pause)]
    }

    fn solicit(&mut self, now: Now, retry: Duration) -> Vec<Action> {
        self.state = State::Soliciting { retry };
        self.deadline = Some(now + retry);
        self.send(now, SOLICIT, None, Some(None))
    }

    fn request(&mut self, now: Now, server: Vec<u8>, tries: u32) -> Vec<Action> {
        self.deadline = Some(now + RETRY_MIN * tries);
        let actions = self.send(now, REQUEST, Some(&server), Some(None));
        self.state = State::Requesting { server, tries };
        actions
    }

    /// To the server that gave the address; later, to any.
    fn renew(&mut self, now: Now, held: Held, retry: Duration) -> Vec<Action> {
        let (kind, server, end) = if now < held.rebind_at {
            (RENEW, Some(held.server.clone()), held.rebind_at)
        } else {
            (REBIND, None, held.expires_at)
        };
        self.deadline = Some((now + retry).min(end));
        let address = held.address;
        self.state = State::Renewing { held, retry };
        self.send(now, kind, server.as_deref(), Some(Some(address)))
    }

    fn bind(&mut self, now: Now, message: ServerMessage, before: Option<Ipv6Addr>) -> Vec<Action> {
        let Some(offered) = message.address else { return Vec::new() };
        let seconds = |s: u32| Duration::from_secs(s.into());
        let valid = seconds(offered.valid_s).max(LIFETIME_MIN);
        let or = |given: u32, otherwise: Duration| {
            if given == 0 { otherwise } else { seconds(given).min(valid) }
        };
        let rebind = or(offered.rebind_s, valid * 4 / 5);
        let renew = or(offered.renew_s, valid / 2).min(rebind).max(LIFETIME_MIN / 2);
        let held = Held {
            server: message.server,
            address: offered.address,
            rebind_at: now + rebind,
            expires_at: now + valid,
        };
        self.refused_pause = REFUSED_PAUSE_MIN;
        self.state = State::Bound { held };
        self.deadline = Some(now + renew);
        let gone = before.filter(|before| *before != offered.address);
        let configuration = Configuration { address: Some(offered.address), dns: message.dns };
        gone.map(Action::Deconfigure)
            .into_iter()
            .chain([Action::Configure(configuration)])
            .collect()
    }

    /// `association`: whether the message is about an address, and which one we have.
    fn send(
        &mut self,
        now: Now,
        kind: u8,
        server: Option<&[u8]>,
        association: Option<Option<Ipv6Addr>>,
    ) -> Vec<Action> {
        self.transaction = self.transaction.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut packet = self.transaction.to_be_bytes().to_vec();
        packet[0] = kind;
        option(&mut packet, OPTION_CLIENT_ID, &self.duid());
        if let Some(server) = server {
            option(&mut packet, OPTION_SERVER_ID, server);
        }
        let elapsed = now.saturating_sub(self.began).as_millis() / 10;
        let elapsed = u16::try_from(elapsed).unwrap_or(u16::MAX);
        option(&mut packet, OPTION_ELAPSED, &elapsed.to_be_bytes());
        option(&mut packet, OPTION_REQUESTED, &OPTION_DNS.to_be_bytes());
        if let Some(address) = association {
            // Our only association on this link: its number need only be stable. T1 and T2 are
            // the server's to choose.
            let mut body = self.mac[2..].to_vec();
            body.extend_from_slice(&[0; 8]);
            if let Some(address) = address {
                let mut inner = address.octets().to_vec();
                inner.extend_from_slice(&[0; 8]);
                option(&mut body, OPTION_IA_ADDRESS, &inner);
            }
            option(&mut packet, OPTION_IA_NA, &body);
        }
        vec![Action::Send(packet)]
    }

    /// DUID-LL: our hardware address, which stays the same without anything being stored.
    fn duid(&self) -> Vec<u8> {
        [&[0, 3, 0, 1], &self.mac[..]].concat()
    }
}

fn longer(retry: Duration) -> Duration {
    (retry * 2).min(RETRY_MAX)
}

fn option(packet: &mut Vec<u8>, code: u16, value: &[u8]) {
    if let Ok(length) = u16::try_from(value.len()) {
        packet.extend_from_slice(&code.to_be_bytes());
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(value);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ServerMessage {
    kind: u8,
    transaction: u32,
    client: Vec<u8>,
    server: Vec<u8>,
    address: Option<Offered>,
    dns: Vec<Ipv6Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offered {
    address: Ipv6Addr,
    renew_s: u32,
    rebind_s: u32,
    valid_s: u32,
}

impl ServerMessage {
    /// `None` for anything that is not a server's well-formed message.
    fn decode(packet: &[u8]) -> Option<Self> {
        let (&kind, rest) = packet.split_first()?;
        if kind != ADVERTISE && kind != REPLY {
            return None;
        }
        let transaction = u32::from_be_bytes([0, *rest.first()?, *rest.get(1)?, *rest.get(2)?]);
        let mut message = Self {
            kind,
            transaction,
            client: Vec::new(),
            server: Vec::new(),
            address: None,
            dns: Vec::new(),
        };
        for (code, value) in options(rest.get(3..)?)? {
            match code {
                OPTION_CLIENT_ID => message.client = value.to_vec(),
                OPTION_SERVER_ID => message.server = value.to_vec(),
                OPTION_IA_NA => message.address = message.address.or(association(value)?),
                OPTION_DNS => {
                    let addresses = value.chunks_exact(16).filter_map(address);
                    message.dns = addresses.collect();
                }
                OPTION_STATUS if value.get(..2)? != [0, 0] => return None,
                _ => {}
            }
        }
        (!message.server.is_empty()).then_some(message)
    }
}

/// The first address of an association that is still valid.
fn association(value: &[u8]) -> Option<Option<Offered>> {
    let (renew_s, rebind_s) = (number(value.get(4..8)?)?, number(value.get(8..12)?)?);
    for (code, inner) in options(value.get(12..)?)? {
        match code {
            OPTION_STATUS if inner.get(..2)? != [0, 0] => return Some(None),
            OPTION_IA_ADDRESS => {
                let address = address(inner.get(..16)?)?;
                let valid_s = number(inner.get(20..24)?)?;
                if valid_s > 0 {
                    return Some(Some(Offered { address, renew_s, rebind_s, valid_s }));
                }
            }
            _ => {}
        }
    }
    Some(None)
}

fn options(mut rest: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let code = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?));
        found.push((code, rest.get(4..4 + length)?));
        rest = rest.get(4 + length..)?;
    }
    Some(found)
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn address(bytes: &[u8]) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    const DNS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);

    fn s(seconds: u64) -> Now {
        Duration::from_secs(seconds)
    }

    fn answer(client: &Client, kind: u8, valid_s: u32) -> Vec<u8> {
        let mut packet = client.transaction.to_be_bytes().to_vec();
        packet[0] = kind;
        option(&mut packet, OPTION_CLIENT_ID, &client.duid());
        option(&mut packet, OPTION_SERVER_ID, b"server");
        option(&mut packet, OPTION_DNS, &DNS.octets());
        let mut inner = OURS.octets().to_vec();
        inner.extend_from_slice(&valid_s.to_be_bytes());
        inner.extend_from_slice(&valid_s.to_be_bytes());
        let mut body = vec![0; 12];
        option(&mut body, OPTION_IA_ADDRESS, &inner);
        option(&mut packet, OPTION_IA_NA, &body);
        packet
    }

    fn kind_sent(actions: &[Action]) -> Option<u8> {
        actions.iter().find_map(|action| match action {
            Action::Send(packet) => packet.first().copied(),
            _ => None,
        })
    }

    fn bound() -> Client {
        let mut client = Client::new(MAC, 1);
        client.start(s(0), Wanted { address: true, information: true });
        let advertise = answer(&client, ADVERTISE, 3600);
        assert_eq!(kind_sent(&client.on_packet(s(0), &advertise)), Some(REQUEST));
        let reply = answer(&client, REPLY, 3600);
        let expected = Configuration { address: Some(OURS), dns: vec![DNS] };
        assert_eq!(client.on_packet(s(0), &reply), [Action::Configure(expected)]);
        client
    }

    #[test]
    fn an_address_is_got_renewed_rebound_and_given_up() {
        let mut client = bound();
        assert_eq!(client.deadline(), Some(s(1800)));
        assert_eq!(kind_sent(&client.on_time(s(1800))), Some(RENEW));
        let reply = answer(&client, REPLY, 3600);
        assert!(matches!(client.on_packet(s(1800), &reply)[..], [Action::Configure(_)]));
        assert_eq!(kind_sent(&client.on_time(s(3600))), Some(RENEW));
        assert_eq!(kind_sent(&client.on_time(s(1800 + 2880))), Some(REBIND));
        let actions = client.on_time(s(1800 + 3600));
        assert_eq!(actions[0], Action::Deconfigure(OURS));
        assert_eq!(kind_sent(&actions), Some(SOLICIT));
    }

    #[test]
    fn name_servers_alone_are_asked_for() {
        let mut client = Client::new(MAC, 1);
        let wanted = Wanted { address: false, information: true };
        assert_eq!(kind_sent(&client.start(s(0), wanted)), Some(INFORMATION_REQUEST));
        let reply = answer(&client, REPLY, 0);
        let expected = Configuration { address: None, dns: vec![DNS] };
        assert_eq!(client.on_packet(s(1), &reply), [Action::Configure(expected)]);
        assert_eq!(kind_sent(&client.on_time(s(1) + REFRESH)), Some(INFORMATION_REQUEST));
    }

    #[test]
    fn a_renewal_that_takes_the_address_away_is_obeyed() {
        let mut client = bound();
        client.on_time(s(1800));
        let reply = answer(&client, REPLY, 0);
        let actions = client.on_packet(s(1800), &reply);
        assert_eq!(actions, [Action::Deconfigure(OURS), Action::Refused(REFUSED_PAUSE_MIN)]);
        assert!(client.on_time(s(1807)).is_empty());
        assert_eq!(kind_sent(&client.on_time(s(1809))), Some(SOLICIT));
    }

    #[test]
    fn a_server_that_always_refuses_is_asked_a_few_times_in_a_minute() {
        let mut client = Client::new(MAC, 1);
        let mut actions = client.start(s(0), Wanted { address: true, information: false });
        let mut now = s(0);
        let (mut sent, mut pauses) = (Vec::new(), Vec::new());
        while now < s(3600) {
            while let Some(kind) = kind_sent(&actions) {
                sent.push(now);
                assert!(sent.len() < 1000, "the client talks without a pause at {now:?}");
                let (kind, valid_s) = if kind == SOLICIT { (ADVERTISE, 3600) } else { (REPLY, 0) };
                let packet = answer(&client, kind, valid_s);
                actions = client.on_packet(now, &packet);
            }
            let [Action::Refused(pause)] = actions[..] else { panic!("{actions:?}") };
            pauses.push(pause.as_secs());
            now = client.deadline().unwrap();
            actions = client.on_time(now);
        }
        assert_eq!(pauses[..6], [8, 16, 32, 64, 120, 120]);
        let within = |from: Now| sent.iter().filter(|at| (from..from + s(60)).contains(at)).count();
        assert_eq!(sent.iter().map(|from| within(*from)).max(), Some(8));
    }

    #[test]
    fn only_the_server_that_was_chosen_can_refuse() {
        let mut client = Client::new(MAC, 1);
        client.start(s(0), Wanted { address: true, information: false });
        let advertise = answer(&client, ADVERTISE, 3600);
        client.on_packet(s(0), &advertise);
        client.state = State::Requesting { server: b"another".to_vec(), tries: 1 };
        let refusal = answer(&client, REPLY, 0);
        assert!(client.on_packet(s(0), &refusal).is_empty());
        client.state = State::Requesting { server: b"server".to_vec(), tries: 1 };
        assert_eq!(client.on_packet(s(0), &refusal), [Action::Refused(REFUSED_PAUSE_MIN)]);
    }

    #[test]
    fn what_is_not_for_us_changes_nothing() {
        let mut client = Client::new(MAC, 1);
        client.start(s(0), Wanted { address: true, information: false });
        let mut other = answer(&client, ADVERTISE, 3600);
        other[3] ^= 1;
        assert!(client.on_packet(s(0), &other).is_empty());
        let neighbour = Client { mac: [9; 6], ..Client::new(MAC, client.transaction) };
        assert!(client.on_packet(s(0), &answer(&neighbour, ADVERTISE, 3600)).is_empty());
        assert!(client.on_packet(s(0), &answer(&client, REPLY, 3600)).is_empty());
        assert_eq!(kind_sent(&client.on_time(s(1))), Some(SOLICIT));
        client.stop();
        assert_eq!(client.deadline(), None);
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            at in 0usize..100,
        ) {
            let _ = ServerMessage::decode(&bytes);
            let mut client = Client::new(MAC, 1);
            client.start(s(0), Wanted { address: true, information: true });
            let mut good = answer(&client, ADVERTISE, 3600);
            let count = bytes.len().min(4).min(good.len() - at.min(good.len()));
            let at = at.min(good.len());
            good[at..at + count].copy_from_slice(&bytes.split_off(bytes.len() - count));
            let _ = client.on_packet(s(0), &good);
        }
    }
}
