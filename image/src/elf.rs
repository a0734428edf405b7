//! Which shared libraries a program needs, read from the files themselves: `ldd` would run them,
//! and would not see what they open later.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{LittleEndian, ReadRef};

use crate::error::IoContext;
use crate::{Error, Result};

/// What the dynamic linker is told by one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dynamic {
    /// The dynamic linker, if the file is a program that needs one.
    pub(crate) interpreter: Option<String>,
    /// The libraries that it asks for by name.
    pub(crate) needed: Vec<String>,
}

/// Shared libraries, by the names that programs ask for, and the dynamic linker.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    /// The library's name and its file on the build machine, with symbolic links resolved.
    pub(crate) libraries: BTreeMap<String, PathBuf>,
    /// The dynamic linker's path as programs name it, and its file.
    pub(crate) interpreter: Option<(String, PathBuf)>,
}

impl Closure {
    /// Adds a program, or a library that another opens while it runs, with all that it needs.
    ///
    /// Paths that a file itself brings along (`DT_RUNPATH`) are not followed: Debian's libraries
    /// have none, and the image must not depend on the build folder.
    pub(crate) fn add(&mut self, path: &Path, directories: &[&Path]) -> Result<()> {
        let bytes = fs::read(path).at("read", path)?;
        let dynamic =
            read(&bytes).map_err(|source| Error::Elf { path: path.to_owned(), source })?;
        if let Some(interpreter) = dynamic.interpreter {
            let file = Path::new(&interpreter);
            let resolved = fs::canonicalize(file).at("find", file)?;
            self.interpreter = Some((interpreter, resolved));
        }
        for name in dynamic.needed {
            if !self.libraries.contains_key(&name) {
                self.add_library(&name, path, directories)?;
            }
        }
        Ok(())
    }

    /// Adds a library by its name.
    pub(crate) fn add_library(
        &mut self,
        name: &str,
        needed_by: &Path,
        directories: &[&Path],
    ) -> Result<()> {
        let found = directories
            .iter()
            .find_map(|directory| fs::canonicalize(directory.join(name)).ok())
            .ok_or_else(|| Error::LibraryMissing {
                library: name.to_owned(),
                needed_by: needed_by.to_owned(),
                directories: directories
                    .iter()
                    .map(|directory| directory.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
        self.libraries.insert(name.to_owned(), found.clone());
        self.add(&found, directories)
    }
}

/// Reads the dynamic section; a static program has none.
pub(crate) fn read(bytes: &[u8]) -> Result<Dynamic, object::read::Error> {
    let endian = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(bytes)?;
    let segments = header.program_headers(endian, bytes)?;
    let mut found = Dynamic::default();
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, bytes)? {
            found.interpreter = Some(String::from_utf8_lossy(interpreter).into_owned());
        }
        let Some(entries) = segment.dynamic(endian, bytes)? else { continue };
        let value = |tag: u32| {
            entries
                .iter()
                .find(|entry| entry.tag32(endian) == Some(tag))
                .map(|entry| entry.d_val(endian))
        };
        // The string table's place is given as an address; the segments say where that is.
        let strings = value(elf::DT_STRTAB)
            .zip(value(elf::DT_STRSZ))
            .and_then(|(address, size)| {
                segments.iter().find_map(|segment| {
                    segment.data_range(endian, bytes, address, size).ok().flatten()
                })
            })
            .unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.tag32(endian) == Some(elf::DT_NEEDED)) {
            // An offset outside the table reads as no name, and then as a library not found.
            let name = strings.read_bytes_at_until(entry.d_val(endian)..strings.len() as u64, 0);
            found.needed.push(String::from_utf8_lossy(name.unwrap_or_default()).into_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &[&str] = &["/usr/lib/x86_64-linux-gnu"];

    fn directories() -> Vec<&'static Path> {
        DEBIAN.iter().map(Path::new).collect()
    }

    #[test]
    fn the_closure_of_a_program_is_what_the_dynamic_linker_would_load() {
        let this = std::env::current_exe().unwrap();
        let mut closure = Closure::default();
        closure.add(&this, &directories()).unwrap();
        let names: Vec<&str> = closure.libraries.keys().map(String::as_str).collect();
        assert!(names.contains(&"libc.so.6"), "{names:?}");
        let (interpreter, _) = closure.interpreter.unwrap();
        assert_eq!(interpreter, "/lib64/ld-linux-x86-64.so.2");
    }

    #[test]
    fn a_library_that_is_not_there_is_named_with_who_needs_it() {
        let this = std::env::current_exe().unwrap();
        let error = Closure::default().add(&this, &[Path::new("/nonexistent")]).unwrap_err();
        assert!(error.to_string().contains("which is in none of /nonexistent"), "{error}");
    }

    #[test]
    fn cut_and_changed_files_are_errors_or_answers_but_never_panics() {
        let bytes = fs::read("/usr/bin/true").unwrap();
        assert!(read(&bytes[..63]).is_err());
        for position in 0..4096 {
            let mut changed = bytes.clone();
            changed[position] ^= 0xff;
            let _ = read(&changed);
            let _ = read(&bytes[..position * bytes.len() / 4096]);
        }
    }
}
