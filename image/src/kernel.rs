//! The image's kernel: one pinned Debian package, downloaded by apt, unpacked, and indexed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::error::IoContext;
use crate::hash::sha256_file;
use crate::tool::Tool;
use crate::{CRATE_DIR, Error, Result};

/// The series that the image follows.
const SERIES_PREFIX: &str = "linux-image-6.12.";
const SERIES_SUFFIX: &str = "+deb12-amd64";

/// A kernel package, as pinned in `image/kernel.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelPin {
    /// The package's name.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// The hash of the package file.
    pub sha256: String,
}

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` prints.
    pub release: String,
    /// The kernel image.
    pub vmlinuz: PathBuf,
    /// `/lib/modules/<release>`, with the indices that depmod makes.
    pub modules: PathBuf,
    /// The package that it comes from.
    pub pin: KernelPin,
}

impl KernelPin {
    /// The pin in the checkout.
    pub fn read() -> Result<Self> {
        let path = pin_path();
        let text = fs::read_to_string(&path).at("read", &path)?;
        toml::from_str(&text)
            .map_err(|source| Error::Description { path, source: Box::new(source) })
    }

    /// The newest package of the series that apt knows.
    pub fn newest() -> Result<Self> {
        let names = Tool::new("apt-cache", "apt").args(["pkgnames", SERIES_PREFIX]).run_text()?;
        let package = newest_of(names.lines()).ok_or_else(|| Error::NoKernelPackage {
            pattern: format!("{SERIES_PREFIX}*{SERIES_SUFFIX}"),
        })?;
        let record = Tool::new("apt-cache", "apt")
            .args(["show", "--no-all-versions", package])
            .run_text()?;
        let field = |name: &str| {
            record
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
                .ok_or_else(|| Error::NoKernelPackage { pattern: format!("{package} with {name}") })
        };
        Ok(Self {
            package: package.to_owned(),
            version: field("Version")?,
            sha256: field("SHA256")?,
        })
    }

    /// Writes the pin to the checkout, below the comment that the file has.
    pub fn write(&self) -> Result<()> {
        let path = pin_path();
        let text = fs::read_to_string(&path).at("read", &path)?;
        let comment = text.lines().take_while(|line| line.starts_with('#') || line.is_empty());
        let mut new: String = comment.map(|line| format!("{line}\n")).collect();
        for (key, value) in
            [("package", &self.package), ("version", &self.version), ("sha256", &self.sha256)]
        {
            new.push_str(&format!("{key} = \"{value}\"\n"));
        }
        fs::write(&path, new).at("write", &path)
    }
}

/// Downloads and unpacks the pinned kernel, or takes it from the cache.
pub fn fetch(cache: &Cache, pin: &KernelPin) -> Result<Kernel> {
    let release = pin.package.trim_start_matches("linux-image-").to_owned();
    let inputs = [pin.package.as_bytes(), pin.version.as_bytes(), pin.sha256.as_bytes()];
    let entry = cache.entry("kernel", &inputs, |dir| {
        let package = download(pin, dir)?;
        // The files are for reading only: whoever owns them here does not matter.
        Tool::new("dpkg-deb", "dpkg").arg("--extract").arg(&package).arg(dir).run()?;
        fs::remove_file(&package).at("remove", &package)?;
        Tool::new("depmod", "kmod").arg("--basedir").arg(dir).arg(&release).run()?;
        Ok(())
    })?;
    Ok(Kernel {
        vmlinuz: entry.join(format!("boot/vmlinuz-{release}")),
        modules: entry.join("lib/modules").join(&release),
        release,
        pin: pin.clone(),
    })
}

fn download(pin: &KernelPin, dir: &Path) -> Result<PathBuf> {
    Tool::new("apt-get", "apt")
        .dir(dir)
        .args(["download", "-qq", &format!("{}={}", pin.package, pin.version)])
        .run()
        .map_err(|source| Error::PackageUnavailable {
            package: pin.package.clone(),
            version: pin.version.clone(),
            source: Box::new(source),
        })?;
    // apt escapes colons in file names; the version of this package has none.
    let path = dir.join(format!("{}_{}_amd64.deb", pin.package, pin.version));
    let actual = hex::encode(sha256_file(&path)?);
    if actual != pin.sha256 {
        return Err(Error::HashMismatch { path, expected: pin.sha256.clone(), actual });
    }
    Ok(path)
}

fn pin_path() -> PathBuf {
    Path::new(CRATE_DIR).join("kernel.toml")
}

/// The name with the highest patch level.
fn newest_of<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let patch_level = |name: &str| -> Option<u32> {
        name.strip_prefix(SERIES_PREFIX)?.strip_suffix(SERIES_SUFFIX)?.parse().ok()
    };
    names.filter_map(|name| Some((patch_level(name)?, name))).max().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_levels_are_compared_as_numbers_and_variants_left_out() {
        let names = [
            "linux-image-6.12.9+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.12.118+deb12-cloud-amd64",
            "linux-image-6.12.119+deb12-amd64-unsigned",
            "linux-image-6.12.30+deb12-amd64",
        ];
        assert_eq!(newest_of(names.into_iter()), Some("linux-image-6.12.117+deb12-amd64"));
        assert_eq!(newest_of(["linux-image-6.1.0-56-amd64"].into_iter()), None);
    }

    #[test]
    fn the_pin_in_the_checkout_is_of_the_series() {
        let pin = KernelPin::read().unwrap();
        assert_eq!(newest_of([pin.package.as_str()].into_iter()), Some(pin.package.as_str()));
        assert_eq!(pin.sha256.len(), 64);
    }
}
