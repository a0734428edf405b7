//! Loads kernel modules: those that a stage always needs, and those that devices ask for.

use std::{
    collections::HashSet,
    ffi::CString,
    fs::{self, File},
    io::Read,
    path::Path,
};

use rustix::{io::Errno, system::finit_module};

use crate::{
    console::say,
    error::{Context, Error, Result},
    modules::{Module, ModuleTable, TABLE_PATH, TABLE_SIZE_BYTES_MAX},
};

/// A bus driver shows new devices, whose drivers show more: PCI, then virtio or NVMe, then disks.
const ROUNDS_MAX: usize = 5;

/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h: the kernel unpacks the file itself.
const INIT_COMPRESSED_FILE: i32 = 4;

/// Loads modules of one stage's table and remembers what has been tried.
pub(crate) struct ModuleLoader {
    table: ModuleTable,
    tried: HashSet<String>,
    loaded_count: usize,
}

impl ModuleLoader {
    /// Reads this stage's table.
    pub(crate) fn open() -> Result<Self> {
        let mut text = String::new();
        File::open(TABLE_PATH)
            .and_then(|file| file.take(TABLE_SIZE_BYTES_MAX + 1).read_to_string(&mut text))
            .while_trying(|| format!("read {TABLE_PATH}"))?;
        if text.len() as u64 > TABLE_SIZE_BYTES_MAX {
            return Err(Error::ModuleTable { reason: "larger than 4 MiB".to_owned() });
        }
        let table = ModuleTable::parse(&text)?;
        let running = rustix::system::uname();
        let running = running.release().to_string_lossy();
        if running != table.kernel() {
            say!("the modules are for Linux {}, but {running} runs", table.kernel());
        }
        Ok(Self { table, tried: HashSet::new(), loaded_count: 0 })
    }

    /// Loads what the stage always needs.
    pub(crate) fn load_always(&mut self) {
        let modules: Vec<Module> = self.table.always().into_iter().cloned().collect();
        self.load(&modules);
    }

    /// Loads drivers for every device that is there, and for those that appear by it.
    pub(crate) fn coldplug(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let modaliases = modaliases(Path::new("/sys/devices"));
            if self.load_for(modaliases.iter().map(String::as_str)) == 0 {
                return;
            }
        }
    }

    /// Loads drivers for devices by their modaliases; says how many modules were new.
    pub(crate) fn load_for<'a>(&mut self, modaliases: impl IntoIterator<Item = &'a str>) -> usize {
        let modules: Vec<Module> =
            self.table.for_devices(modaliases).into_iter().cloned().collect();
        self.load(&modules)
    }

    /// How many modules this loader put into the kernel.
    pub(crate) fn loaded_count(&self) -> usize {
        self.loaded_count
    }

    fn load(&mut self, modules: &[Module]) -> usize {
        let before = self.loaded_count;
        for module in modules {
            // One that failed fails again: each is tried once, reported once.
            if !self.tried.insert(module.name.clone()) {
                continue;
            }
            match insert(module) {
                Ok(()) => self.loaded_count += 1,
                Err(Errno::EXIST) => {}
                // "No such device" is how a driver says that its hardware is not there after all.
                Err(Errno::NODEV | Errno::OPNOTSUPP) => {}
                Err(error) => say!("module {} ({}): {error}", module.name, module.path),
            }
        }
        self.loaded_count - before
    }
}

fn insert(module: &Module) -> Result<(), Errno> {
    let file = File::open(&module.path)
        .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    let compressed = !module.path.ends_with(".ko");
    let flags = if compressed { INIT_COMPRESSED_FILE } else { 0 };
    let options = CString::new(module.options.as_str()).map_err(|_| Errno::INVAL)?;
    finit_module(&file, &options, flags)
}

/// The modalias of every device below `root`. Symbolic links are not followed: `/sys/devices`
/// holds each device once.
fn modaliases(root: &Path) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file() && entry.file_name() == "modalias" {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                found.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modaliases_are_collected_without_following_links() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("pci0000:00/0000:00:02.0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("modalias"), "pci:v1\n").unwrap();
        fs::write(root.path().join("pci0000:00/modalias"), "\n").unwrap();
        std::os::unix::fs::symlink(root.path(), device.join("subsystem")).unwrap();
        assert_eq!(modaliases(root.path()), HashSet::from(["pci:v1".to_owned()]));
    }
}
