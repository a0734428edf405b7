//! The root file system: an EROFS image that lies as a file in the initramfs.

use std::{
    fs::{File, OpenOptions},
    os::fd::AsRawFd,
};

use rustix::mount::{MountFlags, mount};

use crate::error::{Context, Error, Result};

/// Where the initramfs holds the image.
pub(crate) const IMAGE_PATH: &str = "/root.erofs";

/// Mounts the image read-only at `target`.
///
/// EROFS can read a file directly, but only from a file system with a page cache of its own kind:
/// it refuses tmpfs, which an initramfs is by default (`rootfstype=ramfs` would do). Then a loop
/// device stands in between.
pub(crate) fn mount_image(image: &str, target: &str) -> Result<&'static str> {
    let flags = MountFlags::RDONLY.union(MountFlags::NOSUID).union(MountFlags::NODEV);
    let direct = match mount(image, target, "erofs", flags, None) {
        Ok(()) => return Ok("file-backed"),
        Err(error) => error,
    };
    let looped = attach_loop(image)
        .and_then(|(_device, path)| {
            mount(path.as_str(), target, "erofs", flags, None)
                .while_trying(|| format!("mount {path}"))
        })
        .map_err(|error| Error::Root { reason: format!("directly: {direct}; {error}") });
    looped.map(|()| "loop device")
}

/// The returned device must stay open until it is mounted: it detaches by itself on last close.
fn attach_loop(image: &str) -> Result<(File, String)> {
    let backing = File::open(image).while_trying(|| format!("open {image}"))?;
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .while_trying(|| "open /dev/loop-control".to_owned())?;
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    let number = unsafe { loop_ctl_get_free(control.as_raw_fd()) }
        .while_trying(|| "find a free loop device".to_owned())?;
    let path = format!("/dev/loop{number}");
    let device = File::open(&path).while_trying(|| format!("open {path}"))?;
    let config = LoopConfig {
        backing_fd: backing.as_raw_fd().cast_unsigned(),
        block_size: 0,
        info: LoopInfo { flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, ..LoopInfo::default() },
        reserved: [0; 8],
    };
    // SAFETY: `config` has the layout of the kernel's `struct loop_config` and outlives the call.
    unsafe { loop_configure(device.as_raw_fd(), &raw const config) }
        .while_trying(|| format!("attach {image} to {path}"))?;
    Ok((device, path))
}

const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

nix::ioctl_none_bad!(loop_ctl_get_free, 0x4C82);
nix::ioctl_write_ptr_bad!(loop_configure, 0x4C0A, LoopConfig);

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl Default for LoopInfo {
    fn default() -> Self {
        Self {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: 0,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        }
    }
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    backing_fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
    }
}
