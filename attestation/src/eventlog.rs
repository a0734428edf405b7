//! The firmware's event log: what was measured before the operating system could speak.
//!
//! Both forms of the TCG PC Client specification are read: crypto-agile logs, and logs of SHA-1
//! events alone. The log itself proves nothing. Replaying it must give PCR values that a quote
//! covers, and even then an event's type and text are only as good as [`rules`] makes them,
//! because a PCR covers digests and nothing else.

pub mod difference;
pub mod rules;

use std::fmt;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::bytes::Reader;
use crate::digest::{Digest, sha256};
use crate::error::Error;
use crate::text::{printable, utf16, utf16_or_ascii};

/// The largest log that is read.
pub const EVENT_LOG_SIZE_BYTES_MAX: usize = 768 << 10;
/// The most events in a log.
pub const EVENTS_MAX: usize = 8192;
/// The most hash algorithms in a log.
const BANKS_MAX: u32 = 8;
/// PCRs of a PC client.
const PCRS: u32 = 24;

const SPEC_ID: &[u8] = b"Spec ID Event03\0";
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";

/// A parsed log; it borrows the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct EventLog<'a> {
    /// The events in their order, without the header of a crypto-agile log.
    pub events: Vec<Event<'a>>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Its place in the log; a crypto-agile log's header has place 0.
    pub index: usize,
    /// The PCR it is about.
    pub pcr: u32,
    /// Its type, which no digest covers.
    pub kind: EventKind,
    digests: Vec<(Algorithm, &'a [u8])>,
    /// Its data.
    pub data: &'a [u8],
}

/// A bank's hash algorithm, by its TPM identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm(pub u16);

impl Algorithm {
    /// SHA-1: read so that old logs can be, never believed.
    pub const SHA1: Self = Self(0x0004);
    /// SHA-256.
    pub const SHA256: Self = Self(0x000b);
}

/// An event's type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKind(pub u32);

macro_rules! event_kinds {
    ($($name:ident = $value:literal,)*) => {
        #[allow(missing_docs, reason = "the names are those of the TCG specification")]
        impl EventKind {
            $(pub const $name: Self = Self($value);)*

            /// Every type known here.
            pub const KNOWN: &[(Self, &'static str)] = &[
                $((Self($value), concat!("EV_", stringify!($name))),)*
            ];
        }
    };
}

event_kinds! {
    POST_CODE = 0x1,
    NO_ACTION = 0x3,
    SEPARATOR = 0x4,
    ACTION = 0x5,
    EVENT_TAG = 0x6,
    S_CRTM_CONTENTS = 0x7,
    S_CRTM_VERSION = 0x8,
    CPU_MICROCODE = 0x9,
    PLATFORM_CONFIG_FLAGS = 0xa,
    TABLE_OF_DEVICES = 0xb,
    COMPACT_HASH = 0xc,
    IPL = 0xd,
    IPL_PARTITION_DATA = 0xe,
    NONHOST_CODE = 0xf,
    NONHOST_CONFIG = 0x10,
    NONHOST_INFO = 0x11,
    OMIT_BOOT_DEVICE_EVENTS = 0x12,
    POST_CODE2 = 0x13,
    EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001,
    EFI_VARIABLE_BOOT = 0x8000_0002,
    EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003,
    EFI_BOOT_SERVICES_DRIVER = 0x8000_0004,
    EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005,
    EFI_GPT_EVENT = 0x8000_0006,
    EFI_ACTION = 0x8000_0007,
    EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008,
    EFI_HANDOFF_TABLES = 0x8000_0009,
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000a,
    EFI_HANDOFF_TABLES2 = 0x8000_000b,
    EFI_VARIABLE_BOOT2 = 0x8000_000c,
    EFI_GPT_EVENT2 = 0x8000_000d,
    EFI_HCRTM_EVENT = 0x8000_0010,
    EFI_VARIABLE_AUTHORITY = 0x8000_00e0,
    EFI_SPDM_FIRMWARE_BLOB = 0x8000_00e1,
    EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00e2,
    EFI_SPDM_DEVICE_POLICY = 0x8000_00e3,
    EFI_SPDM_DEVICE_AUTHORITY = 0x8000_00e4,
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::KNOWN.iter().find(|(kind, _)| kind == self) {
            Some((_, name)) => formatter.write_str(name),
            None => write!(formatter, "type {:#x}", self.0),
        }
    }
}

impl fmt::Debug for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<'a> EventLog<'a> {
    /// Parses a log to its last byte. Empty bytes are a log without events.
    ///
    /// # Errors
    /// When it is malformed or larger than any real one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("event log", bytes);
        if bytes.len() > EVENT_LOG_SIZE_BYTES_MAX {
            return Err(reader.malformed("it is larger than any real log"));
        }
        let mut events = Vec::new();
        if reader.is_empty() {
            return Ok(Self { events });
        }
        let first = sha1_event(&mut reader, 0)?;
        let header = (first.kind == EventKind::NO_ACTION && first.data.starts_with(SPEC_ID))
            .then(|| banks(first.data))
            .transpose()?;
        if header.is_none() {
            events.push(first);
        }
        let mut index: usize = 1;
        while !reader.is_empty() {
            if index >= EVENTS_MAX {
                return Err(reader.malformed("it has more events than any real log"));
            }
            events.push(match &header {
                Some(banks) => agile_event(&mut reader, index, banks)?,
                None => sha1_event(&mut reader, index)?,
            });
            index = index.saturating_add(1);
        }
        Ok(Self { events })
    }

    /// The events that were extended into `pcr`.
    pub fn extended_into(&self, pcr: u8) -> impl Iterator<Item = &Event<'a>> {
        self.events.iter().filter(move |event| event.pcr == u32::from(pcr) && event.is_extended())
    }

    /// The value that the log gives to a PCR of the SHA-256 bank; none when an event lacks that
    /// bank's digest.
    pub fn replay(&self, pcr: u8) -> Option<Digest> {
        let mut value = [0; 32];
        self.replay_bank::<Sha256>(Algorithm::SHA256, pcr, &mut value)?;
        Some(Digest(value))
    }

    /// As [`Self::replay`], for the SHA-1 bank.
    pub fn replay_sha1(&self, pcr: u8) -> Option<[u8; 20]> {
        let mut value = [0; 20];
        self.replay_bank::<Sha1>(Algorithm::SHA1, pcr, &mut value)?;
        Some(value)
    }

    /// The locality that started the TPM, where the log tells: it is where PCR 0 begins.
    pub fn startup_locality(&self) -> Option<u8> {
        self.events.iter().find_map(Event::startup_locality)
    }

    /// Whether Secure Boot was on, as measured into PCR 7; none when the log does not tell.
    pub fn secure_boot(&self) -> Option<bool> {
        let variable = self
            .extended_into(7)
            .filter(|event| event.kind == EventKind::EFI_VARIABLE_DRIVER_CONFIG)
            .filter_map(|event| Variable::parse(event.data).ok())
            .find(|variable| variable.name == "SecureBoot")?;
        Some(variable.content == [1])
    }

    /// What firmware calls its own version.
    pub fn firmware_version(&self) -> Option<String> {
        let event = self.extended_into(0).find(|event| event.kind == EventKind::S_CRTM_VERSION)?;
        let text = utf16_or_ascii(event.data);
        let is_text = |char: char| char.is_ascii_graphic() || char == ' ';
        let readable = !text.is_empty() && text.chars().all(is_text);
        Some(if readable { text } else { hex::encode(event.data.get(..16).unwrap_or(event.data)) })
    }

    fn replay_bank<H: sha2::Digest>(
        &self,
        algorithm: Algorithm,
        pcr: u8,
        value: &mut [u8],
    ) -> Option<()> {
        if let (0, Some(locality), Some(last)) = (pcr, self.startup_locality(), value.last_mut()) {
            *last = locality;
        }
        for event in self.extended_into(pcr) {
            let digest = event.digest(algorithm)?;
            let extended = H::new().chain_update(&*value).chain_update(digest).finalize();
            for (to, from) in value.iter_mut().zip(extended) {
                *to = from;
            }
        }
        Some(())
    }
}

impl<'a> Event<'a> {
    /// Its digest in one bank.
    pub fn digest(&self, algorithm: Algorithm) -> Option<&'a [u8]> {
        self.digests.iter().find(|(found, _)| *found == algorithm).map(|(_, digest)| *digest)
    }

    /// Its SHA-256 digest.
    pub fn sha256(&self) -> Option<Digest> {
        self.digest(Algorithm::SHA256)?.try_into().ok().map(Digest)
    }

    /// Whether it changes a PCR.
    pub fn is_extended(&self) -> bool {
        self.kind != EventKind::NO_ACTION
    }

    /// Whether each digest of a bank known here is the hash of the data.
    pub fn is_hash_of_data(&self) -> bool {
        let sha1 = || Sha1::digest(self.data);
        self.digest(Algorithm::SHA256).is_none_or(|digest| *digest == sha256(self.data).0)
            && self.digest(Algorithm::SHA1).is_none_or(|digest| *digest == *sha1())
    }

    /// What it measured, in a few words; empty when its data has no text.
    pub fn label(&self) -> String {
        match self.kind {
            EventKind::EFI_BOOT_SERVICES_APPLICATION
            | EventKind::EFI_BOOT_SERVICES_DRIVER
            | EventKind::EFI_RUNTIME_SERVICES_DRIVER => image_path(self.data).unwrap_or_default(),
            EventKind::EFI_VARIABLE_DRIVER_CONFIG | EventKind::EFI_VARIABLE_AUTHORITY => {
                Variable::parse(self.data).map(|variable| variable.name).unwrap_or_default()
            }
            EventKind::IPL => utf16_or_ascii(self.data),
            EventKind::EFI_ACTION | EventKind::S_CRTM_VERSION => utf16_or_ascii(self.data),
            _ => String::new(),
        }
    }

    fn startup_locality(&self) -> Option<u8> {
        let locality = self.data.strip_prefix(STARTUP_LOCALITY)?;
        (self.kind == EventKind::NO_ACTION).then_some(())?;
        locality.first().copied()
    }
}

/// A UEFI variable as firmware measures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    pub(crate) name: String,
    pub(crate) content: &'a [u8],
}

impl<'a> Variable<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("UEFI variable in the event log", data);
        reader.take(16)?;
        let name_units = length(&mut reader)?;
        let content_len = length(&mut reader)?;
        let name_len = name_units
            .checked_mul(2)
            .ok_or_else(|| reader.malformed("its name is longer than memory"))?;
        let name = reader.take(name_len)?;
        let content = reader.take(content_len)?;
        reader.finish()?;
        // A name is cut to what is printed, so one that begins like a known name is not that name.
        let name = if name.len() > 128 { String::new() } else { utf16(name) };
        Ok(Self { name, content })
    }
}

/// The device path in the data of an image's event, as exactly as that data has to be formed.
pub(crate) fn image_device_path(data: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new("image in the event log", data);
    reader.take(24)?;
    let path_len = length(&mut reader)?;
    let path = reader.take(path_len)?;
    reader.finish()?;
    Ok(path)
}

/// The file's path in the device path of an image's event.
fn image_path(data: &[u8]) -> Option<String> {
    const MEDIA_FILE: [u8; 2] = [4, 4];
    let mut reader = Reader::new("device path", image_device_path(data).ok()?);
    while !reader.is_empty() {
        let kind: [u8; 2] = reader.array().ok()?;
        let len = usize::from(reader.u16_le().ok()?).checked_sub(4)?;
        let content = reader.take(len).ok()?;
        if kind == MEDIA_FILE {
            return Some(utf16(content));
        }
    }
    None
}

fn length(reader: &mut Reader<'_>) -> Result<usize, Error> {
    let len = reader.u64_le()?;
    usize::try_from(len).map_err(|_| reader.malformed("a length is larger than memory"))
}

/// The banks that a crypto-agile log's header announces, with their digests' lengths.
fn banks(header: &[u8]) -> Result<Vec<(Algorithm, usize)>, Error> {
    let mut reader = Reader::new("event log's header", header);
    reader.take(SPEC_ID.len())?;
    // Platform class, version, errata and the size of UINTN.
    reader.take(8)?;
    let count = reader.u32_le()?;
    if count == 0 || count > BANKS_MAX {
        return Err(reader.malformed("it announces no bank or too many"));
    }
    let mut banks: Vec<(Algorithm, usize)> = Vec::new();
    for _ in 0..count {
        let algorithm = Algorithm(reader.u16_le()?);
        let len = usize::from(reader.u16_le()?);
        let expected = match algorithm {
            Algorithm::SHA1 => 20..=20,
            Algorithm::SHA256 => 32..=32,
            _ => 1..=64,
        };
        if !expected.contains(&len) || banks.iter().any(|(known, _)| *known == algorithm) {
            return Err(reader.malformed("it announces a bank twice or with a wrong length"));
        }
        banks.push((algorithm, len));
    }
    let vendor_len = usize::from(reader.u8()?);
    reader.take(vendor_len)?;
    reader.finish()?;
    Ok(banks)
}

fn sha1_event<'a>(reader: &mut Reader<'a>, index: usize) -> Result<Event<'a>, Error> {
    let (pcr, kind) = pcr_and_kind(reader)?;
    let digests = vec![(Algorithm::SHA1, reader.take(20)?)];
    Ok(Event { index, pcr, kind, digests, data: reader.sized_u32_le()? })
}

fn agile_event<'a>(
    reader: &mut Reader<'a>,
    index: usize,
    banks: &[(Algorithm, usize)],
) -> Result<Event<'a>, Error> {
    let (pcr, kind) = pcr_and_kind(reader)?;
    let count = reader.u32_le()?;
    if count > BANKS_MAX {
        return Err(reader.malformed("an event has too many digests"));
    }
    let mut digests: Vec<(Algorithm, &[u8])> = Vec::new();
    for _ in 0..count {
        let algorithm = Algorithm(reader.u16_le()?);
        let Some((_, len)) = banks.iter().find(|(known, _)| *known == algorithm) else {
            return Err(reader.malformed("an event has a digest that the header does not announce"));
        };
        if digests.iter().any(|(known, _)| *known == algorithm) {
            return Err(reader.malformed("an event has two digests of one bank"));
        }
        digests.push((algorithm, reader.take(*len)?));
    }
    Ok(Event { index, pcr, kind, digests, data: reader.sized_u32_le()? })
}

fn pcr_and_kind(reader: &mut Reader<'_>) -> Result<(u32, EventKind), Error> {
    let (pcr, kind) = (reader.u32_le()?, EventKind(reader.u32_le()?));
    // Events that extend nothing may name no PCR at all.
    if pcr >= PCRS && kind != EventKind::NO_ACTION {
        return Err(reader.malformed("an event is about a PCR that does not exist"));
    }
    Ok((pcr, kind))
}

/// `event 12 (EV_IPL .cmdline)`
impl fmt::Display for Event<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = printable(&self.label());
        let space = if label.is_empty() { "" } else { " " };
        write!(formatter, "event {} ({}{space}{label})", self.index, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ZERO;

    const BANKS: &[(u16, u16)] = &[(0x0b, 32), (0x0d, 64)];

    fn header(banks: &[(u16, u16)]) -> Vec<u8> {
        let mut data = SPEC_ID.to_vec();
        data.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 2]);
        data.extend_from_slice(&(banks.len() as u32).to_le_bytes());
        for (algorithm, len) in banks {
            data.extend_from_slice(&algorithm.to_le_bytes());
            data.extend_from_slice(&len.to_le_bytes());
        }
        data.push(0);
        sha1_bytes(0, EventKind::NO_ACTION, &data)
    }

    fn sha1_bytes(pcr: u32, kind: EventKind, data: &[u8]) -> Vec<u8> {
        let mut bytes = [pcr.to_le_bytes(), kind.0.to_le_bytes()].concat();
        bytes.extend_from_slice(&Sha1::digest(data));
        bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn agile_bytes(pcr: u32, algorithms: &[(u16, u16)], data: &[u8]) -> Vec<u8> {
        let mut bytes = [pcr.to_le_bytes(), EventKind::IPL.0.to_le_bytes()].concat();
        bytes.extend_from_slice(&(algorithms.len() as u32).to_le_bytes());
        for (algorithm, len) in algorithms {
            bytes.extend_from_slice(&algorithm.to_le_bytes());
            bytes.extend(std::iter::repeat_n(0x33, usize::from(*len)));
        }
        bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn problem(bytes: &[u8]) -> &'static str {
        match EventLog::parse(bytes) {
            Err(Error::Malformed { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn digests_of_other_banks_are_skipped() {
        let bytes = [header(BANKS), agile_bytes(11, BANKS, b"data")].concat();
        let log = EventLog::parse(&bytes).unwrap();
        assert_eq!(log.events.len(), 1);
        assert_eq!(log.events[0].index, 1);
        assert_eq!(log.events[0].sha256(), Some(Digest([0x33; 32])));
        assert_eq!(log.events[0].data, b"data");
        assert_eq!(log.replay(11), Some(crate::digest::extend(&ZERO, &Digest([0x33; 32]))));
        assert_eq!(log.replay(12), Some(ZERO));
    }

    #[test]
    fn an_event_without_the_banks_digest_leaves_its_pcr_unknown() {
        let bytes = [header(BANKS), agile_bytes(11, &BANKS[1..], b"")].concat();
        let log = EventLog::parse(&bytes).unwrap();
        assert_eq!(log.replay(11), None);
    }

    #[test]
    fn a_log_of_sha1_events_has_no_header() {
        let bytes = sha1_bytes(4, EventKind::SEPARATOR, &[0; 4]);
        let log = EventLog::parse(&bytes).unwrap();
        assert_eq!(log.events.len(), 1);
        assert!(log.events[0].is_hash_of_data());
        assert_eq!(log.replay(4), None);
        assert!(log.replay_sha1(4).is_some());
        assert!(EventLog::parse(&[]).unwrap().events.is_empty());
    }

    #[test]
    fn headers_that_lie_are_refused() {
        assert_eq!(problem(&header(&[])), "it announces no bank or too many");
        assert_eq!(problem(&header(&[(0x0b, 32); 9])), "it announces no bank or too many");
        let wrong = "it announces a bank twice or with a wrong length";
        assert_eq!(problem(&header(&[(0x0b, 20)])), wrong);
        assert_eq!(problem(&header(&[(0x0b, 32), (0x0b, 32)])), wrong);
        assert_eq!(problem(&header(&[(0x77, 0)])), wrong);
    }

    #[test]
    fn events_that_lie_are_refused() {
        let with = |event: Vec<u8>| [header(BANKS), event].concat();
        let unknown = agile_bytes(0, &[(0x0c, 48)], b"");
        assert_eq!(
            problem(&with(unknown)),
            "an event has a digest that the header does not announce"
        );
        let twice = agile_bytes(0, &[BANKS[0], BANKS[0]], b"");
        assert_eq!(problem(&with(twice)), "an event has two digests of one bank");
        let many = agile_bytes(0, &[BANKS[0]; 9], b"");
        assert_eq!(problem(&with(many)), "an event has too many digests");
        let nowhere = agile_bytes(24, BANKS, b"");
        assert_eq!(problem(&with(nowhere)), "an event is about a PCR that does not exist");
        let mut huge = agile_bytes(0, BANKS, b"");
        let end = huge.len() - 4;
        huge[end..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(problem(&with(huge)), "it ends too early");
    }

    #[test]
    fn logs_larger_than_real_ones_are_refused() {
        let bytes = vec![0; EVENT_LOG_SIZE_BYTES_MAX + 1];
        assert_eq!(problem(&bytes), "it is larger than any real log");
        let event = sha1_bytes(0, EventKind::IPL, b"");
        assert_eq!(problem(&event.repeat(EVENTS_MAX + 1)), "it has more events than any real log");
    }

    #[test]
    fn variables_with_more_or_less_than_they_say_are_refused() {
        let mut data = vec![0; 16];
        data.extend_from_slice(&2_u64.to_le_bytes());
        data.extend_from_slice(&1_u64.to_le_bytes());
        data.extend_from_slice(b"P\0K\0\x01");
        assert_eq!(Variable::parse(&data).unwrap(), Variable { name: "PK".into(), content: &[1] });
        data.push(0);
        assert!(Variable::parse(&data).is_err());
        data[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Variable::parse(&data).is_err());
    }
}
