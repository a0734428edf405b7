//! The agent's side: plain reads of the file, every field checked.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{
    CONSOLE_RING_SIZE_BYTES, Counter, Counters, ExitReport, HEADER_SIZE_BYTES,
    REASON_SIZE_BYTES_MAX, Snapshot, State, layout,
};
use crate::Error;
use crate::control::Exit;

/// Reads a status page.
#[derive(Debug)]
pub struct Reader {
    file: File,
}

/// A piece of the console's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Position of the first byte, counted from the machine's start. Larger than asked for if the
    /// ring has overwritten what was asked for.
    pub offset: u64,
    /// The output: whatever the guest wrote, of no certain encoding.
    pub bytes: Vec<u8>,
}

impl Console {
    /// The position to ask for next.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

impl Reader {
    /// Opens the page at `path`.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        File::open(path).map(Reader::new).map_err(Error::io("open the status page"))
    }

    /// Reads the page in `file`.
    #[must_use]
    pub fn new(file: File) -> Reader {
        Reader { file }
    }

    /// State, exit and counters now.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut header = [0; HEADER_SIZE_BYTES];
        self.file.read_exact_at(&mut header, 0).map_err(Error::io("read the status page"))?;
        parse_header(&header)
    }

    /// Console output from position `offset` on, at most `size_bytes_max` bytes, less if there is
    /// less. Positions beyond the end give nothing.
    pub fn console(&self, offset: u64, size_bytes_max: usize) -> Result<Console, Error> {
        let total = self.snapshot()?.console_bytes;
        let offset = offset.max(oldest_kept(total)).min(total);
        let available = (total - offset).min(CONSOLE_RING_SIZE_BYTES as u64) as usize;
        let mut bytes = vec![0; available.min(size_bytes_max)];
        self.read_ring(offset, &mut bytes)?;

        // The guest may have overwritten the oldest of it meanwhile: drop what is not certain.
        let oldest = oldest_kept(self.snapshot()?.console_bytes);
        let stale = oldest.saturating_sub(offset).min(bytes.len() as u64);
        bytes.drain(..stale as usize);
        Ok(Console { offset: offset.saturating_add(stale), bytes })
    }

    fn read_ring(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let start = (offset % CONSOLE_RING_SIZE_BYTES as u64) as usize;
        let (first, wrapped) = bytes.split_at_mut(bytes.len().min(CONSOLE_RING_SIZE_BYTES - start));
        let base = HEADER_SIZE_BYTES as u64;
        self.file
            .read_exact_at(first, base + start as u64)
            .and_then(|()| self.file.read_exact_at(wrapped, base))
            .map_err(Error::io("read the console ring"))
    }
}

/// The oldest position that certainly is in the ring: the slot of position `total` may be half-way
/// to its next value, so one byte less than the ring holds.
fn oldest_kept(total: u64) -> u64 {
    total.saturating_sub(CONSOLE_RING_SIZE_BYTES as u64 - 1)
}

/// Decodes the header of a status page.
pub fn parse_header(header: &[u8; HEADER_SIZE_BYTES]) -> Result<Snapshot, Error> {
    let magic = &header[layout::MAGIC_OFFSET..][..layout::MAGIC.len()];
    if magic == [0; layout::MAGIC.len()] {
        // As `create` made it: the monitor has not come to it yet.
        let counters = Counters::default();
        return Ok(Snapshot { state: State::Starting, exit: None, counters, console_bytes: 0 });
    }
    if magic != layout::MAGIC {
        return Err(Error::StatusPage("the file is something else"));
    }
    if u32_at(header, layout::VERSION_OFFSET) != layout::VERSION {
        return Err(Error::StatusPage("another version: use agent and monitor of one release"));
    }
    let state = match u32_at(header, layout::STATE_OFFSET) {
        0 => State::Starting,
        1 => State::Running,
        2 => State::Stopped,
        _ => return Err(Error::StatusPage("unknown state")),
    };
    let exit = match state {
        State::Stopped => Some(parse_exit(header)?),
        State::Starting | State::Running => None,
    };
    let counters = Counters(
        Counter::ALL.map(|counter| u64_at(header, layout::COUNTERS_OFFSET + counter as usize * 8)),
    );
    let console_bytes = u64_at(header, layout::CONSOLE_TOTAL_OFFSET);
    Ok(Snapshot { state, exit, counters, console_bytes })
}

fn parse_exit(header: &[u8; HEADER_SIZE_BYTES]) -> Result<ExitReport, Error> {
    let exit = i32::try_from(u32_at(header, layout::EXIT_CODE_OFFSET))
        .ok()
        .and_then(Exit::from_code)
        .ok_or(Error::StatusPage("unknown exit code"))?;
    let size_bytes = u32_at(header, layout::REASON_SIZE_OFFSET) as usize;
    if size_bytes > REASON_SIZE_BYTES_MAX {
        return Err(Error::StatusPage("the reason of the exit is too long"));
    }
    let reason = &header[layout::REASON_OFFSET..][..size_bytes];
    Ok(ExitReport { exit, reason: String::from_utf8_lossy(reason).into_owned() })
}

fn u32_at(header: &[u8; HEADER_SIZE_BYTES], offset: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[offset..][..4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(header: &[u8; HEADER_SIZE_BYTES], offset: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[offset..][..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::status::{PAGE_SIZE_BYTES, Writer, create};

    fn page() -> (tempfile::TempDir, Writer, Reader) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status");
        let writer = Writer::new(&create(&path).unwrap()).unwrap();
        let reader = Reader::open(&path).unwrap();
        (dir, writer, reader)
    }

    #[test]
    fn a_life_is_readable_during_and_after_it() {
        let (_dir, writer, reader) = page();
        assert_eq!(reader.snapshot().unwrap().state, State::Starting);
        writer.set_running();
        writer.count(Counter::BlockRead, 3);
        writer.append_console(b"login: ");
        let snapshot = reader.snapshot().unwrap();
        assert_eq!(snapshot.state, State::Running);
        assert_eq!(snapshot.exit, None);
        assert_eq!(snapshot.counters.get(Counter::BlockRead), 3);
        assert_eq!(snapshot.counters, writer.counters());
        assert_eq!(snapshot.console_bytes, 7);
        writer.set_stopped(Exit::Reset, "the guest asked for a reset");
        drop(writer);
        let exit = reader.snapshot().unwrap().exit.unwrap();
        assert_eq!(exit.exit, Exit::Reset);
        assert_eq!(exit.reason, "the guest asked for a reset");
        let console = reader.console(0, 100).unwrap();
        assert_eq!(console, Console { offset: 0, bytes: b"login: ".to_vec() });
    }

    #[test]
    fn a_long_reason_is_cut() {
        let (_dir, writer, reader) = page();
        writer.set_stopped(Exit::Internal, &"é".repeat(REASON_SIZE_BYTES_MAX));
        let exit = reader.snapshot().unwrap().exit.unwrap();
        assert_eq!(exit.reason, "é".repeat(REASON_SIZE_BYTES_MAX / 2));
    }

    #[test]
    fn the_ring_keeps_the_last_output() {
        let (_dir, writer, reader) = page();
        let output: Vec<u8> =
            (0..CONSOLE_RING_SIZE_BYTES + 5000).map(|index| (index % 251) as u8).collect();
        writer.append_console(&output);
        let console = reader.console(0, usize::MAX).unwrap();
        assert_eq!(console.offset, 5001);
        assert_eq!(console.bytes, output[5001..]);
        assert_eq!(console.next_offset(), output.len() as u64);
        let piece = reader.console(6000, 10).unwrap();
        assert_eq!(piece, Console { offset: 6000, bytes: output[6000..6010].to_vec() });
        let beyond = reader.console(u64::MAX, 10).unwrap();
        assert_eq!(beyond, Console { offset: output.len() as u64, bytes: Vec::new() });
    }

    #[test]
    fn pages_that_are_not_ours_are_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(Writer::new(&file), Err(Error::StatusPage(_))));
        assert!(matches!(Reader::new(file).snapshot(), Err(Error::Io { .. })));
        let page = tempfile::tempfile().unwrap();
        page.set_len(PAGE_SIZE_BYTES as u64).unwrap();
        page.write_all_at(b"x", 7).unwrap();
        assert!(matches!(Reader::new(page).snapshot(), Err(Error::StatusPage(_))));
    }

    #[test]
    fn a_page_without_a_monitor_is_starting() {
        let dir = tempfile::tempdir().unwrap();
        let reader = Reader::new(create(&dir.path().join("status")).unwrap());
        assert_eq!(reader.snapshot().unwrap().state, State::Starting);
        assert_eq!(reader.console(5, 10).unwrap(), Console { offset: 0, bytes: Vec::new() });
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic(
            state in 0u32..4,
            total in any::<u64>(),
            exit_code in prop_oneof![any::<u32>(), 0u32..80],
            reason_size in prop_oneof![any::<u32>(), 0u32..600],
            offset in any::<u64>(),
            size in 0usize..2_000_000,
        ) {
            let file = tempfile::tempfile().unwrap();
            file.set_len(PAGE_SIZE_BYTES as u64).unwrap();
            file.write_all_at(&layout::MAGIC, layout::MAGIC_OFFSET as u64).unwrap();
            for (value, at) in [
                (layout::VERSION, layout::VERSION_OFFSET),
                (state, layout::STATE_OFFSET),
                (exit_code, layout::EXIT_CODE_OFFSET),
                (reason_size, layout::REASON_SIZE_OFFSET),
            ] {
                file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
            }
            file.write_all_at(&total.to_le_bytes(), layout::CONSOLE_TOTAL_OFFSET as u64).unwrap();
            let reader = Reader::new(file);
            if let Ok(console) = reader.console(offset, size) {
                prop_assert!(console.bytes.len() <= size.min(CONSOLE_RING_SIZE_BYTES));
                prop_assert!(console.next_offset() <= total);
            }
        }
    }
}
