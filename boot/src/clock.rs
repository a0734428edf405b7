//! The time: never before the image's build, and corrected by SNTP (RFC 4330).
//!
//! SNTP is not authenticated. It is used because certificates and the chain need roughly the right
//! time; nothing in the attestation depends on it.

use std::{
    io,
    net::{ToSocketAddrs, UdpSocket},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, Timespec, clock_settime};

use crate::console::say;

/// How often the time is asked for once it is known.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// How soon to ask again while no server answers.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_secs(30);

const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
const PACKET_BYTES: usize = 48;

/// Seconds from 1900 to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// Smaller differences are left alone: stepping the clock disturbs more than they do.
const STEP_MIN: Duration = Duration::from_millis(250);

/// Moves a clock that is earlier than the image's build (an empty RTC battery) up to it.
pub(crate) fn raise_to(floor_epoch_s: u64) {
    let floor = UNIX_EPOCH + Duration::from_secs(floor_epoch_s);
    if SystemTime::now() < floor {
        say!("the clock was before the image's build time: set to it");
        report(step(floor));
    }
}

/// Asks the servers in their order until one answers, and steps the clock if it is off.
pub(crate) fn synchronise(servers: &[String], floor_epoch_s: u64) -> bool {
    for server in servers {
        match query(server) {
            Ok(offset) => {
                apply(server, offset, floor_epoch_s);
                return true;
            }
            Err(error) => say!("time server {server}: {error}"),
        }
    }
    false
}

/// A difference between two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offset {
    Ahead(Duration),
    Behind(Duration),
}

fn apply(server: &str, offset: Offset, floor_epoch_s: u64) {
    let now = SystemTime::now();
    let Some(target) = step_target(now, offset, floor_epoch_s) else { return };
    match offset {
        Offset::Ahead(by) => say!("clock put back by {:.1} s ({server})", by.as_secs_f64()),
        Offset::Behind(by) => say!("clock put on by {:.1} s ({server})", by.as_secs_f64()),
    }
    report(step(target));
}

/// Where to step to, if at all. A server that claims a time before the build is wrong.
fn step_target(now: SystemTime, offset: Offset, floor_epoch_s: u64) -> Option<SystemTime> {
    let target = match offset {
        Offset::Ahead(by) if by >= STEP_MIN => now.checked_sub(by)?,
        Offset::Behind(by) if by >= STEP_MIN => now.checked_add(by)?,
        _ => return None,
    };
    (target >= UNIX_EPOCH + Duration::from_secs(floor_epoch_s)).then_some(target)
}

fn step(to: SystemTime) -> io::Result<()> {
    let since_epoch = to.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let time = Timespec::try_from(since_epoch).map_err(io::Error::other)?;
    Ok(clock_settime(ClockId::Realtime, time)?)
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        say!("set the clock: {error}");
    }
}

fn query(server: &str) -> io::Result<Offset> {
    let address = (server, 123)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
    socket.connect(address)?;
    let sent = SystemTime::now();
    socket.send(&request(sent))?;
    let mut answer = [0; PACKET_BYTES + 1];
    let length = socket.recv(&mut answer)?;
    let received = SystemTime::now();
    offset_from(&answer[..length.min(PACKET_BYTES)], sent, received)
        .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

fn request(now: SystemTime) -> [u8; PACKET_BYTES] {
    /// Version 4, mode 3: client.
    const VERSION_AND_MODE: u8 = 0b00_100_011;
    let mut packet = [0; PACKET_BYTES];
    packet[0] = VERSION_AND_MODE;
    packet[40..].copy_from_slice(&to_ntp(now).to_be_bytes());
    packet
}

/// How far our clock is off, by the four time stamps.
fn offset_from(
    answer: &[u8],
    sent: SystemTime,
    received: SystemTime,
) -> Result<Offset, &'static str> {
    let answer: &[u8; PACKET_BYTES] = answer.try_into().map_err(|_| "the answer is too short")?;
    let stamp = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&answer[at..at + 8]);
        u64::from_be_bytes(bytes)
    };
    if answer[0] & 0b111 != 4 {
        return Err("the answer is not a server's");
    }
    if answer[0] >> 6 == 3 || answer[1] == 0 || answer[1] > 15 {
        return Err("the server does not know the time itself");
    }
    // The server repeats our time stamp: nobody off the path can answer in its place.
    if stamp(24) != to_ntp(sent) {
        return Err("the answer is to another question");
    }
    let server_received = from_ntp(stamp(32)).ok_or("the server's time is out of range")?;
    let server_sent = from_ntp(stamp(40)).ok_or("the server's time is out of range")?;
    // offset = ((t2 - t1) + (t3 - t4)) / 2, in signed nanoseconds since 1970.
    let nanos = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().cast_signed())
    };
    let doubled = (nanos(server_received) - nanos(sent)) + (nanos(server_sent) - nanos(received));
    let offset_ns = doubled / 2;
    let magnitude =
        Duration::from_nanos(u64::try_from(offset_ns.unsigned_abs()).unwrap_or(u64::MAX));
    Ok(if offset_ns < 0 { Offset::Ahead(magnitude) } else { Offset::Behind(magnitude) })
}

fn to_ntp(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs().wrapping_add(NTP_TO_UNIX_S) << 32) | fraction
}

/// The 32 bits of seconds wrap in 2036: small values are the next era.
fn from_ntp(stamp: u64) -> Option<SystemTime> {
    const ERA_S: u64 = 1 << 32;
    let seconds = stamp >> 32;
    let era = if seconds < NTP_TO_UNIX_S { ERA_S } else { 0 };
    let nanos = ((stamp & 0xffff_ffff) * 1_000_000_000) >> 32;
    UNIX_EPOCH
        .checked_add(Duration::from_secs((seconds + era).checked_sub(NTP_TO_UNIX_S)?))?
        .checked_add(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn answer(sent: SystemTime, server: SystemTime) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        packet[0] = 0b00_100_100;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&to_ntp(sent).to_be_bytes());
        packet[32..40].copy_from_slice(&to_ntp(server).to_be_bytes());
        packet[40..48].copy_from_slice(&to_ntp(server).to_be_bytes());
        packet
    }

    #[test]
    fn the_offset_takes_half_the_round_trip_off() {
        let packet = answer(at(1000), at(5001));
        let offset = offset_from(&packet, at(1000), at(1002)).unwrap();
        assert_eq!(offset, Offset::Behind(Duration::from_secs(4000)));
        let offset = offset_from(&answer(at(5000), at(1001)), at(5000), at(5002)).unwrap();
        assert_eq!(offset, Offset::Ahead(Duration::from_secs(4000)));
    }

    #[test]
    fn wrong_answers_are_refused() {
        let good = answer(at(1000), at(1000));
        assert!(offset_from(&good[..47], at(1000), at(1000)).is_err());
        assert!(offset_from(&good, at(1001), at(1001)).is_err());
        for (index, value) in [(0, 0b00_100_011), (0, 0b11_100_100), (1, 0), (1, 16)] {
            let mut bad = good;
            bad[index] = value;
            assert!(offset_from(&bad, at(1000), at(1000)).is_err());
        }
    }

    #[test]
    fn the_clock_is_never_put_before_the_build() {
        let back = |seconds| Offset::Ahead(Duration::from_secs(seconds));
        assert_eq!(step_target(at(10_000), back(1_000), 8_000), Some(at(9_000)));
        assert_eq!(step_target(at(10_000), back(5_000), 8_000), None);
        assert_eq!(step_target(at(10_000), Offset::Behind(Duration::from_millis(9)), 0), None);
    }

    #[test]
    fn time_stamps_go_through_the_wire_form_and_beyond_2036() {
        for time in [at(1_700_000_000), at(2_085_978_495), at(2_085_978_496), at(3_000_000_000)] {
            assert_eq!(from_ntp(to_ntp(time)).unwrap(), time);
        }
    }
}
