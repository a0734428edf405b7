//! Guest memory: anonymous, aligned so that the host can map it with huge pages.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MmapRegion,
};

use crate::Error;
use crate::arch;

/// The memory of one guest.
pub type GuestMemory = GuestMemoryMmap<()>;

/// Size of a huge page. Host and guest address must be congruent modulo this size, or every guest
/// page needs a fault of its own.
const HUGE_PAGE_SIZE_BYTES: usize = 2 << 20;

/// Allocates guest memory and places it around the hole for devices.
///
/// The memory is never unmapped: it lives exactly as long as the process.
pub fn allocate(size_bytes: u64) -> Result<GuestMemory, Error> {
    let regions = arch::memory_ranges(size_bytes)
        .into_iter()
        .map(|(start, size_bytes)| map_region(start, size_bytes))
        .collect::<Result<Vec<_>, Error>>()?;
    GuestMemory::from_regions(regions).map_err(|_| Error::Memory("the ranges do not fit together"))
}

/// Tells KVM which guest addresses are memory.
pub fn register(vm: &VmFd, memory: &GuestMemory) -> Result<(), Error> {
    for (slot, region) in memory.iter().enumerate() {
        let userspace_addr = region
            .get_host_address(vm_memory::MemoryRegionAddress(0))
            .map_err(|_| Error::Memory("a region has no host address"))?;
        let region = kvm_userspace_memory_region {
            slot: slot as u32,
            flags: 0,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: userspace_addr as u64,
        };
        // SAFETY: the range was mapped by `map_region`, belongs to the guest alone and is never
        // unmapped.
        unsafe { vm.set_user_memory_region(region) }.map_err(Error::kvm("register memory"))?;
    }
    Ok(())
}

fn map_region(start: GuestAddress, size_bytes: usize) -> Result<GuestRegionMmap<()>, Error> {
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let reserved_size_bytes = size_bytes
        .checked_add(HUGE_PAGE_SIZE_BYTES)
        .ok_or(Error::Memory("more than can be addressed"))?;
    // SAFETY: a new mapping at an address of the kernel's choice; nothing existing changes.
    let reserved = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), reserved_size_bytes, prot, flags)
    }
    .map_err(Error::io("allocate guest memory"))?
    .cast::<u8>();
    let padding = reserved.align_offset(HUGE_PAGE_SIZE_BYTES);
    // SAFETY: `padding` is less than the huge page that was reserved on top.
    let base = unsafe { reserved.add(padding) };
    let base = NonNull::new(base).ok_or(Error::Memory("mapped at address zero"))?;
    // SAFETY: the range lies in the mapping just made. Advice: a host without huge pages is fine.
    let _ = unsafe { rustix::mm::madvise(base.as_ptr().cast(), size_bytes, Advice::LinuxHugepage) };
    // SAFETY: `base` starts `size_bytes` of our mapping, page-aligned, which is never unmapped.
    let mapping = unsafe {
        MmapRegion::build_raw(base.as_ptr(), size_bytes, prot.bits() as i32, flags.bits() as i32)
    }
    .map_err(|_| Error::Memory("not aligned to pages"))?;
    GuestRegionMmap::new(mapping, start).ok_or(Error::Memory("a range wraps around"))
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, MemoryRegionAddress};

    use super::*;

    #[test]
    fn memory_is_aligned_to_huge_pages_and_usable_to_its_last_byte() {
        for size_bytes in [32u64 << 20, (3 << 20) * 1024 + (5 << 20)] {
            let memory = allocate(size_bytes).unwrap();
            let mut total = 0;
            for region in memory.iter() {
                let host = region.get_host_address(MemoryRegionAddress(0)).unwrap() as u64;
                assert_eq!(host % HUGE_PAGE_SIZE_BYTES as u64, 0);
                assert_eq!(region.start_addr().0 % HUGE_PAGE_SIZE_BYTES as u64, 0);
                memory.write_obj(7u8, region.last_addr()).unwrap();
                total += region.len();
            }
            assert_eq!(total, size_bytes);
            assert!(memory.read_obj::<u8>(arch::MMIO_START).is_err(), "the hole is no memory");
        }
    }
}
