//! Drivers, honest or not, against whole devices: registers, queues, thread and backend, without
//! KVM.

mod block;
mod entropy;
mod net;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use vm_memory::{Bytes, GuestAddress};

use super::common_config::STATUS_NEEDS_RESET;
use super::transport::VirtioFunction;
use super::{FEATURE_INDIRECT_DESCRIPTORS, FEATURE_VERSION_1, VirtioDevice};
use crate::devices::MsiMessage;
use crate::devices::pci::PciFunction;
use crate::devices::pci::msix::Sink;
use crate::memory::GuestMemory;
use crate::status;

const MEMORY_SIZE_BYTES: usize = 0x20_0000;
/// Where the rings of queue 0 lie; those of queue `n` lie `n` strides further.
const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const QUEUE_STRIDE: u64 = 0x3000;
const DATA: u64 = 0x10_0000;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT_FLAG: u16 = 4;

const NOTIFY: u64 = 0x3000;
const TABLE: u64 = 0x4000;

#[derive(Clone, Copy)]
struct Descriptor(u64, u32, u16, u16);

#[derive(Clone, Default)]
struct Fired(Arc<AtomicUsize>);

impl Sink for Fired {
    fn route(&self, _vector: u16, _message: MsiMessage) {}
    fn fire(&self, _vector: u16) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A driver of any device.
struct Driver {
    function: VirtioFunction,
    memory: GuestMemory,
    status: Arc<status::Writer>,
    fired: Fired,
    features: u64,
    queue_sizes: Vec<u16>,
    available: Vec<u16>,
}

impl Driver {
    /// A ready driver that has agreed on `features` besides the usual ones.
    fn new(device: impl VirtioDevice + 'static, features: u64) -> Driver {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), MEMORY_SIZE_BYTES)]).unwrap();
        let page = tempfile::tempfile().unwrap();
        page.set_len(status::PAGE_SIZE_BYTES as u64).unwrap();
        let status = Arc::new(status::Writer::new(&page).unwrap());
        let queue_sizes = device.queue_sizes().to_vec();
        let fired = Fired::default();
        let sink = Box::new(fired.clone());
        let function = VirtioFunction::new(
            Box::new(device),
            0xc000_0000,
            memory.clone(),
            sink,
            status.clone(),
        )
        .unwrap();
        let available = vec![0; queue_sizes.len()];
        let features = features | FEATURE_VERSION_1 | FEATURE_INDIRECT_DESCRIPTORS;
        let mut driver =
            Driver { function, memory, status, fired, features, queue_sizes, available };
        driver.start([DESCRIPTORS, AVAILABLE, USED]);
        driver
    }

    /// Goes all the way from reset to a ready driver, with the rings of queue 0 at these addresses.
    fn start(&mut self, rings: [u64; 3]) {
        self.write(0x14, 1, 0);
        self.available.fill(0);
        let queues = self.queue_sizes.len();
        let rings_size = queues * QUEUE_STRIDE as usize;
        self.memory.write_slice(&vec![0; rings_size], GuestAddress(DESCRIPTORS)).unwrap();
        for vector in 0..=queues as u64 {
            self.write(TABLE + vector * 16 + 12, 4, 0);
        }
        // MSI-X is the first capability: its control word at 0x42.
        self.function.write_config(0x42, &0x8000u16.to_le_bytes());
        self.write(0x14, 1, 1);
        self.write(0x14, 1, 3);
        for select in 0..2 {
            self.write(0x08, 4, select);
            self.write(0x0c, 4, (self.features >> (32 * select)) as u32);
        }
        self.write(0x14, 1, 11);
        self.write(0x10, 2, 0);
        for queue in 0..queues {
            self.write(0x16, 2, queue as u32);
            self.write(0x1a, 2, queue as u32 + 1);
            for (offset, address) in [0x20, 0x28, 0x30].into_iter().zip(rings) {
                let address = address.wrapping_add(queue as u64 * QUEUE_STRIDE);
                self.write(offset, 4, address as u32);
                self.write(offset + 4, 4, (address >> 32) as u32);
            }
            self.write(0x1c, 2, 1);
        }
        self.write(0x14, 1, 15);
    }

    fn write(&mut self, offset: u64, size: usize, value: u32) {
        self.function.write_bar(offset, &value.to_le_bytes()[..size]);
    }

    fn device_status(&mut self) -> u8 {
        let mut data = [0];
        self.function.read_bar(0x14, &mut data);
        data[0]
    }

    /// Writes a table of descriptors.
    fn descriptors(&self, table: u64, descriptors: &[Descriptor]) {
        for (Descriptor(address, size, flags, next), index) in descriptors.iter().zip(0u64..) {
            let at = |offset| GuestAddress(table + index * 16 + offset);
            self.memory.write_obj(*address, at(0)).unwrap();
            self.memory.write_obj(*size, at(8)).unwrap();
            self.memory.write_obj(*flags, at(12)).unwrap();
            self.memory.write_obj(*next, at(14)).unwrap();
        }
    }

    /// Makes a chain available in queue 0 and notifies.
    fn publish(&mut self, head: u16) {
        self.publish_in(0, head);
    }

    fn publish_in(&mut self, queue: usize, head: u16) {
        let ring = AVAILABLE + queue as u64 * QUEUE_STRIDE;
        let size = self.queue_sizes[queue];
        let available = &mut self.available[queue];
        let slot = ring + 4 + u64::from(*available % size) * 2;
        self.memory.write_obj(head, GuestAddress(slot)).unwrap();
        *available = available.wrapping_add(1);
        self.memory.write_obj(*available, GuestAddress(ring + 2)).unwrap();
        self.notify(queue);
    }

    /// Notifies as the kernel does for a running guest.
    fn notify(&mut self, queue: usize) {
        self.write(NOTIFY + queue as u64 * 4, 2, queue as u32);
    }

    fn used(&self) -> u16 {
        self.used_in(0)
    }

    fn used_in(&self, queue: usize) -> u16 {
        let ring = USED + queue as u64 * QUEUE_STRIDE;
        self.memory.read_obj(GuestAddress(ring + 2)).unwrap()
    }

    /// Head and length of an entry of a used ring.
    fn used_entry(&self, queue: usize, index: u16) -> (u32, u32) {
        let size = self.queue_sizes[queue];
        let at = USED + queue as u64 * QUEUE_STRIDE + 4 + u64::from(index % size) * 8;
        let read = |at| self.memory.read_obj(GuestAddress(at)).unwrap();
        (read(at), read(at + 4))
    }

    /// Waits for an answer to all that was made available in queue 0, or for the device to stop;
    /// says which.
    fn settle(&mut self) -> bool {
        let available = self.available[0];
        self.wait_until(|driver| driver.used() == available)
    }

    /// Waits for something; false if the device stops before.
    fn wait_until(&mut self, condition: impl Fn(&Driver) -> bool) -> bool {
        let start = Instant::now();
        loop {
            if condition(self) {
                return true;
            }
            if self.device_status() & STATUS_NEEDS_RESET != 0 {
                return false;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "the device hangs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
