//! x86-64: a PC without its past. No PIC, no PIT, no CF8/CFC, no CMOS; hardware-reduced ACPI says
//! so to the guest.

mod acpi;
mod boot;
mod cpuid;
mod interrupts;
mod ioapic;
mod registers;

use kvm_ioctls::VmFd;
use vm_memory::GuestAddress;

pub(crate) use boot::load;
pub(crate) use interrupts::Interrupts;
pub(crate) use ioapic::IoApic;
pub(crate) use registers::set_up_vcpu;

use crate::Error;

/// Start of the ACPI tables, in the area firmware uses on every PC.
const ACPI_START: GuestAddress = GuestAddress(0xe_0000);
const ACPI_END: GuestAddress = GuestAddress(0x10_0000);
/// End of low memory as far as a PC's firmware leaves it to the system.
const LOW_MEMORY_END: GuestAddress = GuestAddress(0xa_0000);
/// Where memory goes on after the legacy area; kernels are linked above it.
const HIGH_MEMORY_START: GuestAddress = GuestAddress(0x10_0000);

/// The hole for devices: no memory from here …
pub(crate) const MMIO_START: GuestAddress = GuestAddress(0xc000_0000);
/// … to 4 GiB.
const MMIO_END: GuestAddress = GuestAddress(0x1_0000_0000);
/// Window of the PCI functions' registers.
pub(crate) const PCI_WINDOW_START: u64 = MMIO_START.0;
pub(crate) const PCI_WINDOW_SIZE_BYTES: u64 = 0x1000_0000;
/// PCI configuration space (ECAM) of the one bus.
pub(crate) const ECAM_START: u64 = 0xe000_0000;
pub(crate) const ECAM_SIZE_BYTES: u64 = 1 << 20;
pub(crate) const IOAPIC_START: u64 = 0xfec0_0000;
pub(crate) const IOAPIC_SIZE_BYTES: u64 = 0x1000;
const LAPIC_START: u64 = 0xfee0_0000;
/// Three pages that KVM on Intel needs for real mode, out of everybody's way.
const KVM_TSS_START: usize = 0xfffb_d000;

pub(crate) const SERIAL_PORT: u16 = 0x3f8;
pub(crate) const SERIAL_PORT_COUNT: u16 = 8;
pub(crate) const SERIAL_PIN: u8 = 4;
/// Registers of [`crate::devices::power`].
pub(crate) const POWER_PORT: u16 = 0x600;
pub(crate) const POWER_PORT_COUNT: u16 = 4;
pub(crate) const POWER_PIN: u8 = 5;

/// What a VM needs before it has memory.
pub(crate) fn set_up_vm(vm: &VmFd) -> Result<(), Error> {
    vm.set_tss_address(KVM_TSS_START).map_err(Error::kvm("reserve pages for real mode"))
}

/// The ranges of guest memory, in order, for a machine with `size_bytes` of it.
pub(crate) fn memory_ranges(size_bytes: u64) -> Vec<(GuestAddress, usize)> {
    let low = size_bytes.min(MMIO_START.0);
    let mut ranges = vec![(GuestAddress(0), low as usize)];
    if size_bytes > low {
        ranges.push((MMIO_END, (size_bytes - low) as usize));
    }
    ranges
}
