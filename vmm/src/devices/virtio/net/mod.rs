//! virtio-net: a tap of the host as a network card.
//!
//! Two queues, one thread. Frames move between the tap and the guest's memory by one vectored
//! system call each, without a copy of ours; checksums and segmentation are left to whichever side
//! can do them best, as the driver agrees.

mod posted;
mod tap;
mod worker;

use std::fs::File;
use std::sync::Arc;

use self::tap::{Offloads, Tap};
use self::worker::{Cable, Framing, Server};
use super::throttle::{SharedLimit, Throttle};
use super::worker::Worker;
use super::{
    Activation, FEATURE_EVENT_INDEX, FEATURE_INDIRECT_DESCRIPTORS, FEATURE_VERSION_1, VirtioDevice,
    config_bytes,
};
use crate::Error;
use crate::confine::Confinement;

const DEVICE_TYPE: u16 = 1;
/// An Ethernet controller.
const CLASS: u32 = 0x02_00_00;

const QUEUE_SIZE: u16 = 256;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// The header in front of each frame (virtio 1.2, 5.1.6), its last field included.
pub(super) const HEADER_SIZE_BYTES: usize = 12;

/// A segmented frame with its header: the most that either side moves at once.
const FRAME_SIZE_BYTES_MAX: u64 = 65_550 + HEADER_SIZE_BYTES as u64;
/// A frame on a cable, with a VLAN's tag and the header.
const PLAIN_FRAME_SIZE_BYTES_MAX: u64 = 1518 + HEADER_SIZE_BYTES as u64;

const FEATURE_CHECKSUM: u64 = 1 << 0;
const FEATURE_GUEST_CHECKSUM: u64 = 1 << 1;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_GUEST_TSO4: u64 = 1 << 7;
const FEATURE_GUEST_TSO6: u64 = 1 << 8;
const FEATURE_HOST_TSO4: u64 = 1 << 11;
const FEATURE_HOST_TSO6: u64 = 1 << 12;
const FEATURE_MERGED_BUFFERS: u64 = 1 << 15;

/// How fast a card may be used, each way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    pub(crate) receive: SharedLimit,
    pub(crate) send: SharedLimit,
}

/// The device.
pub(crate) struct Net {
    mac: [u8; 6],
    tap: Arc<Tap>,
    receive: Arc<Throttle>,
    send: Arc<Throttle>,
    worker: Worker,
}

impl Net {
    /// A card on the tap in `file`.
    pub(crate) fn new(
        name: String,
        file: File,
        mac: [u8; 6],
        limits: Limits,
        confinement: &Confinement,
    ) -> Result<Net, Error> {
        Net::on(Tap::new(file)?, &name, mac, limits, confinement)
    }

    #[cfg(test)]
    pub(super) fn on_packets(file: File, mac: [u8; 6], limits: Limits) -> Net {
        Net::on(Tap::from_packets(file), "net0", mac, limits, &Confinement::none()).unwrap()
    }

    fn on(
        tap: Tap,
        name: &str,
        mac: [u8; 6],
        limits: Limits,
        confinement: &Confinement,
    ) -> Result<Net, Error> {
        Ok(Net {
            mac,
            tap: Arc::new(tap),
            receive: Arc::new(Throttle::new(limits.receive)?),
            send: Arc::new(Throttle::new(limits.send)?),
            worker: Worker::new(name, confinement)?,
        })
    }
}

/// What the driver takes over from the host.
fn offloads(features: u64) -> Offloads {
    let agreed = |feature| features & feature != 0;
    Offloads {
        checksum: agreed(FEATURE_GUEST_CHECKSUM),
        tso4: agreed(FEATURE_GUEST_TSO4),
        tso6: agreed(FEATURE_GUEST_TSO6),
    }
}

impl VirtioDevice for Net {
    fn device_type(&self) -> u16 {
        DEVICE_TYPE
    }

    fn class(&self) -> u32 {
        CLASS
    }

    fn features(&self) -> u64 {
        FEATURE_VERSION_1
            | FEATURE_INDIRECT_DESCRIPTORS
            | FEATURE_EVENT_INDEX
            | FEATURE_CHECKSUM
            | FEATURE_GUEST_CHECKSUM
            | FEATURE_MAC
            | FEATURE_GUEST_TSO4
            | FEATURE_GUEST_TSO6
            | FEATURE_HOST_TSO4
            | FEATURE_HOST_TSO6
            | FEATURE_MERGED_BUFFERS
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE, QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        config_bytes(&self.mac, offset, data);
    }

    fn activate(&mut self, activation: Activation) -> Result<(), Error> {
        let Activation { memory, features, queues, interrupt } = activation;
        let Ok([Some(receive), Some(transmit)]) = <[_; 2]>::try_from(queues) else {
            return Err(Error::Guest("a network driver is ready without its queues"));
        };
        let segmented = features & (FEATURE_GUEST_TSO4 | FEATURE_GUEST_TSO6) != 0;
        let framing = Framing {
            merged: features & FEATURE_MERGED_BUFFERS != 0,
            size_bytes_max: if segmented {
                FRAME_SIZE_BYTES_MAX
            } else {
                PLAIN_FRAME_SIZE_BYTES_MAX
            },
        };
        let cable = Cable {
            tap: self.tap.clone(),
            offloads: offloads(features),
            receive: self.receive.clone(),
            send: self.send.clone(),
        };
        let server = Server::new(cable, memory, receive, transmit, framing, interrupt.clone());
        self.worker.serve(server, interrupt);
        Ok(())
    }

    fn reset(&mut self) {
        self.worker.stop();
    }
}
