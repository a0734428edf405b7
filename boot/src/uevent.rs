//! Devices that appear after the boot: the kernel's messages about them.

use std::{io, os::fd::AsRawFd};

use netlink_sys::{Socket, protocols::NETLINK_KOBJECT_UEVENT};

/// A device that was added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// Such as `input`.
    pub subsystem: String,
    /// What a driver would match.
    pub modalias: Option<String>,
    /// The node below `/dev`.
    pub device_name: Option<String>,
}

/// The subscription.
pub(crate) struct Uevents {
    socket: Socket,
}

impl Uevents {
    /// Subscribes.
    pub(crate) fn open() -> io::Result<Self> {
        const KERNEL_GROUP: u32 = 1;
        let mut socket = Socket::new(NETLINK_KOBJECT_UEVENT)?;
        socket.bind_auto()?;
        socket.add_membership(KERNEL_GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// What has come in.
    pub(crate) fn drain(&self) -> Vec<Added> {
        let mut added = Vec::new();
        while let Ok((bytes, sender)) = self.socket.recv_from_full() {
            // Only the kernel has port 0; other processes may send here, too.
            if sender.port_number() == 0 {
                added.extend(parse(&bytes));
            }
        }
        added
    }
}

impl AsRawFd for Uevents {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

/// `add@/devices/…`, then `KEY=value`, each ended by a NUL.
fn parse(bytes: &[u8]) -> Option<Added> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split('\0');
    parts.next()?.strip_prefix("add@")?;
    let mut added = Added::default();
    for part in parts {
        match part.split_once('=') {
            Some(("SUBSYSTEM", value)) => added.subsystem = value.to_owned(),
            Some(("MODALIAS", value)) => added.modalias = Some(value.to_owned()),
            Some(("DEVNAME", value)) => added.device_name = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_read_and_the_rest_is_not() {
        let message = b"add@/devices/pci/x\0ACTION=add\0SUBSYSTEM=pci\0MODALIAS=pci:v1=2\0";
        let expected = Added {
            subsystem: "pci".to_owned(),
            modalias: Some("pci:v1=2".to_owned()),
            device_name: None,
        };
        assert_eq!(parse(message), Some(expected));
        assert_eq!(parse(b"remove@/devices/x\0ACTION=remove\0"), None);
        assert_eq!(parse(b"\xff"), None);
        assert_eq!(parse(b""), None);
    }
}
