use std::{collections::BTreeMap, path::Path, sync::Mutex, sync::PoisonError, thread};

use aleph_types::{JobId, Resources};
use rustix::{fs::statvfs, system::sysinfo};

use crate::ExecutorError;

/// What machines may occupy together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory of guests and their monitors.
    pub memory_mib: u64,
    /// Disk.
    pub disk_mib: u64,
}

/// What of the host is not for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostReserve {
    /// Memory for the kernel, PID 1 and the agent.
    pub memory_mib: u64,
    /// Disk for the database and images.
    pub disk_mib: u64,
}

impl Default for HostReserve {
    fn default() -> Self {
        Self { memory_mib: 512, disk_mib: 1024 }
    }
}

impl Capacity {
    /// What this host has, without the reserve. One virtual processor for each real one.
    pub fn detect(data_dir: &Path, reserve: HostReserve) -> Result<Self, ExecutorError> {
        let stat = statvfs(data_dir)
            .map_err(|error| ExecutorError::file("measure the disk of", data_dir)(error.into()))?;
        let memory = sysinfo();
        let memory_bytes = memory.totalram.saturating_mul(u64::from(memory.mem_unit));
        let disk_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
        Ok(Self {
            vcpus: thread::available_parallelism().map_or(1, |count| count.get() as u32),
            memory_mib: (memory_bytes >> 20).saturating_sub(reserve.memory_mib),
            disk_mib: (disk_bytes >> 20).saturating_sub(reserve.disk_mib),
        })
    }
}

/// Memory that a monitor needs beside its guest's: its own, page tables and disk buffers.
pub(crate) const fn overhead_mib(guest_mib: u64) -> u64 {
    64 + guest_mib / 128
}

/// Who occupies what. A machine that is stopped keeps its disk only.
#[derive(Debug)]
pub(crate) struct Ledger {
    capacity: Capacity,
    reserved: Mutex<BTreeMap<JobId, Resources>>,
}

impl Ledger {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self { capacity, reserved: Mutex::default() }
    }

    /// Takes what a job asks for, if the others leave it. Taking it again changes nothing.
    pub(crate) fn reserve(&self, job: JobId, wanted: Resources) -> Result<(), ExecutorError> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = sum(reserved.iter().filter(|(other, _)| **other != job));
        let fits = |taken: Resources| {
            let total = occupied(wanted);
            taken.vcpus.saturating_add(total.vcpus) <= self.capacity.vcpus
                && taken.memory_mib.saturating_add(total.memory_mib) <= self.capacity.memory_mib
                && taken.disk_mib.saturating_add(total.disk_mib) <= self.capacity.disk_mib
        };
        if !fits(Resources::default()) {
            return Err(ExecutorError::TooLarge { wanted, capacity: self.capacity });
        }
        if !fits(taken) {
            return Err(ExecutorError::NoRoom { wanted, free: self.free(taken) });
        }
        reserved.insert(job, occupied(wanted));
        Ok(())
    }

    /// Notes what runs already, whether it fits or not.
    pub(crate) fn occupy(&self, job: JobId, taken: Resources) {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.insert(job, occupied(taken));
    }

    /// Gives back all but the disk.
    pub(crate) fn release_compute(&self, job: JobId) {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = reserved.get_mut(&job) {
            *taken = Resources { disk_mib: taken.disk_mib, ..Resources::default() };
        }
    }

    pub(crate) fn release(&self, job: JobId) {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    /// What the next job could have.
    pub(crate) fn available(&self) -> Capacity {
        let reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        self.free(sum(reserved.iter()))
    }

    fn free(&self, taken: Resources) -> Capacity {
        Capacity {
            vcpus: self.capacity.vcpus.saturating_sub(taken.vcpus),
            memory_mib: self.capacity.memory_mib.saturating_sub(taken.memory_mib),
            disk_mib: self.capacity.disk_mib.saturating_sub(taken.disk_mib),
        }
    }
}

/// What a job's machine takes of a node: what the job asks for, and what its monitor needs.
pub fn occupied(resources: Resources) -> Resources {
    let overhead_mib = overhead_mib(resources.memory_mib);
    let memory_mib = resources.memory_mib.saturating_add(overhead_mib);
    Resources { memory_mib, ..resources }
}

fn sum<'a>(all: impl Iterator<Item = (&'a JobId, &'a Resources)>) -> Resources {
    all.fold(Resources::default(), |sum, (_, taken)| Resources {
        vcpus: sum.vcpus.saturating_add(taken.vcpus),
        memory_mib: sum.memory_mib.saturating_add(taken.memory_mib),
        disk_mib: sum.disk_mib.saturating_add(taken.disk_mib),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity { vcpus: 4, memory_mib: 1024, disk_mib: 1000 };
    const HALF: Resources = Resources { vcpus: 2, memory_mib: 400, disk_mib: 500 };

    #[test]
    fn more_than_there_is_is_refused_for_good_and_more_than_is_left_for_now() {
        let ledger = Ledger::new(CAPACITY);
        for wanted in [
            Resources { vcpus: 5, ..HALF },
            Resources { memory_mib: 1000, ..HALF },
            Resources { memory_mib: u64::MAX, ..HALF },
            Resources { disk_mib: 1001, ..HALF },
        ] {
            let error = ledger.reserve(JobId(1), wanted).unwrap_err();
            assert!(matches!(error, ExecutorError::TooLarge { .. }), "{error}");
        }
        ledger.reserve(JobId(1), HALF).unwrap();
        ledger.reserve(JobId(1), HALF).unwrap();
        let error = ledger.reserve(JobId(2), Resources { vcpus: 3, ..HALF }).unwrap_err();
        assert!(matches!(error, ExecutorError::NoRoom { free, .. } if free.vcpus == 2), "{error}");
        ledger.reserve(JobId(2), HALF).unwrap();
    }

    #[test]
    fn a_stopped_machine_keeps_its_disk_only() {
        let ledger = Ledger::new(CAPACITY);
        ledger.occupy(JobId(1), Resources { vcpus: 4, ..HALF });
        assert_eq!(ledger.available(), Capacity { vcpus: 0, memory_mib: 557, disk_mib: 500 });
        ledger.release_compute(JobId(1));
        assert_eq!(ledger.available(), Capacity { disk_mib: 500, ..CAPACITY });
        ledger.release(JobId(1));
        assert_eq!(ledger.available(), CAPACITY);
    }

    #[test]
    fn the_host_has_something() {
        let folder = tempfile::tempdir().unwrap();
        let none = HostReserve { memory_mib: 0, disk_mib: 0 };
        let all = Capacity::detect(folder.path(), none).unwrap();
        assert!(all.vcpus > 0 && all.memory_mib > 0 && all.disk_mib > 0);
        let all_kept = HostReserve { memory_mib: u64::MAX, disk_mib: u64::MAX };
        let rest = Capacity::detect(folder.path(), all_kept).unwrap();
        assert_eq!((rest.memory_mib, rest.disk_mib), (0, 0));
    }
}
