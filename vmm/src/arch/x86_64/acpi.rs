//! The ACPI tables: hardware-reduced, so that the guest looks for none of a PC's old timers and
//! controllers.

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, And, Device, EISAName, Equal, Field, FieldAccessType,
    FieldEntry, FieldLockRule, FieldUpdateRule, IO, If, Interrupt, Local, Memory32Fixed, Method,
    Name, Notify, OpRegion, OpRegionSpace, Package, Path, ResourceTemplate, Scope, Store, ZERO,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace as RegisterSpace, GAS};
use acpi_tables::madt::{
    EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic,
};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use vm_memory::GuestAddress;

use super::{
    ECAM_SIZE_BYTES, ECAM_START, IOAPIC_START, LAPIC_START, PCI_WINDOW_SIZE_BYTES,
    PCI_WINDOW_START, POWER_PIN, POWER_PORT, SERIAL_PIN, SERIAL_PORT, SERIAL_PORT_COUNT,
};
use crate::devices::power;

const OEM_ID: [u8; 6] = *b"ALEPH ";
const OEM_TABLE_ID: [u8; 8] = *b"ALEPHVMM";
const OEM_REVISION: u32 = 1;

/// `IAPC_BOOT_ARCH`: no VGA, no ASPM, no CMOS clock; and, by leaving the other bits out, no legacy
/// devices and no keyboard controller.
const BOOT_ARCHITECTURE: u16 = (1 << 2) | (1 << 4) | (1 << 5);
/// Notification value of a pressed button.
const BUTTON_PRESSED: u8 = 0x80;

/// The tables as one block of memory.
pub(super) struct Tables {
    pub(super) bytes: Vec<u8>,
    /// Address of the root pointer.
    pub(super) rsdp: GuestAddress,
}

/// Builds the tables to lie at `start`.
pub(super) fn build(start: GuestAddress, vcpus: u8) -> Tables {
    let mut block = Block { start, bytes: Vec::new() };
    let dsdt = block.place(&dsdt());
    let fadt = block.place(&fadt(dsdt));
    let madt = block.place(&madt(vcpus));
    let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    mcfg.add_ecam(ECAM_START, 0, 0, 0);
    let mcfg = block.place(&mcfg);
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    for table in [fadt, madt, mcfg] {
        xsdt.add_entry(table);
    }
    let xsdt = block.place(&xsdt);
    let rsdp = block.place(&Rsdp::new(OEM_ID, xsdt));
    Tables { bytes: block.bytes, rsdp: GuestAddress(rsdp) }
}

struct Block {
    start: GuestAddress,
    bytes: Vec<u8>,
}

impl Block {
    /// Appends a table and returns its guest address.
    fn place(&mut self, table: &dyn Aml) -> u64 {
        // The root pointer must be, and tables like to be, aligned to 16 bytes.
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let address = self.start.0 + self.bytes.len() as u64;
        table.to_aml_bytes(&mut self.bytes);
        address
    }
}

fn fadt(dsdt: u64) -> impl Aml {
    let register = |port: u16| {
        GAS::new(RegisterSpace::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(port))
    };
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        // Power and sleep button are not fixed hardware; the first is a device in the DSDT.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    fadt.reset_reg = register(POWER_PORT + power::RESET_OFFSET);
    fadt.reset_value = power::RESET_VALUE;
    fadt.sleep_control_reg = register(POWER_PORT + power::SLEEP_CONTROL_OFFSET);
    fadt.sleep_status_reg = register(POWER_PORT + power::SLEEP_STATUS_OFFSET);
    fadt.finalize()
}

fn madt(vcpus: u8) -> MADT {
    let lapic = LocalInterruptController::Address(LAPIC_START as u32);
    let mut madt = MADT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION, lapic);
    for id in 0..vcpus {
        madt.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(0, IOAPIC_START as u32, 0));
    madt
}

fn dsdt() -> Sdt {
    let mut aml = Vec::new();
    host_bridge(&mut aml);
    reserved_ranges(&mut aml);
    serial_port(&mut aml);
    power_button(&mut aml);
    // Sleep state 5 is off; its value is what the guest writes to the sleep control register.
    let off = Package::new(vec![&power::SLEEP_TYPE_OFF]);
    name("_S5_", &off).to_aml_bytes(&mut aml);
    let mut table = Sdt::new(*b"DSDT", 36, 6, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&aml);
    table
}

fn system_device(aml: &mut Vec<u8>, name: &str, children: Vec<&dyn Aml>) {
    let device = Device::new(Path::new(name), children);
    Scope::new(Path::new("_SB_"), vec![&device]).to_aml_bytes(aml);
}

fn host_bridge(aml: &mut Vec<u8>) {
    let window_end = (PCI_WINDOW_START + PCI_WINDOW_SIZE_BYTES - 1) as u32;
    system_device(
        aml,
        "PCI0",
        vec![
            &name("_HID", &EISAName::new("PNP0A08")),
            &name("_CID", &EISAName::new("PNP0A03")),
            &name("_SEG", &ZERO),
            &name("_BBN", &ZERO),
            &name("_UID", &ZERO),
            &name(
                "_CRS",
                &ResourceTemplate::new(vec![
                    &AddressSpace::new_bus_number(0u16, 0u16),
                    &AddressSpace::new_memory(
                        AddressSpaceCacheable::NotCacheable,
                        true,
                        PCI_WINDOW_START as u32,
                        window_end,
                        None,
                    ),
                ]),
            ),
        ],
    );
}

/// Claims the configuration window, so that nothing else is placed there.
fn reserved_ranges(aml: &mut Vec<u8>) {
    let window = Memory32Fixed::new(true, ECAM_START as u32, ECAM_SIZE_BYTES as u32);
    system_device(
        aml,
        "MRES",
        vec![
            &name("_HID", &EISAName::new("PNP0C02")),
            &name("_UID", &ZERO),
            &name("_CRS", &ResourceTemplate::new(vec![&window])),
        ],
    );
}

fn serial_port(aml: &mut Vec<u8>) {
    system_device(
        aml,
        "COM1",
        vec![
            &name("_HID", &EISAName::new("PNP0501")),
            &name("_UID", &ZERO),
            &name(
                "_CRS",
                &ResourceTemplate::new(vec![
                    &IO::new(SERIAL_PORT, SERIAL_PORT, 1, SERIAL_PORT_COUNT as u8),
                    &edge(SERIAL_PIN),
                ]),
            ),
        ],
    );
}

/// The power button, and the generic event device that tells of it: its interrupt makes the guest
/// run `_EVT`, which reads (and thereby clears) the event register.
fn power_button(aml: &mut Vec<u8>) {
    system_device(
        aml,
        "PWRB",
        vec![&name("_HID", &EISAName::new("PNP0C0C")), &name("_UID", &ZERO)],
    );

    let event_port = POWER_PORT + power::EVENT_OFFSET;
    let pressed = power::EVENT_POWER_BUTTON;
    system_device(
        aml,
        "GED0",
        vec![
            &name("_HID", &"ACPI0013"),
            &name("_UID", &ZERO),
            &name("_CRS", &ResourceTemplate::new(vec![&edge(POWER_PIN)])),
            &OpRegion::new(Path::new("EREG"), OpRegionSpace::SystemIO, &event_port, &1u8),
            &Field::new(
                Path::new("EREG"),
                FieldAccessType::Byte,
                FieldLockRule::NoLock,
                FieldUpdateRule::WriteAsZeroes,
                vec![FieldEntry::Named(*b"EVNT", 8)],
            ),
            &Method::new(
                Path::new("_EVT"),
                1,
                true,
                vec![
                    &Store::new(&Local(0), &Path::new("EVNT")),
                    &And::new(&Local(1), &Local(0), &pressed),
                    &If::new(
                        &Equal::new(&Local(1), &pressed),
                        vec![&Notify::new(&Path::new("\\_SB_.PWRB"), &BUTTON_PRESSED)],
                    ),
                ],
            ),
        ],
    );
}

fn name(name: &str, value: &dyn Aml) -> Name {
    Name::new(Path::new(name), value)
}

/// An edge-triggered, active-high interrupt of the I/O APIC.
fn edge(pin: u8) -> Interrupt {
    Interrupt::new(true, true, false, false, u32::from(pin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_reachable_and_sums_to_zero() {
        let start = GuestAddress(0xe_0000);
        let tables = build(start, 64);
        let at = |address: u64| &tables.bytes[(address - start.0) as usize..];
        let u32_at = |bytes: &[u8], offset: usize| {
            u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
        };
        let u64_at = |bytes: &[u8], offset: usize| {
            u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
        };
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let table = |address: u64| {
            let bytes = at(address);
            let bytes = &bytes[..u32_at(bytes, 4) as usize];
            assert_eq!(sum(bytes), 0, "{:?}", std::str::from_utf8(&bytes[..4]));
            bytes
        };

        let rsdp = at(tables.rsdp.0);
        assert_eq!(&rsdp[..8], b"RSD PTR ");
        assert_eq!(sum(&rsdp[..20]), 0);
        assert_eq!(sum(&rsdp[..36]), 0);
        let xsdt = table(u64_at(rsdp, 24));
        let names: Vec<_> =
            xsdt[36..].chunks(8).map(|entry| &table(u64_at(entry, 0))[..4]).collect();
        assert_eq!(names, [b"FACP", b"APIC", b"MCFG"]);
        let fadt = table(u64_at(xsdt, 36));
        let hardware_reduced = 1 << 20;
        assert_ne!(u32_at(fadt, 112) & hardware_reduced, 0);
        assert_eq!(&table(u64_at(fadt, 140))[..4], b"DSDT");
    }
}
