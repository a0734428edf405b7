//! The unified kernel image: systemd's EFI stub with the kernel, its command line and its
//! initramfs as further sections, in one file that firmware starts and measures.

use std::fs;
use std::path::{Path, PathBuf};

use aleph_attestation::Digest;
use aleph_attestation::predict::{self, Prediction, Section};
use object::LittleEndian as LE;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile64};
use sha2::{Digest as _, Sha256};

use crate::error::IoContext;
use crate::tool::Tool;
use crate::{Error, Result};

/// What firmware, an EFI system partition with two slots, and netbooting bear without trouble.
pub const SIZE_BYTES_MAX: u64 = 64 << 20;

/// Sections begin at pages, as firmware maps them.
const PAGE_BYTES: u64 = 4096;

/// Firmware hashes a signed file up to a multiple of this, and signing tools pad it to that; an
/// unsigned file of another length would have two different hashes.
const FILE_ALIGNMENT_BYTES: usize = 8;

/// Where the PE header has the time of the build, from its signature.
const TIME_OFFSET: usize = 8;
/// Where the optional header, 24 bytes after the signature, has the file's checksum.
const CHECKSUM_OFFSET: usize = 24 + 64;

/// The sections' contents, in the order in which they lie in the file: the kernel is last, because
/// it may be unpacked in place beyond its end.
pub(crate) struct Parts<'a> {
    pub(crate) os_release: &'a [u8],
    pub(crate) cmdline: &'a str,
    pub(crate) kernel_release: &'a str,
    pub(crate) initrd: &'a [u8],
    pub(crate) linux: &'a [u8],
}

/// A section as it lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionLayout {
    /// Its name, with the dot.
    pub name: String,
    /// Its address, relative to the image's base.
    pub address: u64,
    /// Its content's length, without padding.
    pub size_bytes: u64,
    /// Where its content is in the file.
    pub file_offset: u64,
}

/// A unified kernel image in memory.
pub struct Uki {
    path: PathBuf,
    bytes: Vec<u8>,
    sections: Vec<SectionLayout>,
}

/// Puts the sections onto the stub.
pub(crate) fn assemble(stub: &Path, parts: &Parts<'_>, out: &Path, scratch: &Path) -> Result<Uki> {
    let stub_bytes = fs::read(stub).at("read", stub)?;
    let (base, end) = image_span(stub, &stub_bytes)?;
    let sections: [(&str, &[u8]); 5] = [
        (".osrel", parts.os_release),
        (".cmdline", parts.cmdline.trim_end().as_bytes()),
        (".uname", parts.kernel_release.as_bytes()),
        (".initrd", parts.initrd),
        (".linux", parts.linux),
    ];
    let mut objcopy = Tool::new("objcopy", "binutils");
    let mut address = (base + end).next_multiple_of(PAGE_BYTES);
    for (name, content) in sections {
        let file = scratch.join(name);
        fs::write(&file, content).at("write", &file)?;
        objcopy = objcopy
            .arg("--add-section")
            .arg(format!("{name}={}", file.display()))
            .arg("--change-section-vma")
            .arg(format!("{name}={address:#x}"));
        address = (address + content.len() as u64).next_multiple_of(PAGE_BYTES);
    }
    objcopy.arg(stub).arg(out).run()?;
    let mut bytes = fs::read(out).at("read", out)?;
    bytes.resize(bytes.len().next_multiple_of(FILE_ALIGNMENT_BYTES), 0);
    clear_build_time(out, &mut bytes)?;
    fs::write(out, &bytes).at("write", out)?;
    let uki = Uki::parse(out, bytes)?;
    uki.check()?;
    Ok(uki)
}

impl Uki {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, fs::read(path).at("read", path)?)
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let file = parse_pe(path, &bytes)?;
        let sections = file
            .section_table()
            .iter()
            .map(|header| SectionLayout {
                name: String::from_utf8_lossy(header.raw_name()).into_owned(),
                address: header.virtual_address.get(LE).into(),
                size_bytes: header.virtual_size.get(LE).min(header.size_of_raw_data.get(LE)).into(),
                file_offset: header.pointer_to_raw_data.get(LE).into(),
            })
            .collect();
        Ok(Self { path: path.to_owned(), bytes, sections })
    }

    /// Where its sections lie.
    pub fn sections(&self) -> &[SectionLayout] {
        &self.sections
    }

    /// A section's content.
    pub fn section(&self, name: &str) -> Result<&[u8]> {
        let section = self.sections.iter().find(|section| section.name == name);
        let section = section.ok_or_else(|| self.problem(format!("has no section {name}")))?;
        let (start, end) = (section.file_offset, section.file_offset + section.size_bytes);
        self.bytes
            .get(start as usize..end as usize)
            .ok_or_else(|| self.problem(format!("ends before its section {name}")))
    }

    /// A section that holds text.
    pub fn text(&self, name: &str) -> Result<&str> {
        std::str::from_utf8(self.section(name)?)
            .map_err(|_| self.problem(format!("has a section {name} that is not text")))
    }

    /// PCR 4, 9 and 11 of a machine whose firmware starts this file, without Secure Boot.
    pub fn predict(&self) -> Result<Vec<Prediction>> {
        Ok(vec![self.predict_pcr4()?, self.predict_pcr9()?, self.predict_pcr11()?])
    }

    fn predict_pcr4(&self) -> Result<Prediction> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(predict::predict_pcr4(&[
            (&name, authenticode(&self.path, &self.bytes)?),
            ("Linux, from its section .linux", authenticode(&self.path, self.section(".linux")?)?),
        ]))
    }

    fn predict_pcr9(&self) -> Result<Prediction> {
        Ok(predict::predict_pcr9(self.text(".cmdline")?, sha256(self.section(".initrd")?)))
    }

    fn predict_pcr11(&self) -> Result<Prediction> {
        let mut measured = Vec::new();
        for section in &self.sections {
            measured.push(Section::of(&section.name, self.section(&section.name)?));
        }
        predict::predict_pcr11(&measured)
            .map_err(|source| Error::Predict { path: self.path.clone(), source: Box::new(source) })
    }

    /// What objcopy does not check, and firmware would not forgive.
    fn check(&self) -> Result<()> {
        let size_bytes = self.bytes.len() as u64;
        if size_bytes > SIZE_BYTES_MAX {
            return Err(Error::TooLarge {
                path: self.path.clone(),
                size_bytes,
                size_bytes_max: SIZE_BYTES_MAX,
            });
        }
        let mut end = 0;
        for section in &self.sections {
            if section.address < end {
                return Err(self.problem(format!("has overlapping sections at {}", section.name)));
            }
            end = section.address + section.size_bytes;
        }
        match self.sections.last() {
            Some(last) if last.name == ".linux" => Ok(()),
            _ => Err(self.problem("does not end with its section .linux".to_owned())),
        }
    }

    fn problem(&self, problem: String) -> Error {
        Error::Uki { path: self.path.clone(), problem }
    }
}

/// objcopy writes the time of the build into the header, and a checksum over it that neither
/// firmware nor Authenticode reads. Both become zero, "not given".
fn clear_build_time(path: &Path, bytes: &mut [u8]) -> Result<()> {
    let header = parse_pe(path, bytes)?.dos_header().nt_headers_offset() as usize;
    for field in [header + TIME_OFFSET, header + CHECKSUM_OFFSET] {
        bytes[field..field + size_of::<u32>()].fill(0);
    }
    Ok(())
}

/// The image's base address, and the end of its last section relative to it.
fn image_span(path: &Path, bytes: &[u8]) -> Result<(u64, u64)> {
    let file = parse_pe(path, bytes)?;
    let base = file.nt_headers().optional_header().image_base();
    let ends = file.section_table().iter().map(|header| {
        u64::from(header.virtual_address.get(LE)) + u64::from(header.virtual_size.get(LE))
    });
    Ok((base, ends.max().unwrap_or(0)))
}

/// The hash that firmware measures when it starts an EFI file.
fn authenticode(path: &Path, bytes: &[u8]) -> Result<Digest> {
    let file = parse_pe(path, bytes)?;
    let mut hasher = Sha256::new();
    authenticode::authenticode_digest(&file, &mut hasher)
        .map_err(|source| Error::Predict { path: path.to_owned(), source: Box::new(source) })?;
    Ok(Digest(hasher.finalize().into()))
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn parse_pe<'a>(path: &Path, bytes: &'a [u8]) -> Result<PeFile64<'a>> {
    PeFile64::parse(bytes).map_err(|source| Error::Uki {
        path: path.to_owned(),
        problem: format!("is not an EFI program for x86-64: {source}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

    fn small() -> (tempfile::TempDir, Uki) {
        let dir = tempfile::tempdir().unwrap();
        let parts = Parts {
            os_release: b"ID=test\n",
            cmdline: "quiet panic=1 ",
            kernel_release: "6.12",
            initrd: b"initrd",
            linux: b"kernel",
        };
        let out = dir.path().join("small.efi");
        let uki = assemble(Path::new(STUB), &parts, &out, dir.path()).unwrap();
        (dir, uki)
    }

    /// PCR 11 as `systemd-measure calculate --phase=:` of systemd 252 prints it for these
    /// sections; PCR 9 computed apart from this code.
    #[test]
    fn predictions_are_those_of_other_implementations() {
        let (_dir, uki) = small();
        assert_eq!(
            uki.predict_pcr11().unwrap().value.to_string(),
            "19392ecf877c0714fdb178f78c2ee2f30b7737bcbbcf8c04ba265eee414de9d0"
        );
        assert_eq!(
            uki.predict_pcr9().unwrap().value.to_string(),
            "e605ea281f75ff0fb85c00498aac249f72d0867ff8fd1564d9c7e1824a3f35c6"
        );
    }

    #[test]
    fn sections_are_found_again_with_their_exact_content() {
        let (_dir, uki) = small();
        assert_eq!(uki.text(".cmdline").unwrap(), "quiet panic=1");
        assert_eq!(uki.section(".initrd").unwrap(), b"initrd");
        assert_eq!(uki.section(".linux").unwrap(), b"kernel");
        assert_eq!(uki.sections().last().unwrap().name, ".linux");
        assert!(uki.section(".splash").unwrap_err().to_string().contains("no section .splash"));
    }

    #[test]
    fn the_header_carries_no_time() {
        let (_dir, uki) = small();
        let file = parse_pe(&uki.path, &uki.bytes).unwrap();
        assert_eq!(file.nt_headers().file_header().time_date_stamp.get(LE), 0);
        assert_eq!(file.nt_headers().optional_header().check_sum(), 0);
    }

    #[test]
    fn cut_and_changed_files_are_errors_or_answers_but_never_panics() {
        let (_dir, uki) = small();
        let read = |bytes: Vec<u8>| Uki::parse(Path::new("changed.efi"), bytes)?.predict();
        assert!(read(uki.bytes[..64].to_vec()).is_err());
        for position in 0..1024 {
            let mut changed = uki.bytes.clone();
            changed[position] ^= 0xff;
            let _ = read(changed);
            let _ = read(uki.bytes[..position * uki.bytes.len() / 1024].to_vec());
        }
    }

    #[test]
    fn a_file_over_the_bound_is_refused() {
        let (_dir, mut uki) = small();
        uki.bytes.resize(usize::try_from(SIZE_BYTES_MAX).unwrap() + 1, 0);
        assert!(matches!(uki.check(), Err(Error::TooLarge { .. })));
    }
}
