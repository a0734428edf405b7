//! The one PCI bus: configuration space by ECAM only, base addresses fixed.

pub mod config;
pub mod msix;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::arch;

/// Device number of the first function: number 0 is where a host bridge would be.
const FIRST_DEVICE: usize = 1;
/// Functions the bus has room for.
pub(crate) const FUNCTIONS_MAX: usize = 32 - FIRST_DEVICE;
/// Size of each function's register window.
pub(crate) const BAR_SIZE_BYTES: u64 = 0x8000;

/// A function on the bus.
pub(crate) trait PciFunction: Send {
    /// The guest reads configuration space.
    fn read_config(&mut self, register: u16, data: &mut [u8]);
    /// The guest writes configuration space.
    fn write_config(&mut self, register: u16, data: &[u8]);
    /// The guest reads the register window.
    fn read_bar(&mut self, offset: u64, data: &mut [u8]);
    /// The guest writes the register window.
    fn write_bar(&mut self, offset: u64, data: &[u8]);
}

/// The functions, each behind a lock of its own.
#[derive(Default)]
pub(crate) struct PciBus {
    functions: Vec<Mutex<Box<dyn PciFunction>>>,
}

impl PciBus {
    /// Address of the register window of the `index`-th function.
    pub(crate) fn bar_address(index: usize) -> u64 {
        arch::PCI_WINDOW_START + index as u64 * BAR_SIZE_BYTES
    }

    /// Adds the next function.
    pub(crate) fn add(&mut self, function: Box<dyn PciFunction>) {
        assert!(self.functions.len() < FUNCTIONS_MAX, "the configuration limits devices");
        self.functions.push(Mutex::new(function));
    }

    /// A read at an offset in the ECAM window.
    pub(crate) fn read_config(&self, offset: u64, data: &mut [u8]) {
        match self.decode(offset) {
            Some((mut function, register)) => function.read_config(register, data),
            // What no function answers reads as ones: no device there.
            None => data.fill(0xff),
        }
    }

    /// A write at an offset in the ECAM window.
    pub(crate) fn write_config(&self, offset: u64, data: &[u8]) {
        if let Some((mut function, register)) = self.decode(offset) {
            function.write_config(register, data);
        }
    }

    /// A read at an offset in the window of all functions' registers.
    pub(crate) fn read_window(&self, offset: u64, data: &mut [u8]) {
        match self.function((offset / BAR_SIZE_BYTES) as usize) {
            Some(mut function) => function.read_bar(offset % BAR_SIZE_BYTES, data),
            None => data.fill(0xff),
        }
    }

    /// A write at an offset in the window of all functions' registers.
    pub(crate) fn write_window(&self, offset: u64, data: &[u8]) {
        if let Some(mut function) = self.function((offset / BAR_SIZE_BYTES) as usize) {
            function.write_bar(offset % BAR_SIZE_BYTES, data);
        }
    }

    fn decode(&self, offset: u64) -> Option<(MutexGuard<'_, Box<dyn PciFunction>>, u16)> {
        let register = (offset & 0xfff) as u16;
        let (function, device) = ((offset >> 12) & 0x7, (offset >> 15) & 0x1f);
        let index = (device as usize).checked_sub(FIRST_DEVICE)?;
        if function != 0 || offset >= arch::ECAM_SIZE_BYTES {
            return None;
        }
        Some((self.function(index)?, register))
    }

    fn function(&self, index: usize) -> Option<MutexGuard<'_, Box<dyn PciFunction>>> {
        let function = self.functions.get(index)?;
        Some(function.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl PciFunction for Echo {
        fn read_config(&mut self, register: u16, data: &mut [u8]) {
            data.fill(register as u8);
        }
        fn write_config(&mut self, _register: u16, _data: &[u8]) {}
        fn read_bar(&mut self, offset: u64, data: &mut [u8]) {
            data.fill(offset as u8);
        }
        fn write_bar(&mut self, _offset: u64, _data: &[u8]) {}
    }

    #[test]
    fn addresses_find_their_function_or_read_as_ones() {
        let mut bus = PciBus::default();
        bus.add(Box::new(Echo));
        let config = |offset| {
            let mut data = [0];
            bus.read_config(offset, &mut data);
            data[0]
        };
        assert_eq!(config(0x8010), 0x10, "device 1 function 0");
        assert_eq!(config(0x0010), 0xff, "device 0");
        assert_eq!(config(0x9010), 0xff, "device 1 function 1");
        assert_eq!(config(0x1_0010), 0xff, "device 2");
        assert_eq!(config(0x10_8010), 0xff, "bus 1");
        let mut data = [0];
        bus.read_window(0x42, &mut data);
        assert_eq!(data, [0x42]);
        bus.read_window(BAR_SIZE_BYTES, &mut data);
        assert_eq!(data, [0xff]);
    }
}
