//! The state in which vCPUs start.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::{Kvm, VcpuFd};

use super::boot::EntryPoint;
use super::cpuid;
use crate::Error;

const MSR_MISC_ENABLE: u32 = 0x1a0;
const MSR_MISC_ENABLE_FAST_STRINGS: u64 = 1;
const MSR_MTRR_DEFAULT_TYPE: u32 = 0x2ff;
const MTRR_ENABLED: u64 = 1 << 11;
const MTRR_WRITE_BACK: u64 = 6;

const CR0_PROTECTED: u64 = 1;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
const FLAGS_RESERVED: u64 = 1 << 1;

/// Prepares a vCPU. The first one starts at `entry`; the others wait until the guest wakes them.
pub(crate) fn set_up_vcpu(
    kvm: &Kvm,
    vcpu: &VcpuFd,
    id: u8,
    vcpus: u8,
    entry: EntryPoint,
) -> Result<(), Error> {
    let cpuid = cpuid::for_vcpu(&cpuid::supported(kvm)?, id, vcpus)?;
    vcpu.set_cpuid2(&cpuid).map_err(Error::kvm("set a vCPU's features"))?;
    set_msrs(vcpu)?;
    if id == 0 {
        set_entry(vcpu, entry)?;
    }
    Ok(())
}

/// What firmware would have set: memory is cached, string instructions are fast.
fn set_msrs(vcpu: &VcpuFd) -> Result<(), Error> {
    let msr = |index, data| kvm_msr_entry { index, data, ..Default::default() };
    let entries = [
        msr(MSR_MISC_ENABLE, MSR_MISC_ENABLE_FAST_STRINGS),
        msr(MSR_MTRR_DEFAULT_TYPE, MTRR_ENABLED | MTRR_WRITE_BACK),
    ];
    let msrs = Msrs::from_entries(&entries)
        .map_err(|_| Error::Config("the MSR list is too long".into()))?;
    let set = vcpu.set_msrs(&msrs).map_err(Error::kvm("set a vCPU's MSRs"))?;
    match entries.get(set) {
        Some(refused) => Err(Error::NoKvm(format!("it refuses MSR {:#x}", refused.index))),
        None => Ok(()),
    }
}

/// The PVH entry state: flat 32-bit segments, no paging, the start structure's address in EBX.
fn set_entry(vcpu: &VcpuFd, entry: EntryPoint) -> Result<(), Error> {
    let regs = kvm_regs {
        rip: entry.instruction.0,
        rbx: entry.start_info.0,
        rflags: FLAGS_RESERVED,
        ..Default::default()
    };
    vcpu.set_regs(&regs).map_err(Error::kvm("set a vCPU's registers"))?;

    let mut sregs = vcpu.get_sregs().map_err(Error::kvm("read a vCPU's segments"))?;
    let code = flat_segment(0x8, 0xb);
    let data = flat_segment(0x10, 0x3);
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr =
        kvm_segment { limit: 0x67, type_: 0xb, present: 1, selector: 0x18, ..Default::default() };
    sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE;
    sregs.cr4 = 0;
    sregs.efer = 0;
    vcpu.set_sregs(&sregs).map_err(Error::kvm("set a vCPU's segments"))
}

fn flat_segment(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    }
}
