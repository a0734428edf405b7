//! Loads a kernel and describes the machine to it, the PVH way: one structure in memory, its
//! address in a register, 32-bit protected mode without paging.

use std::fs::File;

use linux_loader::configurator::pvh::PvhBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams};
use linux_loader::loader::start_info::{hvm_memmap_table_entry, hvm_start_info};
use linux_loader::loader::{Elf, KernelLoader, PvhBootCapability};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::{
    ACPI_END, ACPI_START, ECAM_SIZE_BYTES, ECAM_START, HIGH_MEMORY_START, LOW_MEMORY_END, acpi,
};
use crate::Error;
use crate::memory::GuestMemory;

const START_INFO: GuestAddress = GuestAddress(0x6000);
const MEMORY_MAP: GuestAddress = GuestAddress(0x7000);
const CMDLINE: GuestAddress = GuestAddress(0x2_0000);

const START_INFO_MAGIC: u32 = 0x336e_c578;
const START_INFO_VERSION: u32 = 1;
const RANGE_MEMORY: u32 = 1;
const RANGE_RESERVED: u32 = 2;

/// Where the first vCPU starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryPoint {
    /// Address of the first instruction.
    pub(crate) instruction: GuestAddress,
    /// Address of the start structure.
    pub(crate) start_info: GuestAddress,
}

/// Puts kernel, command line, memory map and ACPI tables into guest memory.
pub(crate) fn load(
    memory: &GuestMemory,
    kernel: &mut File,
    cmdline: &str,
    vcpus: u8,
) -> Result<EntryPoint, Error> {
    let loaded = Elf::load(memory, None, kernel, Some(HIGH_MEMORY_START))
        .map_err(|error| Error::Kernel(format!("cannot be loaded: {error}")))?;
    let PvhBootCapability::PvhEntryPresent(instruction) = loaded.pvh_boot_cap else {
        return Err(Error::Kernel("has no PVH entry: build it with CONFIG_PVH".into()));
    };
    let write = |bytes: &[u8], address| {
        memory.write_slice(bytes, address).map_err(|_| Error::Memory("the boot data do not fit"))
    };
    write(cmdline.as_bytes(), CMDLINE)?;
    write(&[0], GuestAddress(CMDLINE.0 + cmdline.len() as u64))?;
    let tables = acpi::build(ACPI_START, vcpus);
    if tables.bytes.len() as u64 > ACPI_END.0 - ACPI_START.0 {
        return Err(Error::Memory("the ACPI tables do not fit"));
    }
    write(&tables.bytes, ACPI_START)?;
    write_start_info(memory, tables.rsdp)?;
    Ok(EntryPoint { instruction, start_info: START_INFO })
}

fn write_start_info(memory: &GuestMemory, rsdp: GuestAddress) -> Result<(), Error> {
    let map = memory_map(memory);
    let start_info = hvm_start_info {
        magic: START_INFO_MAGIC,
        version: START_INFO_VERSION,
        cmdline_paddr: CMDLINE.0,
        rsdp_paddr: rsdp.0,
        memmap_paddr: MEMORY_MAP.0,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    let mut params = BootParams::new(&start_info, START_INFO);
    params.set_sections(&map, MEMORY_MAP);
    PvhBootConfigurator::write_bootparams(&params, memory)
        .map_err(|_| Error::Memory("the start structure does not fit"))
}

fn memory_map(memory: &GuestMemory) -> Vec<hvm_memmap_table_entry> {
    let entry = |start: u64, end: u64, type_| hvm_memmap_table_entry {
        addr: start,
        size: end - start,
        type_,
        reserved: 0,
    };
    let mut map = vec![
        entry(0, LOW_MEMORY_END.0, RANGE_MEMORY),
        entry(ACPI_START.0, ACPI_END.0, RANGE_RESERVED),
        // Linux wants to see the configuration window reserved before it believes the MCFG.
        entry(ECAM_START, ECAM_START + ECAM_SIZE_BYTES, RANGE_RESERVED),
    ];
    for region in memory.iter() {
        let start = region.start_addr().0.max(HIGH_MEMORY_START.0);
        map.push(entry(start, region.start_addr().0 + region.len(), RANGE_MEMORY));
    }
    map.sort_by_key(|entry| entry.addr);
    map
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::memory;

    #[test]
    fn the_memory_map_covers_all_memory_once() {
        for size_mib in [64, 4096] {
            let memory = memory::allocate(size_mib << 20).unwrap();
            let map = memory_map(&memory);
            assert!(map.windows(2).all(|pair| pair[0].addr + pair[0].size <= pair[1].addr));
            let usable: u64 = map
                .iter()
                .filter(|entry| entry.type_ == RANGE_MEMORY)
                .map(|entry| entry.size)
                .sum();
            assert_eq!(usable, (size_mib << 20) - (HIGH_MEMORY_START.0 - LOW_MEMORY_END.0));
        }
    }

    #[test]
    fn files_that_are_no_kernel_are_refused() {
        let memory = memory::allocate(64 << 20).unwrap();
        for content in [&b""[..], b"\x7fELF", &[0u8; 4096]] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(content).unwrap();
            let error = load(&memory, &mut file, "", 1).unwrap_err();
            assert!(matches!(error, Error::Kernel(_)), "{error}");
        }
    }
}
