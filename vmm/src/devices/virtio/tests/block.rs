//! A disk's driver.

use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::confine::Confinement;
use crate::control::RateLimit;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::throttle::SharedLimit;
use crate::status::Counter;

const INDIRECT: u64 = 0x4000;
const HEADER: u64 = 0x8000;
const STATUS: u64 = 0x8100;
const DEVICE: u64 = 0x2000;
const QUEUE_SIZE: u16 = 256;

const TYPE_IN: u32 = 0;
const TYPE_OUT: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_GET_ID: u32 = 8;

struct DiskDriver {
    driver: Driver,
    disk: File,
}

impl Deref for DiskDriver {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl DerefMut for DiskDriver {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.driver
    }
}

impl DiskDriver {
    fn new() -> DiskDriver {
        DiskDriver::limited(SharedLimit::default())
    }

    fn limited(limit: SharedLimit) -> DiskDriver {
        let disk = tempfile::tempfile().unwrap();
        disk.set_len(1 << 20).unwrap();
        let file = disk.try_clone().unwrap();
        let block =
            Block::new("disk0".into(), file, false, "serial", limit, &Confinement::none()).unwrap();
        DiskDriver { driver: Driver::new(block, 0), disk }
    }

    /// One honest request; returns its status byte.
    fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32)]) -> u8 {
        self.memory.write_obj(kind, GuestAddress(HEADER)).unwrap();
        self.memory.write_obj(sector, GuestAddress(HEADER + 8)).unwrap();
        self.memory.write_obj(0xeeu8, GuestAddress(STATUS)).unwrap();
        let direction = if kind == TYPE_OUT { 0 } else { WRITE };
        let mut chain = vec![Descriptor(HEADER, 16, NEXT, 1)];
        for (address, size) in data {
            let next = chain.len() as u16 + 1;
            chain.push(Descriptor(*address, *size, NEXT | direction, next));
        }
        chain.push(Descriptor(STATUS, 1, WRITE, 0));
        self.descriptors(DESCRIPTORS, &chain);
        self.publish(0);
        assert!(self.settle(), "an honest request is answered");
        self.memory.read_obj(GuestAddress(STATUS)).unwrap()
    }

    /// The disk works, from reset on.
    fn works_after_reset(&mut self) {
        self.start([DESCRIPTORS, AVAILABLE, USED]);
        assert_eq!(self.request(TYPE_FLUSH, 0, &[]), 0);
    }
}

#[test]
fn an_honest_driver_reads_writes_flushes_and_asks() {
    let mut driver = DiskDriver::new();
    driver.memory.write_slice(&[0xab; 1024], GuestAddress(DATA)).unwrap();
    assert_eq!(driver.request(TYPE_OUT, 4, &[(DATA, 1000), (DATA + 1000, 24)]), 0);
    assert_eq!(driver.request(TYPE_FLUSH, 0, &[]), 0);
    let mut disk = [0; 1024];
    driver.disk.read_exact_at(&mut disk, 4 * 512).unwrap();
    assert_eq!(disk, [0xab; 1024]);
    assert_eq!(driver.request(TYPE_IN, 5, &[(DATA + 0x1000, 512)]), 0);
    assert_eq!(driver.memory.read_obj::<u8>(GuestAddress(DATA + 0x1000 + 511)).unwrap(), 0xab);
    let written: u32 = driver.memory.read_obj(GuestAddress(USED + 4 + 2 * 8 + 4)).unwrap();
    assert_eq!(written, 513, "data and status byte");
    assert_eq!(driver.request(TYPE_GET_ID, 0, &[(DATA, 20)]), 0);
    assert_eq!(driver.memory.read_obj::<[u8; 7]>(GuestAddress(DATA)).unwrap(), *b"serial\0");
    assert_eq!(driver.request(TYPE_IN, 1 << 40, &[(DATA, 512)]), 1, "beyond the disk");
    assert_eq!(driver.request(99, 0, &[]), 2, "no such request");

    let counters = driver.status.counters();
    assert_eq!(counters.get(Counter::BlockReadBytes), 512);
    assert_eq!(counters.get(Counter::BlockWriteBytes), 1024);
    assert_eq!(counters.get(Counter::BlockError), 2);
    assert_eq!(driver.fired.0.load(Ordering::SeqCst), 6, "one interrupt per request");
    let mut capacity = [0; 8];
    driver.function.read_bar(DEVICE, &mut capacity);
    assert_eq!(u64::from_le_bytes(capacity), 2048);
}

#[test]
fn a_limit_holds_and_can_be_lifted_while_requests_wait() {
    let slow = RateLimit { operations_per_s: 1, operations_burst: 3, ..RateLimit::default() };
    let limit = SharedLimit::new(slow);
    let mut driver = DiskDriver::limited(limit.clone());
    for _ in 0..3 {
        assert_eq!(driver.request(TYPE_FLUSH, 0, &[]), 0);
    }
    let start = Instant::now();
    for _ in 0..2 {
        assert_eq!(driver.request(TYPE_FLUSH, 0, &[]), 0);
    }
    assert!(start.elapsed() > Duration::from_millis(900), "two more take a second at least");
    limit.set(RateLimit::default());
    for _ in 0..100 {
        assert_eq!(driver.request(TYPE_FLUSH, 0, &[]), 0);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "a hundred at the old rate take longer");
}

#[test]
fn an_indirect_table_is_followed_once() {
    let mut driver = DiskDriver::new();
    driver.memory.write_obj(TYPE_FLUSH, GuestAddress(HEADER)).unwrap();
    let chain = [Descriptor(HEADER, 16, NEXT, 1), Descriptor(STATUS, 1, WRITE, 0)];
    driver.descriptors(INDIRECT, &chain);
    driver.descriptors(DESCRIPTORS, &[Descriptor(INDIRECT, 32, INDIRECT_FLAG, 0)]);
    driver.publish(0);
    assert!(driver.settle());

    driver.descriptors(INDIRECT, &[Descriptor(INDIRECT, 16, INDIRECT_FLAG, 0)]);
    driver.publish(0);
    assert!(!driver.settle(), "a table in a table");
    driver.works_after_reset();
}

#[test]
fn hostile_chains_stop_the_device_until_it_is_reset() {
    let outside = MEMORY_SIZE_BYTES as u64;
    let header = Descriptor(HEADER, 16, NEXT, 1);
    let status = Descriptor(STATUS, 1, WRITE, 0);
    let cases: [(&str, Vec<Descriptor>); 9] = [
        ("loops", vec![header, Descriptor(DATA, 512, NEXT | WRITE, 1)]),
        ("points to itself", vec![Descriptor(HEADER, 16, NEXT, 0)]),
        ("next is beyond the table", vec![Descriptor(HEADER, 16, NEXT, 256)]),
        ("outside of memory", vec![header, Descriptor(outside, 512, NEXT | WRITE, 2), status]),
        ("half outside", vec![header, Descriptor(outside - 1, 2, NEXT | WRITE, 2), status]),
        ("wraps around", vec![header, Descriptor(u64::MAX, 2, NEXT | WRITE, 2), status]),
        ("no status byte", vec![Descriptor(HEADER, 16, 0, 0)]),
        ("short header", vec![Descriptor(HEADER, 15, NEXT, 1), status]),
        ("wrong order", vec![Descriptor(STATUS, 1, WRITE | NEXT, 1), Descriptor(HEADER, 16, 0, 0)]),
    ];
    let mut driver = DiskDriver::new();
    for (name, chain) in cases {
        driver.descriptors(DESCRIPTORS, &chain);
        driver.publish(0);
        assert!(!driver.settle(), "{name}");
        driver.works_after_reset();
    }
    assert_eq!(driver.status.counters().get(Counter::DeviceStopped), 9);
}

#[test]
fn hostile_rings_stop_the_device_until_it_is_reset() {
    let mut driver = DiskDriver::new();
    driver.publish(QUEUE_SIZE);
    assert!(!driver.settle(), "a head beyond the table");
    driver.works_after_reset();

    driver.memory.write_obj(QUEUE_SIZE + 2, GuestAddress(AVAILABLE + 2)).unwrap();
    driver.notify(0);
    driver.available[0] = 99;
    assert!(!driver.settle(), "more available than fits");
    driver.works_after_reset();

    let outside = MEMORY_SIZE_BYTES as u64;
    for rings in [
        [outside, AVAILABLE, USED],
        [DESCRIPTORS, outside - 100, USED],
        [DESCRIPTORS, AVAILABLE, u64::MAX - 3],
        [DESCRIPTORS + 1, AVAILABLE, USED],
    ] {
        driver.start(rings);
        assert_ne!(driver.device_status() & STATUS_NEEDS_RESET, 0, "{rings:x?}");
        driver.works_after_reset();
    }
}

#[test]
fn registers_are_reachable_through_configuration_space() {
    let mut driver = DiskDriver::new();
    // The last capability: bar, offset and length to fill in, then the data.
    let mut offset = 0x40u16;
    loop {
        let mut header = [0; 4];
        driver.function.read_config(offset, &mut header);
        if header[1] == 0 {
            break;
        }
        offset = u16::from(header[1]);
    }
    driver.function.write_config(offset + 8, &0x12u32.to_le_bytes());
    driver.function.write_config(offset + 12, &2u32.to_le_bytes());
    let mut queues = [0; 2];
    driver.function.read_config(offset + 16, &mut queues);
    assert_eq!(queues, [1, 0], "the number of queues");
    driver.function.write_config(offset + 12, &3u32.to_le_bytes());
    driver.function.read_config(offset + 16, &mut queues);
    assert_eq!(queues, [0, 0], "a length that does not exist");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_queue_content_breaks_the_device(
        table in proptest::collection::vec(
            (prop_oneof![0u64..0x11_0000, any::<u64>()], prop_oneof![0u32..2048, any::<u32>()],
             0u16..8, 0u16..20),
            1..16),
        heads in proptest::collection::vec(0u16..20, 1..8),
    ) {
        let mut driver = DiskDriver::new();
        let table: Vec<_> = table.iter().map(|t| Descriptor(t.0, t.1, t.2, t.3)).collect();
        driver.descriptors(DESCRIPTORS, &table);
        for head in heads {
            driver.publish(head);
        }
        // Chains may have overwritten the rings themselves: what the device does is its affair,
        // but a reset must end it.
        std::thread::sleep(Duration::from_millis(2));
        driver.works_after_reset();
    }
}
