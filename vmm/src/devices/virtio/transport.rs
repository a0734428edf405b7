//! A virtio device as a PCI function.
//!
//! One register window: common configuration, interrupt status (always clear, there are only
//! message-signalled interrupts), device configuration, notification registers, MSI-X table and
//! pending bits, each on a page of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestAddress;
use vmm_sys_util::eventfd::EventFd;

use super::common_config::{COMMON_CONFIG_SIZE_BYTES, CommonConfig, QueueConfig, Transition};
use super::{Activation, ActiveQueue, FEATURE_EVENT_INDEX, Interrupt, VirtioDevice};
use crate::devices::pci::config::{ConfigSpace, Identity, MsixLayout};
use crate::devices::pci::msix::{ENTRY_SIZE_BYTES, Msix, Sink};
use crate::devices::pci::{BAR_SIZE_BYTES, PciFunction};
use crate::memory::GuestMemory;
use crate::{Error, event, status};

const VENDOR_VIRTIO: u16 = 0x1af4;
/// Modern devices are numbered from here by their type.
const DEVICE_BASE: u16 = 0x1040;
/// Modern devices only: revision 1.
const REVISION: u8 = 1;
const CAPABILITY_VENDOR: u8 = 0x09;

/// Kinds of virtio capabilities.
const KIND_COMMON: u8 = 1;
const KIND_NOTIFY: u8 = 2;
const KIND_INTERRUPT_STATUS: u8 = 3;
const KIND_DEVICE: u8 = 4;
const KIND_WINDOW: u8 = 5;

const PAGE_SIZE_BYTES: u64 = 0x1000;
const COMMON_PAGE: u64 = 0;
const INTERRUPT_STATUS_PAGE: u64 = 1;
const DEVICE_PAGE: u64 = 2;
const NOTIFY_PAGE: u64 = 3;
const TABLE_PAGE: u64 = 4;
const PENDING_PAGE: u64 = 5;
/// Distance of two queues' notification registers.
const NOTIFY_STRIDE_BYTES: u32 = 4;

/// The function: registers in front, the device behind.
pub(crate) struct VirtioFunction {
    config_space: ConfigSpace,
    window_capability: usize,
    common: CommonConfig,
    device: Box<dyn VirtioDevice>,
    notify: Vec<Arc<EventFd>>,
    memory: GuestMemory,
    interrupt: Interrupt,
}

impl VirtioFunction {
    /// Number of vectors a device wants: one for its configuration, one per queue.
    pub(crate) fn vector_count(device: &dyn VirtioDevice) -> u16 {
        device.queue_sizes().len() as u16 + 1
    }

    /// A function at `bar_address` for a device at reset.
    pub(crate) fn new(
        device: Box<dyn VirtioDevice>,
        bar_address: u64,
        memory: GuestMemory,
        sink: Box<dyn Sink>,
        status: Arc<status::Writer>,
    ) -> Result<VirtioFunction, Error> {
        let vectors = VirtioFunction::vector_count(&*device);
        let queue_sizes = device.queue_sizes().to_vec();
        let common = CommonConfig::new(device.features(), &queue_sizes, vectors);
        let notify = queue_sizes
            .iter()
            .map(|_| event::new().map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let interrupt = Interrupt {
            msix: Arc::new(Msix::new(vectors, sink)),
            vectors: common.vectors(),
            needs_reset: Arc::new(AtomicBool::new(false)),
            status,
        };
        let (config_space, window_capability) =
            config_space(&*device, bar_address as u32, vectors, queue_sizes.len());
        Ok(VirtioFunction {
            config_space,
            window_capability,
            common,
            device,
            notify,
            memory,
            interrupt,
        })
    }

    /// Guest address and descriptor of each queue's notification register, to be tied together in
    /// the kernel.
    pub(crate) fn notifications(&self, bar_address: u64) -> impl Iterator<Item = (u64, &EventFd)> {
        let page = bar_address + NOTIFY_PAGE * PAGE_SIZE_BYTES;
        let stride = u64::from(NOTIFY_STRIDE_BYTES);
        let events = self.notify.iter().map(|event| &**event);
        events.zip(0u64..).map(move |(event, index)| (page + index * stride, event))
    }

    fn activate(&mut self) {
        let result = self.active_queues().and_then(|queues| {
            self.device.activate(Activation {
                memory: self.memory.clone(),
                features: self.common.driver_features(),
                queues,
                interrupt: self.interrupt.clone(),
            })
        });
        if let Err(error) = result {
            self.interrupt.stop_device(&error);
        }
    }

    fn active_queues(&self) -> Result<Vec<Option<ActiveQueue>>, Error> {
        let event_index = self.common.driver_features() & FEATURE_EVENT_INDEX != 0;
        let queues = self.common.queues().iter().zip(self.device.queue_sizes()).zip(&self.notify);
        queues
            .map(|((config, &size_max), notify)| {
                if !config.enabled {
                    return Ok(None);
                }
                let queue = active_queue(config, size_max, event_index, &self.memory)?;
                Ok(Some(ActiveQueue { queue, notify: notify.clone() }))
            })
            .collect()
    }

    fn reset(&mut self) {
        self.device.reset();
        self.interrupt.needs_reset.store(false, Ordering::Release);
        // What was notified before the reset is of no interest after it.
        for event in &self.notify {
            let _ = event.read();
        }
    }

    /// The capability that reaches the window through configuration space: where it points, if
    /// that is a register of ours.
    fn window_target(&self) -> Option<(u64, usize)> {
        let mut capability = [0; 16];
        for (index, byte) in capability.iter_mut().enumerate() {
            let register = (self.window_capability + index) as u16;
            self.config_space.read(register, std::slice::from_mut(byte));
        }
        let word = |start: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&capability[start..start + 4]);
            u32::from_le_bytes(word)
        };
        let (bar, offset, size) = (capability[4], u64::from(word(8)), word(12) as usize);
        let valid = bar == 0 && matches!(size, 1 | 2 | 4) && offset < BAR_SIZE_BYTES;
        valid.then_some((offset, size))
    }
}

impl PciFunction for VirtioFunction {
    fn read_config(&mut self, register: u16, data: &mut [u8]) {
        if usize::from(register) == self.window_capability + WINDOW_DATA_OFFSET
            && let Some((offset, size)) = self.window_target()
            && data.len() >= size
        {
            return self.read_bar(offset, &mut data[..size]);
        }
        self.config_space.read(register, data);
    }

    fn write_config(&mut self, register: u16, data: &[u8]) {
        if usize::from(register) == self.window_capability + WINDOW_DATA_OFFSET
            && let Some((offset, size)) = self.window_target()
            && data.len() >= size
        {
            return self.write_bar(offset, &data[..size]);
        }
        if let Some(control) = self.config_space.write(register, data) {
            self.interrupt.msix.set_control(control);
        }
    }

    fn read_bar(&mut self, offset: u64, data: &mut [u8]) {
        let (page, offset) = (offset / PAGE_SIZE_BYTES, offset % PAGE_SIZE_BYTES);
        match page {
            COMMON_PAGE => {
                if self.interrupt.needs_reset.load(Ordering::Acquire) {
                    self.common.set_needs_reset();
                }
                self.common.read(offset, data);
            }
            DEVICE_PAGE => self.device.read_config(offset, data),
            TABLE_PAGE => self.interrupt.msix.read_table(offset, data),
            PENDING_PAGE => self.interrupt.msix.read_pending(offset, data),
            _ => data.fill(0),
        }
    }

    fn write_bar(&mut self, offset: u64, data: &[u8]) {
        let (page, offset) = (offset / PAGE_SIZE_BYTES, offset % PAGE_SIZE_BYTES);
        match page {
            COMMON_PAGE => match self.common.write(offset, data) {
                Some(Transition::Activate) => self.activate(),
                Some(Transition::Reset) => self.reset(),
                None => {}
            },
            // Normally the kernel sees to it; here are only notifications of unusual width.
            NOTIFY_PAGE => {
                let index = (offset / u64::from(NOTIFY_STRIDE_BYTES)) as usize;
                if let Some(event) = self.notify.get(index) {
                    let _ = event.write(1);
                }
            }
            TABLE_PAGE => self.interrupt.msix.write_table(offset, data),
            _ => {}
        }
    }
}

/// Checks a queue against the guest's memory.
fn active_queue(
    config: &QueueConfig,
    size_max: u16,
    event_index: bool,
    memory: &GuestMemory,
) -> Result<Queue, Error> {
    let refused = |_| Error::Guest("a queue is not aligned");
    let mut queue = Queue::new(size_max).map_err(|_| Error::Guest("a queue has no size"))?;
    queue.try_set_size(config.size).map_err(refused)?;
    queue.try_set_desc_table_address(GuestAddress(config.descriptors)).map_err(refused)?;
    queue.try_set_avail_ring_address(GuestAddress(config.available)).map_err(refused)?;
    queue.try_set_used_ring_address(GuestAddress(config.used)).map_err(refused)?;
    queue.set_event_idx(event_index);
    queue.set_ready(true);
    if !queue.is_valid(memory) {
        return Err(Error::Guest("a queue lies outside the guest's memory"));
    }
    Ok(queue)
}

/// Offset of the data field in the capability that reaches the window.
const WINDOW_DATA_OFFSET: usize = 16;

fn config_space(
    device: &dyn VirtioDevice,
    bar_address: u32,
    vectors: u16,
    queues: usize,
) -> (ConfigSpace, usize) {
    let identity = Identity {
        vendor: VENDOR_VIRTIO,
        device: DEVICE_BASE + device.device_type(),
        revision: REVISION,
        class: device.class(),
        subsystem: DEVICE_BASE,
    };
    let mut space = ConfigSpace::new(identity, bar_address, BAR_SIZE_BYTES as u32);
    space.add_msix(MsixLayout {
        vectors,
        table_offset: (TABLE_PAGE * PAGE_SIZE_BYTES) as u32,
        pending_offset: (PENDING_PAGE * PAGE_SIZE_BYTES) as u32,
    });
    const { assert!(crate::devices::pci::msix::VECTORS_MAX as u64 * ENTRY_SIZE_BYTES <= 0x1000) };
    let notify_size = queues as u32 * NOTIFY_STRIDE_BYTES;
    let stride = NOTIFY_STRIDE_BYTES.to_le_bytes();
    for (kind, page, size, extra) in [
        (KIND_COMMON, COMMON_PAGE, COMMON_CONFIG_SIZE_BYTES, &[][..]),
        (KIND_INTERRUPT_STATUS, INTERRUPT_STATUS_PAGE, 1, &[]),
        (KIND_DEVICE, DEVICE_PAGE, PAGE_SIZE_BYTES as u32, &[]),
        (KIND_NOTIFY, NOTIFY_PAGE, notify_size, &stride),
    ] {
        let offset = (page * PAGE_SIZE_BYTES) as u32;
        space.add_capability(CAPABILITY_VENDOR, &capability(kind, offset, size, extra));
    }
    let window = capability(KIND_WINDOW, 0, 0, &[0; 4]);
    let offset = space.add_capability(CAPABILITY_VENDOR, &window);
    // The driver chooses bar, offset and length, and moves the data.
    space.allow(offset + 4, &[0xff]);
    space.allow(offset + 8, &[0xff; 8]);
    (space, offset)
}

/// A virtio capability, from its length on; the window is the function's first and only one.
fn capability(kind: u8, offset: u32, size_bytes: u32, extra: &[u8]) -> Vec<u8> {
    let mut body = vec![16 + extra.len() as u8, kind, 0, 0, 0, 0];
    body.extend(offset.to_le_bytes());
    body.extend(size_bytes.to_le_bytes());
    body.extend(extra);
    body
}
