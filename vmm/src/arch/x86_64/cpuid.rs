//! What the guest's processors say of themselves: what KVM supports, with our topology.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Kvm};

use crate::Error;

const LEAF_FEATURES: u32 = 0x1;
const LEAF_PERFORMANCE_MONITORING: u32 = 0xa;
const LEAF_TOPOLOGY: u32 = 0xb;
const LEAF_TOPOLOGY_V2: u32 = 0x1f;
const LEAF_AMD_SIZES: u32 = 0x8000_0008;
const LEAF_AMD_TOPOLOGY: u32 = 0x8000_001e;

const FEATURES_ECX_TSC_DEADLINE: u32 = 1 << 24;
const FEATURES_ECX_HYPERVISOR: u32 = 1 << 31;
const FEATURES_EDX_MULTI_THREADING: u32 = 1 << 28;

const TOPOLOGY_TYPE_THREAD: u32 = 1 << 8;
const TOPOLOGY_TYPE_CORE: u32 = 2 << 8;

/// The leaves that every vCPU of this host can have.
pub(super) fn supported(kvm: &Kvm) -> Result<CpuId, Error> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(Error::kvm("read the processor features KVM supports"))?;
    // KVM emulates the timer in the local APIC, but leaves it to us to say so.
    if kvm.check_extension(Cap::TscDeadlineTimer) {
        for entry in cpuid.as_mut_slice().iter_mut().filter(|e| e.function == LEAF_FEATURES) {
            entry.ecx |= FEATURES_ECX_TSC_DEADLINE;
        }
    }
    Ok(cpuid)
}

/// The leaves of one vCPU: one package with `vcpus` cores of one thread.
pub(super) fn for_vcpu(supported: &CpuId, id: u8, vcpus: u8) -> Result<CpuId, Error> {
    let (id, vcpus) = (u32::from(id), u32::from(vcpus));
    let mut entries: Vec<_> = supported
        .as_slice()
        .iter()
        .filter(|entry| !matches!(entry.function, LEAF_TOPOLOGY | LEAF_TOPOLOGY_V2))
        .copied()
        .collect();
    for entry in &mut entries {
        set_identity(entry, id, vcpus);
    }
    // Which of the two a processor has follows its highest basic leaf.
    let highest = entries.iter().find(|entry| entry.function == 0).map_or(0, |entry| entry.eax);
    for leaf in [LEAF_TOPOLOGY, LEAF_TOPOLOGY_V2] {
        if leaf <= highest {
            entries.extend(topology(leaf, id, vcpus));
        }
    }
    CpuId::from_entries(&entries)
        .map_err(|_| Error::Config("the processor has more features than KVM takes".into()))
}

fn set_identity(entry: &mut kvm_cpuid_entry2, id: u32, vcpus: u32) {
    match entry.function {
        LEAF_FEATURES => {
            entry.ebx = (entry.ebx & 0xffff) | (vcpus << 16) | (id << 24);
            entry.ecx |= FEATURES_ECX_HYPERVISOR;
            if vcpus > 1 {
                entry.edx |= FEATURES_EDX_MULTI_THREADING;
            } else {
                entry.edx &= !FEATURES_EDX_MULTI_THREADING;
            }
        }
        // Counters of the host's processor are none of the guest's business.
        LEAF_PERFORMANCE_MONITORING => {
            (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
        }
        LEAF_AMD_SIZES => {
            entry.ecx = (entry.ecx & !0xf0ff) | (vcpus - 1) | (id_bits(vcpus) << 12);
        }
        LEAF_AMD_TOPOLOGY => (entry.eax, entry.ebx, entry.ecx) = (id, id, 0),
        _ => {}
    }
}

/// Thread level, core level, and the empty level that ends the list.
fn topology(leaf: u32, id: u32, vcpus: u32) -> [kvm_cpuid_entry2; 3] {
    let level = |index: u32, shift: u32, count: u32, kind: u32| kvm_cpuid_entry2 {
        function: leaf,
        index,
        flags: kvm_bindings::KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax: shift,
        ebx: count,
        ecx: kind | index,
        edx: id,
        ..Default::default()
    };
    [
        level(0, 0, 1, TOPOLOGY_TYPE_THREAD),
        level(1, id_bits(vcpus), vcpus, TOPOLOGY_TYPE_CORE),
        level(2, 0, 0, 0),
    ]
}

/// Bits that number `vcpus` processors.
fn id_bits(vcpus: u32) -> u32 {
    vcpus.next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_its_own_identity_in_one_package() {
        let leaf = |function, eax| kvm_cpuid_entry2 {
            function,
            eax,
            ebx: 0xffff_ffff,
            ..Default::default()
        };
        let supported =
            CpuId::from_entries(&[leaf(0, 0xd), leaf(1, 0), leaf(0xb, 9), leaf(LEAF_AMD_SIZES, 0)])
                .unwrap();
        let cpuid = for_vcpu(&supported, 2, 3).unwrap();
        let find = |function: u32, index: u32| {
            let mut found =
                cpuid.as_slice().iter().filter(|e| e.function == function && e.index == index);
            let entry = found.next().copied();
            assert!(found.next().is_none(), "leaf {function:#x} is there once");
            entry
        };
        let features = find(1, 0).unwrap();
        assert_eq!(features.ebx, 0x0203_ffff);
        assert_ne!(features.ecx & FEATURES_ECX_HYPERVISOR, 0);
        assert_eq!(find(0xb, 1).unwrap().eax, 2, "three cores need two bits");
        assert_eq!(find(0xb, 1).unwrap().ebx, 3);
        assert_eq!(find(0xb, 0).unwrap().edx, 2);
        assert_eq!(find(LEAF_TOPOLOGY_V2, 0), None, "beyond the highest leaf");
        assert_eq!(find(LEAF_AMD_SIZES, 0).unwrap().ecx, 2 | (2 << 12));
    }
}
