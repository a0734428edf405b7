//! The root file system of customers' machines.

use std::fs;
use std::process::Command;

use aleph_image::{Cache, rootfs};

/// What the image is uploaded and stored as: whole. It is copied through emulated machines in the
/// tests, so that each mebibyte is felt.
const SIZE_BYTES_MAX: u64 = 160 << 20;

#[test]
fn the_root_file_system_is_debian_12_whole_and_small() {
    let image = rootfs::build(&Cache::from_environment()).unwrap();
    assert!(fs::metadata(&image).unwrap().len() <= SIZE_BYTES_MAX);
    let fsck = Command::new("e2fsck").args(["-f", "-n"]).arg(&image).output().unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));

    let show = |path: &str| {
        let request = format!("cat {path}");
        let output = Command::new("debugfs").args(["-R", &request]).arg(&image).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(show("/usr/lib/os-release").contains("VERSION_CODENAME=bookworm"));
    assert_eq!(show("/etc/machine-id"), "");
    assert_eq!(show("/etc/hostname"), "debian\n");
    // Nobody can log in by a password, and the packages' own records are there.
    let shadow = show("/etc/shadow");
    assert!(shadow.lines().all(|line| matches!(line.split(':').nth(1), Some("*" | "!" | "!*"))));
    assert!(show("/var/lib/dpkg/status").contains("Package: libpam-systemd\nStatus: install ok"));
}
