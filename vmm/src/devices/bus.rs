//! Which device answers which address.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pci::PciBus;
use super::power::{Action, Power};
use super::serial::Serial;
use crate::arch::{
    ECAM_SIZE_BYTES, ECAM_START, IOAPIC_SIZE_BYTES, IOAPIC_START, Interrupts, IoApic,
    PCI_WINDOW_SIZE_BYTES, PCI_WINDOW_START, POWER_PIN, POWER_PORT, POWER_PORT_COUNT, SERIAL_PIN,
    SERIAL_PORT, SERIAL_PORT_COUNT,
};
use crate::report::report;

/// The devices, shared by all vCPUs.
pub(crate) struct Bus {
    pub(crate) pci: PciBus,
    serial: Mutex<Serial>,
    power: Mutex<Power>,
    ioapic: Mutex<IoApic>,
    interrupts: Interrupts,
}

impl Bus {
    /// A bus of these devices.
    pub(crate) fn new(pci: PciBus, serial: Serial, interrupts: Interrupts) -> Bus {
        Bus {
            pci,
            serial: Mutex::new(serial),
            power: Mutex::default(),
            ioapic: Mutex::default(),
            interrupts,
        }
    }

    /// Presses the power button.
    pub(crate) fn press_power_button(&self) {
        lock(&self.power).press_button();
        self.interrupt(POWER_PIN);
    }

    /// The guest reads a port. What no device answers reads as ones.
    pub(crate) fn read_port(&self, port: u16, data: &mut [u8]) {
        data.fill(0xff);
        let [value] = data else {
            return;
        };
        if let Some(offset) = offset_in(port, SERIAL_PORT, SERIAL_PORT_COUNT) {
            *value = self.with_serial(|serial| serial.read(offset));
        } else if let Some(offset) = offset_in(port, POWER_PORT, POWER_PORT_COUNT) {
            *value = lock(&self.power).read(offset);
        }
    }

    /// The guest writes a port.
    pub(crate) fn write_port(&self, port: u16, data: &[u8]) -> Option<Action> {
        let &[value] = data else {
            return None;
        };
        if let Some(offset) = offset_in(port, SERIAL_PORT, SERIAL_PORT_COUNT) {
            self.with_serial(|serial| serial.write(offset, value));
        } else if let Some(offset) = offset_in(port, POWER_PORT, POWER_PORT_COUNT) {
            return lock(&self.power).write(offset, value);
        }
        None
    }

    /// The guest reads device memory.
    pub(crate) fn read_memory(&self, address: u64, data: &mut [u8]) {
        match Target::of(address) {
            Some(Target::PciWindow(offset)) => self.pci.read_window(offset, data),
            Some(Target::PciConfig(offset)) => self.pci.read_config(offset, data),
            Some(Target::IoApic(offset)) => lock(&self.ioapic).read(offset, data),
            None => data.fill(0xff),
        }
    }

    /// The guest writes device memory.
    pub(crate) fn write_memory(&self, address: u64, data: &[u8]) {
        match Target::of(address) {
            Some(Target::PciWindow(offset)) => self.pci.write_window(offset, data),
            Some(Target::PciConfig(offset)) => self.pci.write_config(offset, data),
            Some(Target::IoApic(offset)) => lock(&self.ioapic).write(offset, data),
            None => {}
        }
    }

    fn with_serial<T>(&self, access: impl FnOnce(&mut Serial) -> T) -> T {
        let mut serial = lock(&self.serial);
        let result = access(&mut serial);
        if serial.take_interrupt() {
            self.interrupt(SERIAL_PIN);
        }
        result
    }

    fn interrupt(&self, pin: u8) {
        let message = lock(&self.ioapic).message(pin);
        if let Some(message) = message
            && let Err(error) = self.interrupts.send(message)
        {
            report(format_args!("pin {pin}: {error}"));
        }
    }
}

/// A device in the memory hole, with the offset in its window.
enum Target {
    PciWindow(u64),
    PciConfig(u64),
    IoApic(u64),
}

impl Target {
    fn of(address: u64) -> Option<Target> {
        let within = |start: u64, size_bytes: u64| {
            address.checked_sub(start).filter(|&offset| offset < size_bytes)
        };
        within(PCI_WINDOW_START, PCI_WINDOW_SIZE_BYTES)
            .map(Target::PciWindow)
            .or_else(|| within(ECAM_START, ECAM_SIZE_BYTES).map(Target::PciConfig))
            .or_else(|| within(IOAPIC_START, IOAPIC_SIZE_BYTES).map(Target::IoApic))
    }
}

fn offset_in(port: u16, start: u16, count: u16) -> Option<u16> {
    port.checked_sub(start).filter(|&offset| offset < count)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
