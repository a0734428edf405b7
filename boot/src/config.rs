//! The `[machine]` table of the seed configuration: what belongs to PID 1.
//!
//! The agent reads the same file and checks this table with the same types, so that one wrong key
//! is reported by whoever sees it first. Everything outside `[machine]` is the agent's.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::Deserialize;

use crate::error::{Error, Result};

/// A seed larger than this is refused unread.
pub const SEED_SIZE_BYTES_MAX: u64 = 64 * 1024;

/// `[machine]`: every key is optional, an unknown one is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MachineConfig {
    /// The machine's name; DHCP servers are told it.
    pub hostname: Option<Hostname>,
    /// Addresses, routes and name servers.
    pub network: NetworkConfig,
    /// Where the time comes from.
    pub time: TimeConfig,
    /// The hardware watchdog.
    pub watchdog: WatchdogConfig,
}

/// `[machine.network]`. The default is DHCPv4 and SLAAC on every physical link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Whether to ask for an IPv4 address; by default yes, unless a static one is given.
    pub dhcp: Option<bool>,
    /// The link that the static addresses belong to: a name, or better a MAC address. Needed
    /// only when there is more than one physical link.
    pub interface: Option<LinkSelector>,
    /// Static addresses with their prefix lengths.
    pub addresses: Vec<Prefix>,
    /// Default gateways, at most one per address family.
    pub gateways: Vec<IpAddr>,
    /// Further static routes.
    pub routes: Vec<RouteConfig>,
    /// Name servers; they come before those that the network offers.
    pub dns: Vec<IpAddr>,
}

/// One entry of `[[machine.network.routes]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Where to.
    pub to: Prefix,
    /// The next hop.
    pub via: IpAddr,
}

/// `[machine.time]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeConfig {
    /// SNTP servers by name or address; without any, those that DHCP offers are used.
    pub ntp: Vec<String>,
}

/// `[machine.watchdog]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchdogConfig {
    /// Whether to arm the hardware watchdog.
    pub enabled: bool,
    /// How long the main loop may stand still before the hardware resets the machine.
    pub timeout_s: u32,
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        Self { enabled: true, timeout_s: 60 }
    }
}

impl MachineConfig {
    /// Reads the `[machine]` table of a seed file and checks it.
    pub fn from_seed(seed: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(seed)
            .map_err(|_| invalid("the file is not UTF-8 text; write it as a TOML document"))?;
        let seed: SeedFile = toml::from_str(text).map_err(|source| invalid(source.to_string()))?;
        seed.machine.check()?;
        Ok(seed.machine)
    }

    fn check(&self) -> Result<()> {
        self.network.check()?;
        if !(10..=600).contains(&self.watchdog.timeout_s) {
            return Err(invalid("machine.watchdog.timeout_s must be between 10 and 600"));
        }
        let usable = |name: &String| {
            !name.is_empty()
                && name.len() <= 253
                && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match self.time.ntp.iter().find(|name| !usable(name)) {
            Some(name) => Err(invalid(format!(
                "machine.time.ntp: {name:?} is neither a host name nor an address"
            ))),
            None => Ok(()),
        }
    }
}

impl NetworkConfig {
    /// Whether DHCPv4 is wanted.
    pub fn wants_dhcp(&self) -> bool {
        self.dhcp.unwrap_or_else(|| !self.addresses.iter().any(|prefix| prefix.address.is_ipv4()))
    }

    fn check(&self) -> Result<()> {
        let count_v4 = self.gateways.iter().filter(|gateway| gateway.is_ipv4()).count();
        if count_v4 > 1 || self.gateways.len() - count_v4 > 1 {
            return Err(invalid(
                "machine.network.gateways: at most one IPv4 and one IPv6 gateway; \
                 put further ones into machine.network.routes",
            ));
        }
        for gateway in &self.gateways {
            let same_family = |prefix: &Prefix| prefix.address.is_ipv4() == gateway.is_ipv4();
            if !self.addresses.iter().any(same_family) {
                return Err(invalid(format!(
                    "machine.network.gateways: {gateway} needs an address of its family in \
                     machine.network.addresses",
                )));
            }
        }
        for route in &self.routes {
            if route.to.address.is_ipv4() != route.via.is_ipv4() {
                return Err(invalid(format!(
                    "machine.network.routes: {} cannot be reached via {}, the address families \
                     differ",
                    route.to, route.via
                )));
            }
        }
        Ok(())
    }
}

/// An address and how many of its leading bits name the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix {
    /// The address, host bits included.
    pub address: IpAddr,
    /// 0–32 or 0–128.
    pub length: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("{text:?} is not an address with a prefix, such as \"192.0.2.7/24\"");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        let length_max = if address.is_ipv4() { 32 } else { 128 };
        if length > length_max {
            return Err(wrong());
        }
        Ok(Self { address, length })
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

/// A host name of one label or several, as RFC 1123 has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hostname(String);

impl Hostname {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Hostname {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let label_is_valid = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // The kernel's limit for a node name.
        if text.len() <= 64 && text.split('.').all(label_is_valid) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a host name: letters, digits and hyphens, at most 64"))
        }
    }
}

/// A link by its MAC address or its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LinkSelector {
    /// The hardware address, which stays the same when cards are added.
    Mac([u8; 6]),
    /// The kernel's name.
    Name(String),
}

impl LinkSelector {
    /// Whether a link is the one meant.
    pub fn matches(&self, name: &str, mac: [u8; 6]) -> bool {
        match self {
            Self::Mac(wanted) => *wanted == mac,
            Self::Name(wanted) => wanted == name,
        }
    }
}

impl TryFrom<String> for LinkSelector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let octets: Option<Vec<u8>> =
            text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
        if let Some(mac) = octets.and_then(|octets| <[u8; 6]>::try_from(octets).ok()) {
            return Ok(Self::Mac(mac));
        }
        let is_name = (1..=15).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':');
        if is_name {
            Ok(Self::Name(text))
        } else {
            Err(format!("{text:?} is neither a MAC address nor a link's name"))
        }
    }
}

/// Only `[machine]` is looked at here: the agent checks the rest.
#[derive(Deserialize)]
struct SeedFile {
    #[serde(default)]
    machine: MachineConfig,
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::Config { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_seed_is_the_default() {
        let config = MachineConfig::from_seed(b"").unwrap();
        assert_eq!(config, MachineConfig::default());
        assert!(config.network.wants_dhcp());
        assert_eq!(config.watchdog.timeout_s, 60);
    }

    #[test]
    fn the_agents_tables_are_not_looked_at() {
        let config = MachineConfig::from_seed(b"[api]\nport = 1\n[machine]\nhostname = \"n-7\"\n");
        assert_eq!(config.unwrap().hostname.unwrap().as_str(), "n-7");
    }

    #[test]
    fn a_full_table_is_read() {
        let seed = br#"
            [machine]
            hostname = "rack1.node7"
            [machine.network]
            interface = "52:54:00:12:34:56"
            addresses = ["192.0.2.7/24", "2001:db8::7/64"]
            gateways = ["192.0.2.1", "2001:db8::1"]
            dns = ["192.0.2.53"]
            [[machine.network.routes]]
            to = "10.0.0.0/8"
            via = "192.0.2.2"
            [machine.time]
            ntp = ["192.0.2.123", "time.example"]
            [machine.watchdog]
            timeout_s = 30
        "#;
        let config = MachineConfig::from_seed(seed).unwrap();
        assert!(!config.network.wants_dhcp());
        assert_eq!(config.network.addresses[1].to_string(), "2001:db8::7/64");
        let selector = config.network.interface.unwrap();
        assert!(selector.matches("eth0", [0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert!(!selector.matches("eth0", [0; 6]));
        assert_eq!(config.watchdog, WatchdogConfig { enabled: true, timeout_s: 30 });
    }

    #[test]
    fn mistakes_are_named() {
        for (seed, expected) in [
            ("[machine]\nhostnam = \"x\"", "hostnam"),
            ("[machine]\nhostname = \"a_b\"", "a_b"),
            ("[machine.network]\naddresses = [\"192.0.2.7\"]", "192.0.2.7/24"),
            ("[machine.network]\naddresses = [\"192.0.2.7/33\"]", "192.0.2.7/33"),
            ("[machine.network]\ngateways = [\"192.0.2.1\"]", "machine.network.addresses"),
            ("[machine.network]\ninterface = \"a/b\"", "a/b"),
            ("[machine.watchdog]\ntimeout_s = 1", "between 10 and 600"),
            ("[machine.time]\nntp = [\"a b\"]", "a b"),
            ("[machine.network]\nroutes = [{to = \"::/0\", via = \"192.0.2.1\"}]", "families"),
        ] {
            let message = MachineConfig::from_seed(seed.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
        assert!(MachineConfig::from_seed(b"\xff").is_err());
    }
}
