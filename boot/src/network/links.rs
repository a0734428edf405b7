//! The physical links, as sysfs shows them, and the machine's global IPv6 addresses.

use std::{fs, net::Ipv6Addr, path::Path};

/// One physical link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// The kernel's name.
    pub name: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Whether a cable is in it and the other end answers.
    pub carrier: bool,
    /// How often that has changed: a cable may be out and in again between two looks.
    pub carrier_changes: u32,
}

/// Every link that has hardware behind it. Taps, bridges and the like are the agent's.
pub(super) fn physical(class: &Path) -> Vec<Link> {
    let Ok(entries) = fs::read_dir(class) else { return Vec::new() };
    let mut links: Vec<Link> = entries
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| {
            let read = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
            Some(Link {
                index: read("ifindex")?.trim().parse().ok()?,
                name: entry.file_name().into_string().ok()?,
                mac: parse_mac(read("address")?.trim())?,
                // Reading it from a link that is down is an error.
                carrier: read("carrier").is_some_and(|text| text.trim() == "1"),
                carrier_changes: read("carrier_changes")?.trim().parse().ok()?,
            })
        })
        .collect();
    links.sort_by_key(|link| link.index);
    links
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets?.try_into().ok()
}

/// A hardware address as people write it.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// `(link, address)` of every global IPv6 address, from `/proc/net/if_inet6`'s text.
pub(super) fn global_ipv6(table: &str) -> Vec<(u32, Ipv6Addr)> {
    /// `IFA_F_TENTATIVE` and `IFA_F_DADFAILED`: not, or not yet, ours.
    const UNUSABLE: u32 = 0x40 | 0x08;
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        let mut number = || u32::from_str_radix(fields.next()?, 16).ok();
        let (link, _length, scope, flags) = (number()?, number()?, number()?, number()?);
        (scope == 0 && flags & UNUSABLE == 0).then_some((link, Ipv6Addr::from(address)))
    };
    table.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_with_hardware_are_listed() {
        let class = tempfile::tempdir().unwrap();
        let link = |name: &str, device: bool, carrier: &str| {
            let path = class.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("ifindex"), "2\n").unwrap();
            fs::write(path.join("address"), "52:54:00:12:34:56\n").unwrap();
            fs::write(path.join("carrier"), carrier).unwrap();
            fs::write(path.join("carrier_changes"), "3\n").unwrap();
            if device {
                fs::create_dir(path.join("device")).unwrap();
            }
        };
        link("eth0", true, "1\n");
        link("tap0", false, "1\n");
        let links = physical(class.path());
        assert_eq!(links.len(), 1);
        assert_eq!((links[0].name.as_str(), links[0].carrier), ("eth0", true));
        assert_eq!(links[0].mac, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(mac_text(links[0].mac), "52:54:00:12:34:56");
    }

    #[test]
    fn only_usable_global_addresses_count() {
        let table = "\
            00000000000000000000000000000001 01 80 10 80       lo\n\
            fe80000000000000505400fffe123456 02 40 20 80     eth0\n\
            20010db8000000000000000000000009 02 40 00 00     eth0\n\
            20010db800000000000000000000000a 02 40 00 40     eth0\n\
            garbage\n";
        assert_eq!(global_ipv6(table), [(2, "2001:db8::9".parse().unwrap())]);
    }
}
