use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts every client's connections, so that none takes the places of all.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    connections_max: usize,
    open: Arc<Mutex<HashMap<Client, usize>>>,
}

/// What counts as one client: an IPv4 address, or the half of an IPv6 address that names a network,
/// since whoever has one has all addresses in it. Loopback is an address like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

/// One of a client's connections, until it is dropped.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    clients: Clients,
    client: Client,
}

impl Clients {
    pub(crate) fn new(connections_max: usize) -> Self {
        Self { connections_max, open: Arc::default() }
    }

    /// A place for a further connection from this address, unless its client has all it may have.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<ClientPlace> {
        let client = Client::of(address);
        let mut open = self.open();
        let count = open.get(&client).copied().unwrap_or_default();
        if count >= self.connections_max {
            return None;
        }
        open.insert(client, count + 1);
        drop(open);
        Some(ClientPlace { clients: self.clone(), client })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn of(address: IpAddr) -> Self {
        // A listener for both protocols sees IPv4 addresses inside IPv6 ones, all in one network.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let mut open = self.clients.open();
        match open.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_so_many_places_and_gets_them_back() {
        let clients = Clients::new(2);
        let places = ["192.0.2.1", "::ffff:192.0.2.1"].map(|text| clients.admit(address(text)));
        assert!(places.iter().all(Option::is_some));
        assert!(clients.admit(address("192.0.2.1")).is_none());
        let other = clients.admit(address("192.0.2.2"));
        assert!(other.is_some());
        drop(places);
        let again = clients.admit(address("192.0.2.1"));
        assert!(again.is_some());
        drop((again, other));
        assert!(clients.open().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_an_ipv4_address_inside_ipv6_is_itself() {
        let same = |a, b| Client::of(address(a)) == Client::of(address(b));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same("127.0.0.1", "::1"));
    }
}
