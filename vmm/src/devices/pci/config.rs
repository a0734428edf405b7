//! Configuration space of a function with one 32-bit register window and MSI-X.
//!
//! The window's address is fixed: the guest can size it, but not move it, so that the event
//! descriptors tied to addresses in it stay true.

/// Bytes of configuration space that have a meaning; the extended space reads as zero.
pub const CONFIG_SIZE_BYTES: usize = 256;

const VENDOR_OFFSET: usize = 0x00;
const DEVICE_OFFSET: usize = 0x02;
const COMMAND_OFFSET: usize = 0x04;
const STATUS_OFFSET: usize = 0x06;
const REVISION_OFFSET: usize = 0x08;
const CLASS_OFFSET: usize = 0x09;
const CACHE_LINE_OFFSET: usize = 0x0c;
const BAR0_OFFSET: usize = 0x10;
const SUBSYSTEM_VENDOR_OFFSET: usize = 0x2c;
const SUBSYSTEM_OFFSET: usize = 0x2e;
const CAPABILITIES_POINTER_OFFSET: usize = 0x34;
const INTERRUPT_LINE_OFFSET: usize = 0x3c;
const CAPABILITIES_START: usize = 0x40;

/// Memory decoding, bus mastering, no legacy interrupt.
const COMMAND_WRITABLE: u16 = 0x0406;
const STATUS_CAPABILITIES: u16 = 1 << 4;

const CAPABILITY_MSIX: u8 = 0x11;
const MSIX_CONTROL_WRITABLE: u16 = 0xc000;

/// What the function is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Who made it.
    pub vendor: u16,
    /// Which one of theirs.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass and interface, as `0xCCSSII`.
    pub class: u32,
    /// Subsystem of the same vendor.
    pub subsystem: u16,
}

/// Where MSI-X table and pending bits lie in the register window.
#[derive(Debug, Clone, Copy)]
pub struct MsixLayout {
    /// Number of vectors.
    pub vectors: u16,
    /// Offset of the table.
    pub table_offset: u32,
    /// Offset of the pending bits.
    pub pending_offset: u32,
}

/// Configuration space: bytes, and which of their bits the guest may change.
#[derive(Debug)]
pub struct ConfigSpace {
    bytes: [u8; CONFIG_SIZE_BYTES],
    writable: [u8; CONFIG_SIZE_BYTES],
    end: usize,
    last_capability: usize,
    bar: Bar,
    msix_control_offset: Option<usize>,
}

#[derive(Debug)]
struct Bar {
    address: u32,
    size_bytes: u32,
    /// The guest has written ones, and reads the size until it writes something else.
    sizing: bool,
}

impl ConfigSpace {
    /// A function with a register window at `address`.
    pub fn new(identity: Identity, bar_address: u32, bar_size_bytes: u32) -> ConfigSpace {
        assert!(bar_size_bytes.is_power_of_two() && bar_address.is_multiple_of(bar_size_bytes));
        let mut space = ConfigSpace {
            bytes: [0; CONFIG_SIZE_BYTES],
            writable: [0; CONFIG_SIZE_BYTES],
            end: CAPABILITIES_START,
            last_capability: CAPABILITIES_POINTER_OFFSET,
            bar: Bar { address: bar_address, size_bytes: bar_size_bytes, sizing: false },
            msix_control_offset: None,
        };
        space.set(VENDOR_OFFSET, &identity.vendor.to_le_bytes());
        space.set(DEVICE_OFFSET, &identity.device.to_le_bytes());
        space.set(STATUS_OFFSET, &STATUS_CAPABILITIES.to_le_bytes());
        space.set(REVISION_OFFSET, &[identity.revision]);
        space.set(CLASS_OFFSET, &identity.class.to_le_bytes()[..3]);
        space.set(SUBSYSTEM_VENDOR_OFFSET, &identity.vendor.to_le_bytes());
        space.set(SUBSYSTEM_OFFSET, &identity.subsystem.to_le_bytes());
        space.allow(COMMAND_OFFSET, &COMMAND_WRITABLE.to_le_bytes());
        space.allow(CACHE_LINE_OFFSET, &[0xff]);
        space.allow(INTERRUPT_LINE_OFFSET, &[0xff]);
        space
    }

    /// Adds a capability (identifier, then what follows the next pointer) and returns its offset.
    pub fn add_capability(&mut self, id: u8, body: &[u8]) -> usize {
        let offset = self.end;
        let end = offset + 2 + body.len();
        assert!(end <= CONFIG_SIZE_BYTES, "the capabilities of our devices fit");
        self.set(offset, &[id, 0]);
        self.set(offset + 2, body);
        let link = match self.last_capability {
            CAPABILITIES_POINTER_OFFSET => CAPABILITIES_POINTER_OFFSET,
            last => last + 1,
        };
        self.set(link, &[offset as u8]);
        self.last_capability = offset;
        self.end = end.next_multiple_of(4);
        offset
    }

    /// Adds the MSI-X capability; table and pending bits are in the register window.
    pub fn add_msix(&mut self, layout: MsixLayout) {
        let mut body = Vec::with_capacity(10);
        body.extend((layout.vectors - 1).to_le_bytes());
        body.extend(layout.table_offset.to_le_bytes());
        body.extend(layout.pending_offset.to_le_bytes());
        let control = self.add_capability(CAPABILITY_MSIX, &body) + 2;
        self.allow(control, &MSIX_CONTROL_WRITABLE.to_le_bytes());
        self.msix_control_offset = Some(control);
    }

    /// The guest reads a register.
    pub fn read(&self, register: u16, data: &mut [u8]) {
        let register = usize::from(register);
        if register >= CONFIG_SIZE_BYTES {
            // Extended configuration space without any capability.
            return data.fill(0);
        }
        if !is_natural(register, data.len()) {
            return data.fill(0xff);
        }
        data.copy_from_slice(&self.bytes[register..register + data.len()]);
        if (BAR0_OFFSET..BAR0_OFFSET + 4).contains(&register) {
            let value = self.bar.value().to_le_bytes();
            let start = register - BAR0_OFFSET;
            data.copy_from_slice(&value[start..start + data.len()]);
        }
    }

    /// The guest writes a register. Returns the new MSI-X message control if it was written.
    pub fn write(&mut self, register: u16, data: &[u8]) -> Option<u16> {
        let register = usize::from(register);
        if register >= CONFIG_SIZE_BYTES || !is_natural(register, data.len()) {
            return None;
        }
        if register == BAR0_OFFSET && data.len() == 4 {
            self.bar.sizing = data == [0xff; 4];
            return None;
        }
        for (index, value) in data.iter().enumerate() {
            let mask = self.writable[register + index];
            let byte = &mut self.bytes[register + index];
            *byte = (*byte & !mask) | (value & mask);
        }
        let control = self.msix_control_offset?;
        let touched = register < control + 2 && control < register + data.len();
        touched.then(|| u16::from_le_bytes([self.bytes[control], self.bytes[control + 1]]))
    }

    fn set(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Lets the guest change the bits of `mask` at `offset`.
    pub fn allow(&mut self, offset: usize, mask: &[u8]) {
        self.writable[offset..offset + mask.len()].copy_from_slice(mask);
    }
}

impl Bar {
    fn value(&self) -> u32 {
        if self.sizing { !(self.size_bytes - 1) } else { self.address }
    }
}

/// Whether an access has a size that exists and is aligned to it, and so lies in the space.
fn is_natural(register: usize, size: usize) -> bool {
    matches!(size, 1 | 2 | 4) && register.is_multiple_of(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADDRESS: u32 = 0xc000_8000;

    fn space() -> ConfigSpace {
        let identity = Identity {
            vendor: 0x1af4,
            device: 0x1042,
            revision: 1,
            class: 0x01_80_00,
            subsystem: 0x40,
        };
        let mut space = ConfigSpace::new(identity, ADDRESS, 0x8000);
        space.add_capability(9, &[3, 1]);
        space.add_msix(MsixLayout { vectors: 2, table_offset: 0x4000, pending_offset: 0x5000 });
        space
    }

    fn read32(space: &ConfigSpace, register: u16) -> u32 {
        let mut data = [0; 4];
        space.read(register, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn identity_and_capabilities_are_where_the_specification_says() {
        let space = space();
        assert_eq!(read32(&space, 0), 0x1042_1af4);
        assert_eq!(read32(&space, 8), 0x0180_0001);
        assert_eq!(read32(&space, 0x34) & 0xff, 0x40);
        assert_eq!(read32(&space, 0x40), 0x0103_4409);
        assert_eq!(read32(&space, 0x44), 0x0001_0011, "two vectors, last capability");
        assert_eq!(read32(&space, 0x100), 0, "no extended capability");
    }

    #[test]
    fn the_window_can_be_sized_but_not_moved() {
        let mut space = space();
        space.write(0x10, &[0xff; 4]);
        assert_eq!(read32(&space, 0x10), 0xffff_8000);
        space.write(0x10, &0x1234_0000u32.to_le_bytes());
        assert_eq!(read32(&space, 0x10), ADDRESS);
        space.write(0x14, &[0xff; 4]);
        assert_eq!(read32(&space, 0x14), 0, "there is no second window");
    }

    #[test]
    fn message_control_is_reported_by_whatever_write_touches_it() {
        let mut space = space();
        assert_eq!(space.write(0x46, &0xffffu16.to_le_bytes()), Some(0xc001));
        assert_eq!(space.write(0x44, &[0; 4]), Some(0x0001));
        assert_eq!(space.write(0x47, &[0x80]), Some(0x8001));
        assert_eq!(space.write(0x48, &[0xff; 4]), None);
        assert_eq!(read32(&space, 0x48), 0x4000, "the table does not move");
    }

    proptest! {
        #[test]
        fn no_write_changes_what_is_read_only(
            writes in proptest::collection::vec(
                (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..200)
        ) {
            let mut space = space();
            for (register, data) in &writes {
                // Most of them into the header and the capabilities.
                space.write(register % 0x110, data);
            }
            prop_assert_eq!(read32(&space, 0), 0x1042_1af4);
            prop_assert_eq!(read32(&space, 8), 0x0180_0001);
            prop_assert_eq!(read32(&space, 0x40), 0x0103_4409);
            prop_assert!([ADDRESS, 0xffff_8000].contains(&read32(&space, 0x10)));
            let mut data = [0; 3];
            space.read(0xfe, &mut data);
            prop_assert_eq!(data, [0xff; 3]);
        }
    }
}
