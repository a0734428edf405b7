use std::{fs, io, path::Path};

use aleph_types::JobId;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink, recv,
    sendto, socket_with,
};

/// The jobs that have a network interface here.
pub(crate) fn list(prefix: &str) -> Vec<JobId> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok())
        .collect()
}

/// Removes an interface, if it is there.
pub(crate) fn remove(name: &str) -> io::Result<()> {
    if !Path::new("/sys/class/net").join(name).exists() {
        return Ok(());
    }
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, &delete_link(name), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 4096];
    let (count, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    match error_number(&answer[..count]) {
        Some(0) => Ok(()),
        Some(error) => match io::Error::from_raw_os_error(error) {
            // Somebody else was faster.
            error if error.raw_os_error() == Some(NO_DEVICE) => Ok(()),
            error => Err(error),
        },
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

const RTM_DELLINK: u16 = 17;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const IFLA_IFNAME: u16 = 3;
const HEADER_BYTES: usize = 16;
const INTERFACE_BYTES: usize = 16;
const NO_DEVICE: i32 = 19;

/// A netlink message: header, an interface of no index, and the name as attribute.
fn delete_link(name: &str) -> Vec<u8> {
    let attribute_bytes = 4 + name.len() + 1;
    let message_bytes = HEADER_BYTES + INTERFACE_BYTES + attribute_bytes.next_multiple_of(4);
    let mut message = Vec::with_capacity(message_bytes);
    message.extend((message_bytes as u32).to_ne_bytes());
    message.extend(RTM_DELLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.resize(HEADER_BYTES + INTERFACE_BYTES, 0);
    message.extend((attribute_bytes as u16).to_ne_bytes());
    message.extend(IFLA_IFNAME.to_ne_bytes());
    message.extend(name.as_bytes());
    message.resize(message_bytes, 0);
    message
}

/// The error number in an answer, 0 for success.
fn error_number(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(HEADER_BYTES..HEADER_BYTES + 4)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(code.saturating_neg())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};

    use super::*;

    #[test]
    fn an_interface_is_listed_and_removed() {
        let prefix = format!("t{}x", id());
        let name = format!("{prefix}7");
        let added = Command::new("ip").args(["tuntap", "add", &name, "mode", "tap"]).output();
        match added {
            Ok(output) if output.status.success() => {}
            other => return println!("skipped: cannot make a tap here: {other:?}"),
        }
        assert_eq!(list(&prefix), [JobId(7)]);
        remove(&name).unwrap();
        assert_eq!(list(&prefix), []);
        remove(&name).unwrap();
    }

    #[test]
    fn the_kernels_refusal_is_an_error() {
        // The loopback interface cannot be removed by anybody.
        remove("lo").unwrap_err();
    }

    #[test]
    fn odd_answers_are_no_success() {
        assert_eq!(error_number(&[]), None);
        assert_eq!(error_number(&[0; 20]), None);
    }
}
