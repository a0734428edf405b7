//! The DHCPv4 client's states (RFC 2131 §4.4), without clocks or sockets: it is told the time and
//! what arrived, and says what to send and what to configure.

use std::{net::Ipv4Addr, time::Duration};

use super::dhcp4_packet::{ClientMessage, Kind, ServerMessage};

/// Time since the machine's start.
pub(super) type Now = Duration;

const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(64);
const RENEW_RETRY_MIN: Duration = Duration::from_secs(60);

/// A server that refused is asked again after this, then twice as long each time. It answers at
/// once, so without a pause the two would talk as fast as the network goes.
const REFUSED_PAUSE_MIN: Duration = Duration::from_secs(8);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(64);

/// A server that gives shorter leases is asked no more often than this.
const LEASE_MIN: Duration = Duration::from_secs(60);

/// How often a request is repeated before the search starts again.
const REQUEST_TRIES_MAX: u32 = 4;

/// What the network gave us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Its prefix.
    pub prefix_length: u8,
    /// Destination, prefix length, next hop.
    pub routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// The link's MTU, if the network has an opinion.
    pub mtu: Option<u16>,
    /// Who gave it.
    pub server: Ipv4Addr,
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Send to everyone, or to one server.
    Send {
        /// The packet.
        packet: Vec<u8>,
        /// `None`: broadcast.
        to: Option<Ipv4Addr>,
    },
    /// Configure the link.
    Configure(Lease),
    /// The lease is gone: take its address off.
    Deconfigure(Lease),
    /// Tell people: the server gives us no address, and is left alone for a while.
    Refused {
        /// Who refused, if it said so.
        server: Option<Ipv4Addr>,
        /// For how long.
        pause: Duration,
    },
}

/// One link's client.
#[derive(Debug)]
pub(super) struct Client {
    mac: [u8; 6],
    hostname: Option<String>,
    /// Changes with every exchange; also spreads the retries of machines that start together.
    transaction: u32,
    began: Now,
    state: State,
    deadline: Option<Now>,
    /// The pause after the next refusal; grows until a server says yes.
    refused_pause: Duration,
}

#[derive(Debug)]
enum State {
    Stopped,
    Refused,
    Selecting { retry: Duration },
    Requesting { offer: ServerMessage, server: Ipv4Addr, tries: u32 },
    Bound { held: Held },
    Renewing { held: Held },
    Rebinding { held: Held },
}

#[derive(Debug, Clone)]
struct Held {
    lease: Lease,
    renew_at: Now,
    rebind_at: Now,
    expires_at: Now,
}

impl Client {
    /// A client that has not begun. `seed` is random.
    pub(super) fn new(mac: [u8; 6], hostname: Option<String>, seed: u32) -> Self {
        Self {
            mac,
            hostname,
            transaction: seed,
            began: Duration::ZERO,
            state: State::Stopped,
            deadline: None,
            refused_pause: REFUSED_PAUSE_MIN,
        }
    }

    /// When [`Client::on_time`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Now> {
        self.deadline
    }

    /// The carrier came: ask at once. A lease that is still held is asked for again, because the
    /// cable may be in another network now.
    pub(super) fn on_carrier_up(&mut self, now: Now) -> Vec<Action> {
        self.refused_pause = REFUSED_PAUSE_MIN;
        match &self.state {
            State::Bound { held } | State::Renewing { held } | State::Rebinding { held } => {
                let held = held.clone();
                self.next_transaction();
                self.rebind(held, now)
            }
            _ => self.discover(now),
        }
    }

    /// The carrier went: nothing is sent until it is back. The lease is kept.
    pub(super) fn on_carrier_down(&mut self, now: Now) {
        match &self.state {
            State::Bound { held } | State::Renewing { held } | State::Rebinding { held } => {
                self.deadline = Some(held.expires_at.max(now));
            }
            _ => {
                self.state = State::Stopped;
                self.deadline = None;
            }
        }
    }

    /// The deadline has passed.
    pub(super) fn on_time(&mut self, now: Now) -> Vec<Action> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Stopped => {
                self.deadline = None;
                Vec::new()
            }
            State::Refused => self.discover(now),
            State::Selecting { retry } => self.send_discover(now, (retry * 2).min(RETRY_MAX)),
            State::Requesting { tries, .. } if tries >= REQUEST_TRIES_MAX => self.discover(now),
            State::Requesting { offer, server, tries } => {
                self.send_request(now, offer, server, tries + 1)
            }
            State::Bound { held } | State::Renewing { held } | State::Rebinding { held }
                if now >= held.expires_at =>
            {
                let mut actions = vec![Action::Deconfigure(held.lease)];
                actions.extend(self.discover(now));
                actions
            }
            State::Bound { held } => {
                self.next_transaction();
                self.renew(held, now)
            }
            State::Renewing { held } | State::Rebinding { held } if now >= held.rebind_at => {
                self.rebind(held, now)
            }
            State::Renewing { held } => self.renew(held, now),
            State::Rebinding { held } => self.rebind(held, now),
        }
    }

    /// A packet came. What is not for us, or not expected, is ignored.
    pub(super) fn on_packet(&mut self, now: Now, packet: &[u8]) -> Vec<Action> {
        let Some(message) = ServerMessage::decode(packet) else { return Vec::new() };
        if message.mac != self.mac || message.transaction != self.transaction {
            return Vec::new();
        }
        match (std::mem::replace(&mut self.state, State::Stopped), message.kind) {
            (State::Selecting { retry }, Kind::Offer) => match message.server {
                Some(server) => self.send_request(now, message, server, 1),
                None => {
                    self.state = State::Selecting { retry };
                    Vec::new()
                }
            },
            (State::Requesting { offer, server, .. }, Kind::Ack) => {
                let message = with_defaults_from(message, &offer);
                self.bind(now, message, server, None)
            }
            // Others answer, too, when they see that their own offer was not taken.
            (State::Requesting { server, .. }, Kind::Nak) if message.server == Some(server) => {
                self.refused(now, message.server)
            }
            (State::Renewing { held } | State::Rebinding { held }, Kind::Ack) => {
                let server = message.server.unwrap_or(held.lease.server);
                self.bind(now, message, server, Some(held.lease))
            }
            (State::Renewing { held }, Kind::Nak) if message.server == Some(held.lease.server) => {
                self.lost(now, held, message.server)
            }
            // Everybody was asked: in another network it is another server that knows.
            (State::Rebinding { held }, Kind::Nak) => self.lost(now, held, message.server),
            (state, _) => {
                self.state = state;
                Vec::new()
            }
        }
    }

    fn lost(&mut self, now: Now, held: Held, server: Option<Ipv4Addr>) -> Vec<Action> {
        let mut actions = vec![Action::Deconfigure(held.lease)];
        actions.extend(self.refused(now, server));
        actions
    }

    fn refused(&mut self, now: Now, server: Option<Ipv4Addr>) -> Vec<Action> {
        let pause = self.refused_pause;
        self.refused_pause = (pause * 2).min(REFUSED_PAUSE_MAX);
        self.state = State::Refused;
        self.deadline = Some(now + pause + self.jitter());
        vec![Action::Refused { server, pause }]
    }

    fn discover(&mut self, now: Now) -> Vec<Action> {
        self.next_transaction();
        self.began = now;
        self.send_discover(now, RETRY_MIN)
    }

    fn send_discover(&mut self, now: Now, retry: Duration) -> Vec<Action> {
        self.state = State::Selecting { retry };
        self.deadline = Some(now + retry + self.jitter());
        let packet = ClientMessage { kind: Kind::Discover, ..self.message(now) }.encode();
        vec![Action::Send { packet, to: None }]
    }

    fn send_request(
        &mut self,
        now: Now,
        offer: ServerMessage,
        server: Ipv4Addr,
        tries: u32,
    ) -> Vec<Action> {
        let packet = ClientMessage {
            kind: Kind::Request,
            requested_address: Some(offer.address),
            server: Some(server),
            ..self.message(now)
        }
        .encode();
        self.state = State::Requesting { offer, server, tries };
        self.deadline = Some(now + RETRY_MIN * tries + self.jitter());
        vec![Action::Send { packet, to: None }]
    }

    fn renew(&mut self, held: Held, now: Now) -> Vec<Action> {
        let to = Some(held.lease.server);
        let packet = self.renewal(&held, now);
        self.deadline = Some(retry_before(now, held.rebind_at));
        self.state = State::Renewing { held };
        vec![Action::Send { packet, to }]
    }

    fn rebind(&mut self, held: Held, now: Now) -> Vec<Action> {
        let packet = self.renewal(&held, now);
        self.deadline = Some(retry_before(now, held.expires_at));
        self.state = State::Rebinding { held };
        vec![Action::Send { packet, to: None }]
    }

    fn renewal(&self, held: &Held, now: Now) -> Vec<u8> {
        ClientMessage {
            kind: Kind::Request,
            client_address: Some(held.lease.address),
            ..self.message(now)
        }
        .encode()
    }

    fn bind(
        &mut self,
        now: Now,
        message: ServerMessage,
        server: Ipv4Addr,
        before: Option<Lease>,
    ) -> Vec<Action> {
        let lease_time = Duration::from_secs(message.lease_s.unwrap_or(3600).into()).max(LEASE_MIN);
        let within = |seconds: Option<u32>, otherwise: Duration, end: Duration| {
            seconds.map_or(otherwise, |s| Duration::from_secs(s.into())).min(end)
        };
        let rebind = within(message.rebind_s, lease_time * 7 / 8, lease_time);
        let renew = within(message.renew_s, lease_time / 2, rebind).max(LEASE_MIN / 2);
        let routes = if message.routes.is_empty() {
            let default = |&router| (Ipv4Addr::UNSPECIFIED, 0, router);
            message.routers.first().map(default).into_iter().collect()
        } else {
            message.routes
        };
        let lease = Lease {
            address: message.address,
            prefix_length: message.prefix_length.unwrap_or(24),
            routes,
            dns: message.dns,
            ntp: message.ntp,
            mtu: message.mtu,
            server,
        };
        let held = Held {
            lease: lease.clone(),
            renew_at: now + renew,
            rebind_at: now + rebind,
            expires_at: now + lease_time,
        };
        self.refused_pause = REFUSED_PAUSE_MIN;
        self.deadline = Some(held.renew_at);
        self.state = State::Bound { held };
        let mut actions = Vec::new();
        if let Some(before) = before.filter(|before| before.address != lease.address) {
            actions.push(Action::Deconfigure(before));
        }
        actions.push(Action::Configure(lease));
        actions
    }

    fn message(&self, now: Now) -> ClientMessage<'_> {
        let elapsed_s = now.saturating_sub(self.began).as_secs();
        ClientMessage {
            kind: Kind::Discover,
            transaction: self.transaction,
            elapsed_s: u16::try_from(elapsed_s).unwrap_or(u16::MAX),
            mac: self.mac,
            client_address: None,
            requested_address: None,
            server: None,
            hostname: self.hostname.as_deref(),
        }
    }

    fn next_transaction(&mut self) {
        // A step that is coprime to 2³² visits every number; the start is random.
        self.transaction = self.transaction.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }

    fn jitter(&self) -> Duration {
        Duration::from_millis(u64::from(self.transaction >> 8) % 1000)
    }
}

/// Half of the time that is left, as the RFC wants, but not more often than once a minute.
fn retry_before(now: Now, end: Now) -> Now {
    let left = end.saturating_sub(now);
    now + (left / 2).max(RENEW_RETRY_MIN).min(left)
}

/// Some servers put the network's parameters into the offer only.
fn with_defaults_from(ack: ServerMessage, offer: &ServerMessage) -> ServerMessage {
    let or = |ours: Vec<Ipv4Addr>, theirs: &Vec<Ipv4Addr>| {
        if ours.is_empty() { theirs.clone() } else { ours }
    };
    ServerMessage {
        prefix_length: ack.prefix_length.or(offer.prefix_length),
        routers: or(ack.routers, &offer.routers),
        dns: or(ack.dns, &offer.dns),
        ..ack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::dhcp4_packet::server_packet;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
    const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

    fn s(seconds: u64) -> Now {
        Duration::from_secs(seconds)
    }

    fn answer(client: &Client, kind: Kind, offered: Ipv4Addr) -> Vec<u8> {
        let extra = [
            1, 4, 255, 255, 255, 0, 3, 4, 192, 0, 2, 1, 54, 4, 192, 0, 2, 254, 51, 4, 0, 0, 14, 16,
        ];
        server_packet(kind, client.transaction, MAC, offered, &extra)
    }

    fn kind_sent(actions: &[Action]) -> Option<(u8, Option<Ipv4Addr>)> {
        actions.iter().find_map(|action| match action {
            Action::Send { packet, to } => Some((packet[242], *to)),
            _ => None,
        })
    }

    fn bound() -> Client {
        let mut client = Client::new(MAC, None, 1);
        client.on_carrier_up(s(0));
        let offer = answer(&client, Kind::Offer, OURS);
        client.on_packet(s(0), &offer);
        let ack = answer(&client, Kind::Ack, OURS);
        assert!(matches!(client.on_packet(s(0), &ack)[..], [Action::Configure(_)]));
        client
    }

    #[test]
    fn an_address_is_found_and_configured() {
        let mut client = Client::new(MAC, Some("node".to_owned()), 1);
        assert_eq!(client.deadline(), None);
        assert_eq!(kind_sent(&client.on_carrier_up(s(0))), Some((1, None)));
        let offer = answer(&client, Kind::Offer, OURS);
        assert_eq!(kind_sent(&client.on_packet(s(1), &offer)), Some((3, None)));
        let ack = answer(&client, Kind::Ack, OURS);
        let [Action::Configure(lease)] = &client.on_packet(s(1), &ack)[..] else { panic!() };
        assert_eq!((lease.address, lease.prefix_length, lease.server), (OURS, 24, SERVER));
        assert_eq!(lease.routes, [(Ipv4Addr::UNSPECIFIED, 0, Ipv4Addr::new(192, 0, 2, 1))]);
        assert_eq!(client.deadline(), Some(s(1801)));
    }

    #[test]
    fn silence_is_met_with_longer_and_longer_pauses() {
        let mut client = Client::new(MAC, None, 7);
        client.on_carrier_up(s(0));
        let mut pauses = Vec::new();
        let mut now = s(0);
        for _ in 0..8 {
            let next = client.deadline().unwrap();
            pauses.push((next - now).as_secs());
            now = next;
            assert_eq!(kind_sent(&client.on_time(now)), Some((1, None)));
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn the_lease_is_renewed_then_rebound_then_given_up() {
        let mut client = bound();
        assert!(client.on_time(s(1799)).is_empty());
        assert_eq!(kind_sent(&client.on_time(s(1800))), Some((3, Some(SERVER))));
        let ack = answer(&client, Kind::Ack, OURS);
        assert!(matches!(client.on_packet(s(1800), &ack)[..], [Action::Configure(_)]));
        assert_eq!(kind_sent(&client.on_time(s(3600))), Some((3, Some(SERVER))));
        assert_eq!(kind_sent(&client.on_time(s(1800 + 3150))), Some((3, None)));
        let actions = client.on_time(s(1800 + 3600));
        assert!(matches!(&actions[0], Action::Deconfigure(lease) if lease.address == OURS));
        assert_eq!(kind_sent(&actions), Some((1, None)));
    }

    #[test]
    fn a_refused_renewal_starts_the_search_again_after_a_pause() {
        let mut client = bound();
        client.on_time(s(1800));
        let nak = answer(&client, Kind::Nak, Ipv4Addr::UNSPECIFIED);
        let actions = client.on_packet(s(1801), &nak);
        let refused = Action::Refused { server: Some(SERVER), pause: REFUSED_PAUSE_MIN };
        assert!(matches!(&actions[..], [Action::Deconfigure(_), told] if *told == refused));
        assert!(client.on_time(s(1808)).is_empty());
        let at = client.deadline().unwrap();
        assert!(at < s(1810));
        assert_eq!(kind_sent(&client.on_time(at)), Some((1, None)));
    }

    #[test]
    fn the_pause_grows_with_each_refusal_until_somebody_says_yes_or_the_cable_moves() {
        let mut client = Client::new(MAC, None, 1);
        client.on_carrier_up(s(0));
        let mut now = s(0);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let offer = answer(&client, Kind::Offer, OURS);
            assert_eq!(kind_sent(&client.on_packet(now, &offer)), Some((3, None)));
            let nak = answer(&client, Kind::Nak, Ipv4Addr::UNSPECIFIED);
            let [Action::Refused { pause, .. }] = client.on_packet(now, &nak)[..] else { panic!() };
            pauses.push(pause.as_secs());
            assert!(client.on_packet(now, &nak).is_empty(), "said twice, heard once");
            now = client.deadline().unwrap();
            assert_eq!(kind_sent(&client.on_time(now)), Some((1, None)));
        }
        assert_eq!(pauses, [8, 16, 32, 64, 64, 64]);

        client.on_carrier_down(now);
        client.on_carrier_up(now);
        assert_eq!(client.refused_pause, REFUSED_PAUSE_MIN);
        client.refused_pause = REFUSED_PAUSE_MAX;
        let offer = answer(&client, Kind::Offer, OURS);
        client.on_packet(now, &offer);
        let ack = answer(&client, Kind::Ack, OURS);
        client.on_packet(now, &ack);
        assert_eq!(client.refused_pause, REFUSED_PAUSE_MIN);
    }

    #[test]
    fn only_the_server_that_was_chosen_can_refuse() {
        let other = [54, 4, 192, 0, 2, 253];
        let nak = |client: &Client, extra: &[u8]| {
            server_packet(Kind::Nak, client.transaction, MAC, Ipv4Addr::UNSPECIFIED, extra)
        };
        let mut requesting = Client::new(MAC, None, 1);
        requesting.on_carrier_up(s(0));
        let offer = answer(&requesting, Kind::Offer, OURS);
        requesting.on_packet(s(0), &offer);
        let mut renewing = bound();
        renewing.on_time(s(1800));
        for client in [&mut requesting, &mut renewing] {
            for extra in [&other[..], &[]] {
                let nak = nak(client, extra);
                assert!(client.on_packet(s(1801), &nak).is_empty());
            }
            let ack = answer(client, Kind::Ack, OURS);
            assert!(matches!(client.on_packet(s(1801), &ack)[..], [Action::Configure(_)]));
        }
        // Of another network, after the cable was moved.
        let mut rebinding = bound();
        rebinding.on_carrier_up(s(20));
        let nak = nak(&rebinding, &other);
        assert!(matches!(
            rebinding.on_packet(s(20), &nak)[..],
            [Action::Deconfigure(_), Action::Refused { .. }]
        ));
    }

    #[test]
    fn another_address_replaces_the_old_one() {
        let mut client = bound();
        client.on_time(s(1800));
        let ack = answer(&client, Kind::Ack, Ipv4Addr::new(192, 0, 2, 10));
        let actions = client.on_packet(s(1801), &ack);
        assert!(matches!(&actions[..], [Action::Deconfigure(_), Action::Configure(_)]));
    }

    #[test]
    fn what_is_not_for_us_changes_nothing() {
        let mut client = Client::new(MAC, None, 1);
        client.on_carrier_up(s(0));
        let other_mac = server_packet(Kind::Offer, client.transaction, [9; 6], OURS, &[]);
        let other_transaction = server_packet(Kind::Offer, 99, MAC, OURS, &[]);
        let ack = answer(&client, Kind::Ack, OURS);
        for packet in [&other_mac, &other_transaction, &ack, &vec![0; 300]] {
            assert!(client.on_packet(s(1), packet).is_empty());
        }
        let offer = answer(&client, Kind::Offer, OURS);
        assert_eq!(kind_sent(&client.on_packet(s(1), &offer)), Some((3, None)));
    }

    #[test]
    fn a_server_that_offers_and_then_is_silent_is_left() {
        let mut client = Client::new(MAC, None, 1);
        client.on_carrier_up(s(0));
        let offer = answer(&client, Kind::Offer, OURS);
        client.on_packet(s(0), &offer);
        let mut kinds = Vec::new();
        for _ in 0..4 {
            let now = client.deadline().unwrap();
            kinds.extend(kind_sent(&client.on_time(now)));
        }
        assert_eq!(kinds, [(3, None), (3, None), (3, None), (1, None)]);
    }

    #[test]
    fn a_cable_pulled_and_put_back_asks_for_the_same_address() {
        let mut client = bound();
        client.on_carrier_down(s(10));
        assert_eq!(client.deadline(), Some(s(3600)));
        assert_eq!(kind_sent(&client.on_carrier_up(s(20))), Some((3, None)));
    }

    #[test]
    fn absurd_lease_times_are_bounded() {
        let mut client = Client::new(MAC, None, 1);
        client.on_carrier_up(s(0));
        let offer = answer(&client, Kind::Offer, OURS);
        client.on_packet(s(0), &offer);
        let extra = [51, 4, 0, 0, 0, 1, 58, 4, 0, 0, 0, 0, 59, 4, 255, 255, 255, 255];
        let ack = server_packet(Kind::Ack, client.transaction, MAC, OURS, &extra);
        client.on_packet(s(0), &ack);
        assert!(client.deadline().unwrap() >= s(30));
    }

    /// When packets go out in an hour of a network whose servers answer each of them at once.
    fn sent_in_an_hour(mut answers: impl FnMut(&Client) -> Vec<Vec<u8>>) -> Vec<Now> {
        let mut client = Client::new(MAC, None, 1);
        let mut sent = Vec::new();
        let mut now = s(0);
        let mut actions = client.on_carrier_up(now);
        loop {
            while kind_sent(&actions).is_some() {
                sent.push(now);
                assert!(sent.len() < 10_000, "the client talks without a pause at {now:?}");
                let packets = answers(&client);
                actions = packets.iter().flat_map(|p| client.on_packet(now, p)).collect();
            }
            now = client.deadline().unwrap().max(now);
            if now > s(3600) {
                return sent;
            }
            actions = client.on_time(now);
        }
    }

    fn most_in_a_minute(sent: &[Now]) -> usize {
        let within = |from: Now| sent.iter().filter(|at| (from..from + s(60)).contains(at)).count();
        sent.iter().map(|from| within(*from)).max().unwrap_or_default()
    }

    #[test]
    fn a_server_that_always_refuses_is_asked_a_few_times_in_a_minute() {
        let sent = sent_in_an_hour(|client| {
            let kind = match client.state {
                State::Selecting { .. } => Kind::Offer,
                _ => Kind::Nak,
            };
            vec![answer(client, kind, OURS)]
        });
        // 8, 16 and 32 s apart a question and a request, then about one pair in a minute.
        assert_eq!(most_in_a_minute(&sent), 8);
        assert!((100..130).contains(&sent.len()), "{}", sent.len());
    }

    proptest! {
        #[test]
        fn no_answers_make_it_talk_much(
            script in proptest::collection::vec((0u8..4, 0u8..3, any::<[u32; 3]>()), 1..40),
        ) {
            let mut script = script.into_iter().cycle();
            let sent = sent_in_an_hour(|client| {
                let Some((kind, server, times)) = script.next() else { return Vec::new() };
                let kind = [Kind::Offer, Kind::Ack, Kind::Nak].get(usize::from(kind)).copied();
                let mut extra = Vec::new();
                for (code, time) in [51, 58, 59].into_iter().zip(times) {
                    extra.extend([code, 4]);
                    // Seconds or years.
                    extra.extend((time >> (time % 32)).to_be_bytes());
                }
                match server {
                    0 => extra.extend([54, 4, 192, 0, 2, 254]),
                    1 => extra.extend([54, 4, 192, 0, 2, 253]),
                    _ => {}
                }
                kind.map(|kind| server_packet(kind, client.transaction, MAC, OURS, &extra))
                    .into_iter()
                    .collect()
            });
            prop_assert!(most_in_a_minute(&sent) <= 20, "{}", most_in_a_minute(&sent));
        }
    }
}
