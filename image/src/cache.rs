//! Heavy inputs, kept outside the checkout in folders named after what they are made from.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::error::IoContext;
use crate::hash::sha256_hex;
use crate::{Error, Result};

/// The folder of heavy inputs.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// `$ALEPH_CACHE`, or `~/.cache/aleph-node`.
    pub fn from_environment() -> Self {
        let dir = env::var_os("ALEPH_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| "/root".into());
            home.join(".cache/aleph-node")
        });
        Self { dir }
    }

    /// A cache in a folder of the caller's choice.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder `<what>-<hash of inputs>`; if it does not exist yet, `fill` fills a new folder,
    /// which becomes visible under its name only when it is complete.
    pub(crate) fn entry(
        &self,
        what: &str,
        inputs: &[&[u8]],
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self.dir.join(format!("{what}-{}", key(inputs)));
        if path.exists() {
            return Ok(path);
        }
        fs::create_dir_all(&self.dir).at("create", &self.dir)?;
        let building = tempfile::Builder::new()
            .prefix(&format!(".{what}-"))
            .tempdir_in(&self.dir)
            .at("create a folder in", &self.dir)?;
        fill(building.path())?;
        let complete = building.keep();
        match fs::rename(&complete, &path) {
            // Another build was faster; its result is the same by construction.
            Err(_) if path.exists() => {
                fs::remove_dir_all(&complete).at("remove", &complete)?;
                Ok(path)
            }
            renamed => renamed.map(|()| path.clone()).map_err(|source| Error::Io {
                action: "rename",
                path: complete,
                source,
            }),
        }
    }
}

/// Sixteen hexadecimal digits over all inputs, with their lengths.
fn key(inputs: &[&[u8]]) -> String {
    let mut all = Vec::new();
    for input in inputs {
        all.extend_from_slice(&(input.len() as u64).to_le_bytes());
        all.extend_from_slice(input);
    }
    sha256_hex(&all)[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_filled_once_per_inputs() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let fill = |text: &'static str| {
            move |path: &Path| fs::write(path.join("file"), text).at("write", path)
        };
        let first = cache.entry("thing", &[b"a", b"b"], fill("first")).unwrap();
        let again = cache.entry("thing", &[b"a", b"b"], fill("second")).unwrap();
        let other = cache.entry("thing", &[b"ab", b""], fill("third")).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(fs::read_to_string(first.join("file")).unwrap(), "first");
    }

    #[test]
    fn a_failed_fill_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let failed = cache.entry("thing", &[b"a"], |_| Err(Error::NeedsRoot { what: "a test" }));
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
