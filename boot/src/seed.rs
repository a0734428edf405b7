//! Where the configuration comes from: QEMU's fw_cfg, else the boot disk's ESP, else built in.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::{
    config::SEED_SIZE_BYTES_MAX,
    console::say,
    disk::{Disk, partition_node},
    error::{Context, Error, Result},
};

/// Where the agent finds the bytes.
pub(crate) const CONFIG_PATH: &str = "/run/aleph/config.toml";

const FW_CFG_PATH: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.aleph/config/raw";
const ESP_MOUNT: &str = "/run/aleph/esp";
const ESP_FILE: &str = "aleph/config.toml";

/// Where the seed was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeedSource {
    /// QEMU handed it over.
    FwCfg,
    /// It is on the boot disk.
    Esp,
    /// There is none.
    BuiltIn,
}

impl fmt::Display for SeedSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FwCfg => "fw_cfg opt/org.aleph/config",
            Self::Esp => "aleph/config.toml on the ESP",
            Self::BuiltIn => "built-in defaults",
        })
    }
}

/// Finds the seed. A source that exists but cannot be read is reported, and the next one is used.
pub(crate) fn find(boot_disk: Option<&Disk>) -> (SeedSource, Vec<u8>) {
    match read_bounded(Path::new(FW_CFG_PATH), "fw_cfg") {
        Ok(Some(seed)) => return (SeedSource::FwCfg, seed),
        Ok(None) => {}
        Err(error) => say!("{error}"),
    }
    if let Some(disk) = boot_disk {
        match read_from_esp(disk) {
            Ok(Some(seed)) => return (SeedSource::Esp, seed),
            Ok(None) => {}
            Err(error) => say!("{error}; the ESP's configuration is not used"),
        }
    }
    (SeedSource::BuiltIn, Vec::new())
}

/// Leaves the seed for the agent. It may hold secrets of the operator's.
pub(crate) fn publish(seed: &[u8]) -> Result<()> {
    fs::create_dir_all("/run/aleph")
        .and_then(|()| {
            let mut options = File::options();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(CONFIG_PATH)?;
            io::Write::write_all(&mut file, seed)
        })
        .while_trying(|| format!("write {CONFIG_PATH}"))
}

fn read_from_esp(disk: &Disk) -> Result<Option<Vec<u8>>> {
    let Some(esp) = disk.esp() else { return Ok(None) };
    let device = partition_node(&disk.name, esp.number)?;
    fs::create_dir_all(ESP_MOUNT).while_trying(|| format!("create {ESP_MOUNT}"))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(&device, ESP_MOUNT, "vfat", flags, None)
        .while_trying(|| format!("mount the ESP {}", device.display()))?;
    let seed = read_bounded(&Path::new(ESP_MOUNT).join(ESP_FILE), "the ESP");
    // Nothing else may depend on the ESP staying mounted: an update writes to it.
    if let Err(error) = unmount(ESP_MOUNT, UnmountFlags::DETACH) {
        say!("unmount the ESP: {error}");
    }
    let _ = fs::remove_dir(ESP_MOUNT);
    seed
}

fn read_bounded(path: &Path, place: &str) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).while_trying(|| format!("open {}", path.display())),
    };
    let mut seed = Vec::new();
    file.take(SEED_SIZE_BYTES_MAX + 1)
        .read_to_end(&mut seed)
        .while_trying(|| format!("read {}", path.display()))?;
    if seed.len() as u64 > SEED_SIZE_BYTES_MAX {
        return Err(Error::SeedTooLarge {
            place: place.to_owned(),
            size_bytes_max: SEED_SIZE_BYTES_MAX,
        });
    }
    Ok(Some(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_up_to_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SEED_SIZE_BYTES_MAX).unwrap();
        assert_eq!(read_bounded(file.path(), "x").unwrap().unwrap().len(), 64 * 1024);
        file.as_file().set_len(SEED_SIZE_BYTES_MAX + 1).unwrap();
        assert!(matches!(read_bounded(file.path(), "x"), Err(Error::SeedTooLarge { .. })));
        assert!(read_bounded(Path::new("/nonexistent"), "x").unwrap().is_none());
    }
}
