//! The kernel's file systems, and the move from the initramfs to the real root.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use rustix::mount::{MountFlags, mount, mount_move};

use crate::{
    console::say,
    error::{Context, Result},
};

struct Mount {
    source: &'static str,
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    data: &'static str,
}

const NO_EXEC: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Needed before anything else can be said or done.
const EARLY: [Mount; 5] = [
    Mount { source: "proc", target: "/proc", kind: "proc", flags: NO_EXEC, data: "" },
    Mount { source: "sysfs", target: "/sys", kind: "sysfs", flags: NO_EXEC, data: "" },
    Mount {
        source: "devtmpfs",
        target: "/dev",
        kind: "devtmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        data: "mode=0755",
    },
    Mount {
        source: "tmpfs",
        target: "/run",
        kind: "tmpfs",
        flags: NO_EXEC,
        data: "mode=0755,size=25%",
    },
    Mount {
        source: "tmpfs",
        target: "/tmp",
        kind: "tmpfs",
        flags: NO_EXEC,
        data: "mode=1777,size=10%",
    },
];

/// Mounted once the modules are there; the machine works without any of them.
const LATE: [Mount; 4] = [
    Mount {
        source: "securityfs",
        target: "/sys/kernel/security",
        kind: "securityfs",
        flags: NO_EXEC,
        data: "",
    },
    Mount {
        source: "cgroup2",
        target: "/sys/fs/cgroup",
        kind: "cgroup2",
        flags: NO_EXEC,
        data: "nsdelegate",
    },
    Mount {
        source: "efivarfs",
        target: "/sys/firmware/efi/efivars",
        kind: "efivarfs",
        flags: NO_EXEC,
        data: "",
    },
    Mount {
        source: "devpts",
        target: "/dev/pts",
        kind: "devpts",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        data: "mode=0600,ptmxmode=0666",
    },
];

/// Mounts `/proc`, `/sys`, `/dev`, `/run` and `/tmp`.
pub(crate) fn early() {
    for entry in &EARLY {
        let _ = fs::create_dir(entry.target);
        report(entry);
    }
}

/// Mounts what waits for modules or for `/sys`, and lets cgroups limit what the agent starts.
pub(crate) fn late() {
    for entry in &LATE {
        match entry.kind {
            // A machine started without UEFI has no variables: nothing to report.
            "efivarfs" if !Path::new(entry.target).exists() => continue,
            "devpts" => {
                let _ = fs::create_dir(entry.target);
            }
            _ => {}
        }
        report(entry);
    }
    enable_controllers(Path::new("/sys/fs/cgroup"));
}

fn report(entry: &Mount) {
    if let Err(error) = mount_entry(entry) {
        say!("{error}; going on without it");
    }
}

fn mount_entry(entry: &Mount) -> Result<()> {
    let data = std::ffi::CString::new(entry.data).unwrap_or_default();
    match mount(entry.source, entry.target, entry.kind, entry.flags, data.as_c_str()) {
        // devtmpfs may have been mounted by the kernel itself.
        Err(rustix::io::Errno::BUSY) => Ok(()),
        other => other.while_trying(|| format!("mount {} at {}", entry.kind, entry.target)),
    }
}

/// The root group's children may be limited in everything that this kernel can limit.
fn enable_controllers(root: &Path) {
    let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        // One at a time: one that is busy elsewhere must not stop the others.
        let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Makes `new_root` the root, takes the early mounts along, and frees the initramfs.
pub(crate) fn switch_root(new_root: &str) -> Result<()> {
    for entry in &EARLY {
        let target = format!("{new_root}{}", entry.target);
        mount_move(entry.target, target.as_str())
            .while_trying(|| format!("move {} into the root", entry.target))?;
    }
    free_initramfs();
    rustix::process::chdir(new_root).while_trying(|| format!("enter {new_root}"))?;
    mount_move(".", "/").while_trying(|| "move the root into place".to_owned())?;
    rustix::process::chroot(".").while_trying(|| "change the root".to_owned())?;
    rustix::process::chdir("/").while_trying(|| "enter the root".to_owned())
}

/// The initramfs is memory. What is in use (this program's text, the root image behind its loop
/// device) lives on without a name; the rest is given back.
fn free_initramfs() {
    let Ok(root) = fs::metadata("/") else { return };
    remove_tree(Path::new("/"), root.dev());
}

fn remove_tree(directory: &Path, device: u64) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // `symlink_metadata`: nothing outside this one file system may ever be followed into.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.dev() != device {
            continue;
        }
        if metadata.is_dir() {
            remove_tree(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freeing_stays_on_its_own_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let kept = tempfile::tempdir().unwrap();
        fs::write(kept.path().join("file"), b"kept").unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/c"), b"x").unwrap();
        std::os::unix::fs::symlink(kept.path(), directory.path().join("a/link")).unwrap();
        let device = fs::metadata(directory.path()).unwrap().dev();

        remove_tree(directory.path(), device + 1);
        assert!(directory.path().join("a/b/c").exists());
        remove_tree(directory.path(), device);
        assert!(!directory.path().join("a").exists());
        assert!(kept.path().join("file").exists());
    }
}
