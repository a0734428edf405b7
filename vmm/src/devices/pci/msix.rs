//! MSI-X: the table of messages, their masks, and what is pending behind a mask.
//!
//! All vectors are masked at reset. A message reaches the interrupt controller's routing only when
//! its vector opens (enabled, no mask), because each change of the routing is expensive.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::devices::MsiMessage;

/// Bytes of one table entry.
pub const ENTRY_SIZE_BYTES: u64 = 16;
/// Most vectors of one function, so that the pending bits are one word.
pub const VECTORS_MAX: u16 = 64;

const CONTROL_ENABLE: u16 = 1 << 15;
const CONTROL_MASK_ALL: u16 = 1 << 14;
const VECTOR_MASKED: u32 = 1;

/// Where open vectors go.
pub trait Sink: Send + Sync {
    /// From now on, firing `vector` sends `message`.
    fn route(&self, vector: u16, message: MsiMessage);
    /// Sends the vector's message.
    fn fire(&self, vector: u16);
}

/// The vectors of one function. Shared with the threads that serve its queues.
pub struct Msix {
    state: Mutex<State>,
    sink: Box<dyn Sink>,
}

struct State {
    enabled: bool,
    all_masked: bool,
    table: Vec<Entry>,
    pending: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    message: MsiMessage,
    masked: bool,
    /// What the sink was told last; it need not hear it again.
    routed: Option<MsiMessage>,
}

impl Msix {
    /// `vectors` masked vectors.
    #[must_use]
    pub fn new(vectors: u16, sink: Box<dyn Sink>) -> Msix {
        assert!((1..=VECTORS_MAX).contains(&vectors));
        let entry = Entry { message: MsiMessage::default(), masked: true, routed: None };
        let table = vec![entry; usize::from(vectors)];
        let state = State { enabled: false, all_masked: false, table, pending: 0 };
        Msix { state: Mutex::new(state), sink }
    }

    /// Number of vectors.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        self.state().table.len() as u16
    }

    /// A device wants the guest's attention. A vector that does not exist is no attention.
    pub fn signal(&self, vector: u16) {
        let mut state = self.state();
        if usize::from(vector) >= state.table.len() {
            return;
        }
        if state.is_open(vector) {
            self.sink.fire(vector);
        } else {
            state.pending |= 1 << vector;
        }
    }

    /// The guest wrote the message control word in configuration space.
    pub fn set_control(&self, control: u16) {
        let mut state = self.state();
        state.enabled = control & CONTROL_ENABLE != 0;
        state.all_masked = control & CONTROL_MASK_ALL != 0;
        for vector in 0..state.table.len() as u16 {
            self.open(&mut state, vector);
        }
    }

    /// The guest reads the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        let state = self.state();
        let bytes = locate(offset, data.len()).and_then(|(vector, field)| {
            let entry = state.table.get(vector)?;
            entry.bytes().get(field..field + data.len()).map(<[u8]>::to_vec)
        });
        match bytes {
            Some(bytes) => data.copy_from_slice(&bytes),
            None => data.fill(0xff),
        }
    }

    /// The guest writes the table.
    pub fn write_table(&self, offset: u64, data: &[u8]) {
        let mut state = self.state();
        let Some((vector, field)) = locate(offset, data.len()) else {
            return;
        };
        let Some(entry) = state.table.get_mut(vector) else {
            return;
        };
        let mut bytes = entry.bytes();
        bytes[field..field + data.len()].copy_from_slice(data);
        entry.set_bytes(bytes);
        self.open(&mut state, vector as u16);
    }

    /// The guest reads the pending bits.
    pub fn read_pending(&self, offset: u64, data: &mut [u8]) {
        let bytes = self.state().pending.to_le_bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match bytes.get(start..start.saturating_add(data.len())) {
            Some(bytes) => data.copy_from_slice(bytes),
            None => data.fill(0),
        }
    }

    /// If the vector is open: route its message, and deliver what waited for it.
    fn open(&self, state: &mut State, vector: u16) {
        if !state.is_open(vector) {
            return;
        }
        let entry = &mut state.table[usize::from(vector)];
        if entry.routed != Some(entry.message) {
            entry.routed = Some(entry.message);
            self.sink.route(vector, entry.message);
        }
        if state.pending & (1 << vector) != 0 {
            state.pending &= !(1 << vector);
            self.sink.fire(vector);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_open(&self, vector: u16) -> bool {
        self.enabled && !self.all_masked && !self.table[usize::from(vector)].masked
    }
}

impl Entry {
    fn bytes(&self) -> [u8; ENTRY_SIZE_BYTES as usize] {
        let mut bytes = [0; ENTRY_SIZE_BYTES as usize];
        bytes[..8].copy_from_slice(&self.message.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.message.data.to_le_bytes());
        bytes[12..].copy_from_slice(&u32::from(self.masked).to_le_bytes());
        bytes
    }

    fn set_bytes(&mut self, bytes: [u8; ENTRY_SIZE_BYTES as usize]) {
        let word = |start: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[start..start + 4]);
            u32::from_le_bytes(word)
        };
        self.message.address = u64::from(word(0)) | (u64::from(word(4)) << 32);
        self.message.data = word(8);
        self.masked = word(12) & VECTOR_MASKED != 0;
    }
}

/// Vector and offset in its entry: only aligned accesses of four or eight bytes exist.
fn locate(offset: u64, size: usize) -> Option<(usize, usize)> {
    if !matches!(size, 4 | 8) || !offset.is_multiple_of(size as u64) {
        return None;
    }
    let vector = usize::try_from(offset / ENTRY_SIZE_BYTES).ok()?;
    Some((vector, (offset % ENTRY_SIZE_BYTES) as usize))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Event {
        Route(u16, MsiMessage),
        Fire(u16),
    }

    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<Event>>>);

    impl Recorder {
        fn take(&self) -> Vec<Event> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Sink for Recorder {
        fn route(&self, vector: u16, message: MsiMessage) {
            self.0.lock().unwrap().push(Event::Route(vector, message));
        }
        fn fire(&self, vector: u16) {
            self.0.lock().unwrap().push(Event::Fire(vector));
        }
    }

    fn program(msix: &Msix, vector: u64, message: MsiMessage) {
        let base = vector * ENTRY_SIZE_BYTES;
        msix.write_table(base, &message.address.to_le_bytes());
        msix.write_table(base + 8, &message.data.to_le_bytes());
    }

    #[test]
    fn vectors_start_masked_and_are_routed_once_when_they_open() {
        let events = Recorder::default();
        let msix = Msix::new(2, Box::new(events.clone()));
        let message = MsiMessage { address: 0xfee0_0000, data: 0x31 };
        msix.set_control(CONTROL_ENABLE);
        program(&msix, 1, message);
        assert_eq!(events.take(), [], "masked: nothing was routed");
        msix.signal(1);
        let mut pending = [0; 8];
        msix.read_pending(0, &mut pending);
        assert_eq!(pending, [2, 0, 0, 0, 0, 0, 0, 0]);

        msix.write_table(28, &0u32.to_le_bytes());
        assert_eq!(events.take(), [Event::Route(1, message), Event::Fire(1)]);
        msix.read_pending(0, &mut pending);
        assert_eq!(pending, [0; 8]);

        msix.signal(1);
        msix.write_table(28, &1u32.to_le_bytes());
        msix.signal(1);
        msix.write_table(28, &0u32.to_le_bytes());
        assert_eq!(events.take(), [Event::Fire(1), Event::Fire(1)], "the same message again");
    }

    #[test]
    fn the_function_mask_holds_all_vectors_back() {
        let events = Recorder::default();
        let msix = Msix::new(1, Box::new(events.clone()));
        msix.set_control(CONTROL_ENABLE | CONTROL_MASK_ALL);
        msix.write_table(12, &0u32.to_le_bytes());
        msix.signal(0);
        assert_eq!(events.take(), []);
        msix.set_control(CONTROL_ENABLE);
        assert_eq!(events.take(), [Event::Route(0, MsiMessage::default()), Event::Fire(0)]);
        msix.signal(7);
        msix.signal(u16::MAX);
        assert_eq!(events.take(), [], "vectors that do not exist");
    }

    proptest! {
        #[test]
        fn any_access_is_harmless(
            accesses in proptest::collection::vec(
                (0u8..5, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..10)), 0..200)
        ) {
            let events = Recorder::default();
            let msix = Msix::new(3, Box::new(events.clone()));
            for (kind, offset, mut data) in accesses {
                let near = offset % 80;
                match kind {
                    0 => msix.write_table(near, &data),
                    1 => msix.write_table(offset, &data),
                    2 => { msix.read_table(near, &mut data); msix.read_pending(near, &mut data) }
                    3 => msix.set_control(offset as u16),
                    _ => msix.signal(offset as u16 % 5),
                }
            }
            // A vector never fires before it was routed.
            let mut routed = [false; 3];
            for event in events.take() {
                match event {
                    Event::Route(vector, _) => routed[usize::from(vector)] = true,
                    Event::Fire(vector) => prop_assert!(routed[usize::from(vector)]),
                }
            }
        }
    }
}
