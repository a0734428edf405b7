//! The common configuration structure: one state machine for all devices.
//!
//! The driver acknowledges, negotiates features, sets queues up, and is ready; each step is only
//! possible in its place, and whatever is out of place is ignored. Registers are accessed whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::FEATURE_VERSION_1;

/// Size of the structure.
pub const COMMON_CONFIG_SIZE_BYTES: u32 = 56;
/// The vector that means none.
pub const NO_VECTOR: u16 = 0xffff;

/// Status bit: the guest has seen the device.
pub const STATUS_ACKNOWLEDGE: u8 = 1;
/// Status bit: the guest has a driver for it.
pub const STATUS_DRIVER: u8 = 2;
/// Status bit: the driver is ready.
pub const STATUS_DRIVER_OK: u8 = 4;
/// Status bit: the features are agreed on.
pub const STATUS_FEATURES_OK: u8 = 8;
/// Status bit: the device has stopped.
pub const STATUS_NEEDS_RESET: u8 = 64;
/// Status bit: the driver has given up.
pub const STATUS_FAILED: u8 = 128;

/// What a write asks the transport to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The driver is ready: start the device.
    Activate,
    /// The driver starts over: stop the device. The registers are reset already.
    Reset,
}

/// Vectors chosen by the driver, read by the device's threads.
#[derive(Debug)]
pub struct Vectors {
    config: AtomicU16,
    queues: Vec<AtomicU16>,
}

impl Vectors {
    fn new(queues: usize) -> Vectors {
        let none = || AtomicU16::new(NO_VECTOR);
        Vectors { config: none(), queues: (0..queues).map(|_| none()).collect() }
    }

    /// Vector for changes of the device.
    #[must_use]
    pub fn config(&self) -> u16 {
        self.config.load(Ordering::Acquire)
    }

    /// Vector of a queue.
    #[must_use]
    pub fn queue(&self, index: usize) -> u16 {
        self.queues.get(index).map_or(NO_VECTOR, |vector| vector.load(Ordering::Acquire))
    }

    fn reset(&self) {
        for vector in self.queues.iter().chain([&self.config]) {
            vector.store(NO_VECTOR, Ordering::Release);
        }
    }
}

/// A queue as the driver has set it up; not checked against the guest's memory yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// Number of descriptors: a power of two, at most what the device offers.
    pub size: u16,
    /// The driver uses the queue.
    pub enabled: bool,
    /// Guest address of the descriptor table.
    pub descriptors: u64,
    /// Guest address of the available ring.
    pub available: u64,
    /// Guest address of the used ring.
    pub used: u64,
}

/// The registers.
#[derive(Debug)]
pub struct CommonConfig {
    device_features: u64,
    driver_features: u64,
    device_feature_select: u32,
    driver_feature_select: u32,
    status: u8,
    queue_select: u16,
    queue_sizes_max: Vec<u16>,
    queues: Vec<QueueConfig>,
    vectors: Arc<Vectors>,
    vector_count: u16,
}

impl CommonConfig {
    /// Registers at reset, for a device with these features and largest queue sizes and a function
    /// with `vector_count` vectors.
    #[must_use]
    pub fn new(device_features: u64, queue_sizes_max: &[u16], vector_count: u16) -> CommonConfig {
        let mut config = CommonConfig {
            device_features,
            driver_features: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            status: 0,
            queue_select: 0,
            queue_sizes_max: queue_sizes_max.to_vec(),
            queues: Vec::new(),
            vectors: Arc::new(Vectors::new(queue_sizes_max.len())),
            vector_count,
        };
        config.reset();
        config
    }

    /// The vectors, to be shared with the device's threads.
    #[must_use]
    pub fn vectors(&self) -> Arc<Vectors> {
        self.vectors.clone()
    }

    /// What was agreed on.
    #[must_use]
    pub fn driver_features(&self) -> u64 {
        self.driver_features
    }

    /// The queues as set up.
    #[must_use]
    pub fn queues(&self) -> &[QueueConfig] {
        &self.queues
    }

    /// Tells the driver that the device has stopped.
    pub fn set_needs_reset(&mut self) {
        self.status |= STATUS_NEEDS_RESET;
    }

    /// The driver reads a register.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        let queue = self.queues.get(usize::from(self.queue_select));
        let value = match (offset, data.len()) {
            (0x00, 4) => self.device_feature_select.into(),
            (0x04, 4) => half(self.device_features, self.device_feature_select).into(),
            (0x08, 4) => self.driver_feature_select.into(),
            (0x0c, 4) => half(self.driver_features, self.driver_feature_select).into(),
            (0x10, 2) => self.vectors.config().into(),
            (0x12, 2) => self.queues.len() as u64,
            (0x14, 1) => self.status.into(),
            // Configuration generation: no device changes its configuration in several steps.
            (0x15, 1) => 0,
            (0x16, 2) => self.queue_select.into(),
            (0x18, 2) => queue.map_or(0, |queue| queue.size.into()),
            (0x1a, 2) => self.vectors.queue(usize::from(self.queue_select)).into(),
            (0x1c, 2) => queue.map_or(0, |queue| queue.enabled.into()),
            // Each queue has the notification register of its own number.
            (0x1e, 2) => queue.map_or(0, |_| self.queue_select.into()),
            (0x20 | 0x24, 4) => queue.map_or(0, |queue| word(queue.descriptors, offset)),
            (0x28 | 0x2c, 4) => queue.map_or(0, |queue| word(queue.available, offset)),
            (0x30 | 0x34, 4) => queue.map_or(0, |queue| word(queue.used, offset)),
            _ => return data.fill(0),
        };
        data.copy_from_slice(&value.to_le_bytes()[..data.len()]);
    }

    /// The driver writes a register.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Option<Transition> {
        let mut bytes = [0; 4];
        bytes.get_mut(..data.len())?.copy_from_slice(data);
        let value = u32::from_le_bytes(bytes);
        match (offset, data.len()) {
            (0x00, 4) => self.device_feature_select = value,
            (0x08, 4) => self.driver_feature_select = value,
            (0x0c, 4) => self.write_driver_features(value),
            (0x10, 2) => self.write_vector(None, value as u16),
            (0x14, 1) => return self.write_status(value as u8),
            (0x16, 2) => self.queue_select = value as u16,
            (0x1a, 2) => self.write_vector(Some(usize::from(self.queue_select)), value as u16),
            _ => self.write_queue(offset, data.len(), value),
        }
        None
    }

    fn write_driver_features(&mut self, value: u32) {
        if self.status & STATUS_DRIVER == 0 || self.status & STATUS_FEATURES_OK != 0 {
            return;
        }
        let shift = match self.driver_feature_select {
            0 => 0,
            1 => 32,
            _ => return,
        };
        self.driver_features &= !(0xffff_ffff << shift);
        self.driver_features |= u64::from(value) << shift;
    }

    /// A vector that does not exist is refused: the register then reads as none.
    fn write_vector(&mut self, queue: Option<usize>, vector: u16) {
        let register = match queue {
            None => Some(&self.vectors.config),
            Some(index) => self.vectors.queues.get(index),
        };
        let vector = if vector < self.vector_count { vector } else { NO_VECTOR };
        if let Some(register) = register {
            register.store(vector, Ordering::Release);
        }
    }

    fn write_status(&mut self, value: u8) -> Option<Transition> {
        if value == 0 {
            self.reset();
            return Some(Transition::Reset);
        }
        let added = value & !self.status;
        // Each step may only follow the one before it. Bits are never taken back.
        for (bit, needed) in [
            (STATUS_ACKNOWLEDGE, 0),
            (STATUS_DRIVER, STATUS_ACKNOWLEDGE),
            (STATUS_FEATURES_OK, STATUS_DRIVER),
            (STATUS_DRIVER_OK, STATUS_FEATURES_OK),
        ] {
            let refused = bit == STATUS_FEATURES_OK && !self.features_are_acceptable();
            if added & bit != 0 && self.status & needed == needed && !refused {
                self.status |= bit;
            }
        }
        self.status |= added & STATUS_FAILED;
        let became_ready = added & self.status & STATUS_DRIVER_OK != 0;
        became_ready.then_some(Transition::Activate)
    }

    fn features_are_acceptable(&self) -> bool {
        self.driver_features & !self.device_features == 0
            && self.driver_features & FEATURE_VERSION_1 != 0
    }

    /// Queues are set up between the features and the driver's readiness, and not after they were
    /// enabled.
    fn write_queue(&mut self, offset: u64, size: usize, value: u32) {
        let in_set_up = self.status & (STATUS_FEATURES_OK | STATUS_DRIVER_OK) == STATUS_FEATURES_OK;
        let index = usize::from(self.queue_select);
        let Some(queue) = self.queues.get_mut(index).filter(|queue| in_set_up && !queue.enabled)
        else {
            return;
        };
        match (offset, size) {
            (0x18, 2) => {
                let size = value as u16;
                if size.is_power_of_two() && size <= self.queue_sizes_max[index] {
                    queue.size = size;
                }
            }
            (0x1c, 2) => queue.enabled = value == 1,
            (0x20 | 0x24, 4) => set_word(&mut queue.descriptors, offset, value),
            (0x28 | 0x2c, 4) => set_word(&mut queue.available, offset, value),
            (0x30 | 0x34, 4) => set_word(&mut queue.used, offset, value),
            _ => {}
        }
    }

    fn reset(&mut self) {
        self.driver_features = 0;
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.status = 0;
        self.queue_select = 0;
        self.queues = self
            .queue_sizes_max
            .iter()
            .map(|&size| QueueConfig {
                size,
                enabled: false,
                descriptors: 0,
                available: 0,
                used: 0,
            })
            .collect();
        self.vectors.reset();
    }
}

/// The half of a feature set that a select register names.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}

/// The half of an address that lies at a register offset: low words at multiples of eight.
fn word(address: u64, offset: u64) -> u64 {
    (address >> shift(offset)) & 0xffff_ffff
}

fn set_word(address: &mut u64, offset: u64, value: u32) {
    *address &= !(0xffff_ffff << shift(offset));
    *address |= u64::from(value) << shift(offset);
}

fn shift(offset: u64) -> u32 {
    if offset.is_multiple_of(8) { 0 } else { 32 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FEATURES: u64 = FEATURE_VERSION_1 | 0b101;

    fn device() -> CommonConfig {
        CommonConfig::new(FEATURES, &[256, 64], 3)
    }

    fn read(config: &CommonConfig, offset: u64, size: usize) -> u32 {
        let mut data = [0; 4];
        config.read(offset, &mut data[..size]);
        u32::from_le_bytes(data)
    }

    fn write(
        config: &mut CommonConfig,
        offset: u64,
        size: usize,
        value: u32,
    ) -> Option<Transition> {
        config.write(offset, &value.to_le_bytes()[..size])
    }

    fn negotiate(config: &mut CommonConfig, features: u64) {
        write(config, 0x14, 1, 1);
        write(config, 0x14, 1, 3);
        for select in 0..2 {
            write(config, 0x08, 4, select);
            write(config, 0x0c, 4, (features >> (32 * select)) as u32);
        }
        write(config, 0x14, 1, 11);
    }

    #[test]
    fn a_driver_that_follows_the_specification_becomes_ready() {
        let mut config = device();
        write(&mut config, 0x00, 4, 1);
        assert_eq!(read(&config, 0x04, 4), 1, "version 1 is offered");
        negotiate(&mut config, FEATURES);
        assert_eq!(read(&config, 0x14, 1), 11);
        assert_eq!(read(&config, 0x12, 2), 2);
        write(&mut config, 0x16, 2, 1);
        assert_eq!(read(&config, 0x18, 2), 64);
        write(&mut config, 0x18, 2, 32);
        for (offset, value) in [(0x20, 0x1000), (0x24, 1), (0x28, 0x2000), (0x30, 0x3000)] {
            write(&mut config, offset, 4, value);
        }
        write(&mut config, 0x1a, 2, 2);
        write(&mut config, 0x1c, 2, 1);
        assert_eq!(write(&mut config, 0x14, 1, 15), Some(Transition::Activate));
        let expected = QueueConfig {
            size: 32,
            enabled: true,
            descriptors: 0x1_0000_1000,
            available: 0x2000,
            used: 0x3000,
        };
        assert_eq!(config.queues()[1], expected);
        assert_eq!(config.vectors().queue(1), 2);
        assert_eq!(config.driver_features(), FEATURES);

        write(&mut config, 0x20, 4, 0xbad0);
        assert_eq!(config.queues()[1], expected, "an active queue does not change");
        assert_eq!(write(&mut config, 0x14, 1, 15), None, "ready once only");
        assert_eq!(write(&mut config, 0x14, 1, 0), Some(Transition::Reset));
        assert_eq!(config.queues()[1].size, 64);
        assert_eq!(config.vectors().queue(1), NO_VECTOR);
    }

    #[test]
    fn features_that_were_not_offered_are_refused() {
        for features in [FEATURES | 2, FEATURES & !FEATURE_VERSION_1, FEATURES | 1 << 63] {
            let mut config = device();
            negotiate(&mut config, features);
            assert_eq!(read(&config, 0x14, 1), 3, "{features:#x}");
            assert_eq!(write(&mut config, 0x14, 1, 15), None);
        }
    }

    #[test]
    fn steps_cannot_be_skipped() {
        let mut config = device();
        for status in [4, 8, 12] {
            assert_eq!(write(&mut config, 0x14, 1, status), None);
            assert_eq!(read(&config, 0x14, 1), 0);
        }
        write(&mut config, 0x0c, 4, 5);
        assert_eq!(config.driver_features(), 0, "no features before there is a driver");
        write(&mut config, 0x1c, 2, 1);
        assert!(!config.queues()[0].enabled, "no queues before the features");
    }

    #[test]
    fn sizes_and_vectors_that_do_not_exist_are_refused() {
        let mut config = device();
        negotiate(&mut config, FEATURES);
        for size in [0, 3, 512, 0xffff] {
            write(&mut config, 0x18, 2, size);
            assert_eq!(config.queues()[0].size, 256);
        }
        write(&mut config, 0x10, 2, 2);
        assert_eq!(config.vectors().config(), 2);
        write(&mut config, 0x10, 2, 3);
        assert_eq!(config.vectors().config(), NO_VECTOR);
        write(&mut config, 0x16, 2, 9);
        write(&mut config, 0x1a, 2, 1);
        assert_eq!(read(&config, 0x1a, 2), u32::from(NO_VECTOR));
        assert_eq!(read(&config, 0x18, 2), 0);
    }

    proptest! {
        #[test]
        fn no_sequence_of_accesses_breaks_the_rules(
            accesses in proptest::collection::vec(
                (any::<bool>(), 0u64..64, prop_oneof![Just(1usize), Just(2), Just(4), 0usize..12],
                 prop_oneof![any::<u32>(), 0u32..16]),
                0..300)
        ) {
            let mut config = device();
            for (is_write, offset, size, value) in accesses {
                let mut data = [0u8; 12];
                data[..4].copy_from_slice(&value.to_le_bytes());
                if !is_write {
                    config.read(offset, &mut data[..size]);
                    continue;
                }
                let transition = config.write(offset, &data[..size]);
                let status = read(&config, 0x14, 1) as u8;
                if transition == Some(Transition::Activate) {
                    prop_assert_eq!(status & 15, 15);
                    prop_assert_eq!(config.driver_features() & !FEATURES, 0);
                }
                if status & STATUS_DRIVER_OK != 0 {
                    prop_assert!(status & STATUS_FEATURES_OK != 0);
                }
                for (queue, max) in config.queues().iter().zip([256, 64]) {
                    prop_assert!(queue.size.is_power_of_two() && queue.size <= max);
                }
            }
        }
    }
}
