//! virtio-blk: a raw image as a disk.
//!
//! One queue, one thread that serves it request by request with vectored system calls. How the
//! bytes move is [`image`]'s business alone: an asynchronous engine would replace that file and
//! the loop in [`worker`].

mod image;
pub mod request;
mod worker;

use std::fs::File;
use std::sync::Arc;

use self::image::Image;
use self::request::SECTOR_SIZE_BYTES;
use self::worker::Server;
use super::{
    Activation, FEATURE_EVENT_INDEX, FEATURE_INDIRECT_DESCRIPTORS, FEATURE_VERSION_1, VirtioDevice,
    config_bytes,
    throttle::{SharedLimit, Throttle},
    worker::Worker,
};
use crate::Error;
use crate::confine::Confinement;

const DEVICE_TYPE: u16 = 2;
/// Mass storage, none of the old kinds.
const CLASS: u32 = 0x01_80_00;

const QUEUE_SIZE: u16 = 256;
/// Data segments of one request: a queue's worth, less header and status. Without this feature
/// Linux sends one page per request.
const SEGMENTS_MAX: u32 = QUEUE_SIZE as u32 - 2;

const FEATURE_SEGMENTS_MAX: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;

const CONFIG_SIZE_BYTES: usize = 16;
const CONFIG_SEGMENTS_MAX_OFFSET: usize = 12;

/// The device.
pub(crate) struct Block {
    image: Arc<Image>,
    throttle: Arc<Throttle>,
    worker: Worker,
}

impl Block {
    /// A disk of the image in `file`.
    pub(crate) fn new(
        name: String,
        file: File,
        read_only: bool,
        serial: &str,
        limit: SharedLimit,
        confinement: &Confinement,
    ) -> Result<Block, Error> {
        let image = Image::new(file, read_only, serial)
            .map_err(|reason| Error::Disk { name: name.clone(), reason })?;
        let worker = Worker::new(&name, confinement)?;
        Ok(Block { image: Arc::new(image), throttle: Arc::new(Throttle::new(limit)?), worker })
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u16 {
        DEVICE_TYPE
    }

    fn class(&self) -> u32 {
        CLASS
    }

    fn features(&self) -> u64 {
        let read_only = if self.image.read_only() { FEATURE_READ_ONLY } else { 0 };
        FEATURE_VERSION_1
            | FEATURE_INDIRECT_DESCRIPTORS
            | FEATURE_EVENT_INDEX
            | FEATURE_SEGMENTS_MAX
            | FEATURE_FLUSH
            | read_only
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut config = [0; CONFIG_SIZE_BYTES];
        let sectors = self.image.size_bytes() / SECTOR_SIZE_BYTES;
        config[..8].copy_from_slice(&sectors.to_le_bytes());
        config[CONFIG_SEGMENTS_MAX_OFFSET..].copy_from_slice(&SEGMENTS_MAX.to_le_bytes());
        config_bytes(&config, offset, data);
    }

    fn activate(&mut self, activation: Activation) -> Result<(), Error> {
        let Activation { memory, queues, interrupt, .. } = activation;
        let Some(queue) = queues.into_iter().flatten().next() else {
            return Err(Error::Guest("a disk's driver is ready without a queue"));
        };
        let image = self.image.clone();
        let throttle = self.throttle.clone();
        let server = Server { image, memory, queue, throttle, interrupt: interrupt.clone() };
        self.worker.serve(server, interrupt);
        Ok(())
    }

    fn reset(&mut self) {
        self.worker.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(size_bytes: u64, read_only: bool) -> Result<Block, Error> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size_bytes).unwrap();
        Block::new(
            "disk0".into(),
            file,
            read_only,
            "root",
            SharedLimit::default(),
            &Confinement::none(),
        )
    }

    #[test]
    fn configuration_tells_size_and_segments() {
        let block = block(10 * 512, true).unwrap();
        let mut config = [0xee; 20];
        block.read_config(0, &mut config);
        assert_eq!(config[..8], 10u64.to_le_bytes());
        assert_eq!(config[12..16], 254u32.to_le_bytes());
        assert_eq!(config[16..], [0; 4]);
        block.read_config(u64::MAX - 1, &mut config);
        assert_eq!(config, [0; 20]);
        assert_ne!(block.features() & FEATURE_READ_ONLY, 0);
    }

    #[test]
    fn images_that_are_no_disk_are_refused() {
        for size_bytes in [0, 511, 513] {
            assert!(matches!(block(size_bytes, false), Err(Error::Disk { .. })), "{size_bytes}");
        }
    }
}
