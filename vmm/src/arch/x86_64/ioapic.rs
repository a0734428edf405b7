//! The I/O APIC, for the two devices that have no message-signalled interrupts: serial port and
//! power button.
//!
//! All sources are edges, and the ACPI tables say so. A pin that the guest sets to level is
//! delivered as an edge too; there is no end-of-interrupt to wait for.

use crate::devices::MsiMessage;

/// Number of pins.
pub(crate) const PIN_COUNT: usize = 24;
/// Version register: an 82093AA, without the EOI register of later ones.
const VERSION: u32 = 0x11 | ((PIN_COUNT as u32 - 1) << 16);

const SELECT_OFFSET: u64 = 0x00;
const WINDOW_OFFSET: u64 = 0x10;
const REGISTER_ID: u8 = 0x00;
const REGISTER_VERSION: u8 = 0x01;
const REGISTER_ARBITRATION: u8 = 0x02;
const REGISTER_TABLE: u8 = 0x10;

const ENTRY_MASKED: u64 = 1 << 16;
/// Delivery status and remote IRR belong to the device.
const ENTRY_READ_ONLY: u64 = (1 << 12) | (1 << 14);

/// Register state of the I/O APIC.
#[derive(Debug)]
pub(crate) struct IoApic {
    id: u32,
    selected: u8,
    table: [u64; PIN_COUNT],
}

impl Default for IoApic {
    fn default() -> IoApic {
        IoApic { id: 0, selected: 0, table: [ENTRY_MASKED; PIN_COUNT] }
    }
}

impl IoApic {
    /// The message to send when `pin` has an edge; nothing while the guest masks it.
    pub(crate) fn message(&self, pin: u8) -> Option<MsiMessage> {
        let entry = *self.table.get(usize::from(pin))?;
        if entry & ENTRY_MASKED != 0 {
            return None;
        }
        let vector = entry & 0xff;
        let delivery_mode = (entry >> 8) & 0x7;
        let logical = (entry >> 11) & 1;
        let destination = entry >> 56;
        Some(MsiMessage {
            address: super::LAPIC_START | (destination << 12) | (logical << 2),
            data: (vector | (delivery_mode << 8)) as u32,
        })
    }

    /// A read of the register at `offset`. Only whole registers are readable.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        let value = match offset {
            SELECT_OFFSET => u32::from(self.selected),
            WINDOW_OFFSET => self.read_selected(),
            _ => 0,
        };
        data.fill(0);
        let size = data.len().min(4);
        data[..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    /// A write to the register at `offset`.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let Ok(bytes) = <[u8; 4]>::try_from(data) else {
            return;
        };
        let value = u32::from_le_bytes(bytes);
        match offset {
            SELECT_OFFSET => self.selected = value as u8,
            WINDOW_OFFSET => self.write_selected(value),
            _ => {}
        }
    }

    fn read_selected(&self) -> u32 {
        match self.selected {
            REGISTER_ID | REGISTER_ARBITRATION => self.id,
            REGISTER_VERSION => VERSION,
            _ => match self.selected_entry() {
                Some((pin, shift)) => (self.table[pin] >> shift) as u32,
                None => 0,
            },
        }
    }

    fn write_selected(&mut self, value: u32) {
        if self.selected == REGISTER_ID {
            self.id = value & 0x0f00_0000;
        } else if let Some((pin, shift)) = self.selected_entry() {
            let written = (0xffff_ffff << shift) & !ENTRY_READ_ONLY;
            let entry = &mut self.table[pin];
            *entry = (*entry & !written) | ((u64::from(value) << shift) & written);
        }
    }

    /// Pin, and whether the low or the high half of its entry is selected.
    fn selected_entry(&self) -> Option<(usize, u32)> {
        let index = usize::from(self.selected.checked_sub(REGISTER_TABLE)?);
        let pin = index / 2;
        (pin < PIN_COUNT).then_some((pin, (index % 2) as u32 * 32))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(ioapic: &mut IoApic, register: u8, value: u32) {
        ioapic.write(SELECT_OFFSET, &u32::from(register).to_le_bytes());
        ioapic.write(WINDOW_OFFSET, &value.to_le_bytes());
    }

    fn read(ioapic: &mut IoApic, register: u8) -> u32 {
        ioapic.write(SELECT_OFFSET, &u32::from(register).to_le_bytes());
        let mut data = [0; 4];
        ioapic.read(WINDOW_OFFSET, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn pins_start_masked_and_deliver_what_is_programmed() {
        let mut ioapic = IoApic::default();
        assert_eq!(read(&mut ioapic, REGISTER_VERSION) >> 16, 23);
        assert_eq!(ioapic.message(4), None);
        write(&mut ioapic, 0x10 + 4 * 2 + 1, 0x0300_0000);
        write(&mut ioapic, 0x10 + 4 * 2, 0x0000_0831);
        let message = ioapic.message(4).unwrap();
        assert_eq!(message, MsiMessage { address: 0xfee0_3004, data: 0x31 });
        write(&mut ioapic, 0x10 + 4 * 2, 0x0001_0831);
        assert_eq!(ioapic.message(4), None);
        assert_eq!(ioapic.message(200), None);
    }

    #[test]
    fn status_bits_cannot_be_written() {
        let mut ioapic = IoApic::default();
        write(&mut ioapic, 0x10, u32::MAX);
        assert_eq!(read(&mut ioapic, 0x10), !(ENTRY_READ_ONLY as u32));
    }

    proptest! {
        #[test]
        fn any_access_is_harmless(
            accesses in proptest::collection::vec(
                (any::<bool>(), 0u64..0x1000, proptest::collection::vec(any::<u8>(), 0..9)),
                0..100,
            )
        ) {
            let mut ioapic = IoApic::default();
            for (write, offset, mut data) in accesses {
                // Half of the accesses where the registers are.
                let offset = if offset % 2 == 0 { offset % 0x20 } else { offset };
                if write { ioapic.write(offset, &data) } else { ioapic.read(offset, &mut data) }
                for pin in 0..=u8::MAX {
                    let _ = ioapic.message(pin);
                }
            }
        }
    }
}
