//! Linux guests. They need a KVM that runs a whole operating system, and files that are not part
//! of this crate: `ALEPH_TEST_KERNEL`, an ELF kernel, and `ALEPH_TEST_ROOTFS`, a raw image of a
//! distribution with systemd. Without them the tests say so and pass.

use std::fs::File;
use std::time::Duration;

use aleph_vmm::control::{Exit, Request, Response};
use aleph_vmm::status::Counter;

use crate::harness::Monitor;

const BOOT_DEADLINE: Duration = Duration::from_secs(300);
const POWER_OFF_DEADLINE: Duration = Duration::from_secs(120);
const CMDLINE: &str = "console=ttyS0 root=/dev/vda rw panic=-1 quiet";

#[test]
fn a_distribution_boots_to_its_login_and_obeys_the_power_button() {
    for vcpus in [1, 2] {
        let Some((kernel, rootfs)) = kernel_and_rootfs() else {
            return;
        };
        let mut monitor = Monitor::spawn_machine(kernel, rootfs, vcpus, 256, CMDLINE);
        monitor.wait_for_console("login:", BOOT_DEADLINE);
        assert_eq!(monitor.client().request(&Request::PowerButton).unwrap(), Response::Done);
        assert_eq!(monitor.wait_at_most(POWER_OFF_DEADLINE), Exit::PoweredOff);

        let snapshot = monitor.snapshot();
        for (name, value) in snapshot.counters.iter() {
            println!("{vcpus} vcpus: {name} {value}");
        }
        assert!(snapshot.counters.get(Counter::BlockWrite) > 0);
        assert_eq!(snapshot.counters.get(Counter::BlockError), 0);
        assert_eq!(snapshot.counters.get(Counter::DeviceStopped), 0);
    }
}

/// The kernel, and a copy of the root file system that may be written.
fn kernel_and_rootfs() -> Option<(File, File)> {
    let path = |name: &str| {
        let path = std::env::var_os(name);
        if path.is_none() {
            eprintln!("skipped: {name} is not set");
        }
        path
    };
    let kernel = File::open(path("ALEPH_TEST_KERNEL")?).unwrap();
    let mut original = File::open(path("ALEPH_TEST_ROOTFS")?).unwrap();
    let mut copy = tempfile::tempfile().unwrap();
    std::io::copy(&mut original, &mut copy).unwrap();
    Some((kernel, copy))
}
