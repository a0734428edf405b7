//! The root file system for customers' machines: real Debian packages in a reproducible ext4 image.
//!
//! mmdebstrap installs the packages into a folder, the recipe's edits are applied there, and
//! `mke2fs -d` makes the image from it, so that nothing is ever mounted. Everything that would
//! differ between two builds of the same packages is fixed: UUID, hash seed, time stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cache::Cache;
use crate::error::IoContext;
use crate::hash::derived_uuid;
use crate::tool::Tool;
use crate::{CRATE_DIR, Error, Result};

const BLOCK_BYTES: u64 = 4096;
const INODE_BYTES: u64 = 256;
/// More than most names need.
const DIRECTORY_ENTRY_BYTES: u64 = 64;
const JOURNAL_BYTES: u64 = 4 << 20;
/// Room for allocation bitmaps, group descriptors and what grows when directories are written.
const SLACK_BYTES: u64 = 4 << 20;
/// Free inodes, so that the first `apt-get install` does not need the file system grown first.
const INODES_SPARE: u64 = 2048;

/// The recipe in `image/rootfs.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    suite: String,
    source_date_epoch: u64,
    packages: Vec<String>,
    exclude: Vec<String>,
    include: Vec<String>,
    remove: Vec<PathBuf>,
    mask: Vec<String>,
    links: BTreeMap<String, String>,
    #[serde(rename = "file")]
    files: Vec<RecipeFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeFile {
    path: PathBuf,
    text: String,
}

/// Builds the image, or takes it from the cache, and returns its path there.
pub fn build(cache: &Cache) -> Result<PathBuf> {
    let path = Path::new(CRATE_DIR).join("rootfs.toml");
    let text = fs::read_to_string(&path).at("read", &path)?;
    let recipe: Recipe = toml::from_str(&text)
        .map_err(|source| Error::Description { path, source: Box::new(source) })?;
    let steps = include_bytes!("rootfs.rs");
    let entry = cache.entry("rootfs", &[text.as_bytes(), steps], |dir| {
        let tree = dir.join("tree");
        install_packages(&recipe, &tree)?;
        apply_edits(&recipe, &tree)?;
        make_image(&recipe, &tree, &dir.join("debian-12.img"))?;
        fs::remove_dir_all(&tree).at("remove", &tree)
    })?;
    Ok(entry.join("debian-12.img"))
}

fn install_packages(recipe: &Recipe, tree: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NeedsRoot { what: "the customers' root file system" });
    }
    let exclude = recipe.exclude.iter().map(|glob| format!("--dpkgopt=path-exclude={glob}"));
    let include = recipe.include.iter().map(|glob| format!("--dpkgopt=path-include={glob}"));
    Tool::new("mmdebstrap", "mmdebstrap")
        .env("SOURCE_DATE_EPOCH", recipe.source_date_epoch.to_string())
        .args(["--mode=root", "--variant=essential", "--format=directory", "--quiet"])
        .arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
        .arg("--aptopt=Apt::Install-Recommends \"false\"")
        .args(exclude.chain(include))
        .arg(format!("--include={}", recipe.packages.join(",")))
        .arg(&recipe.suite)
        .arg(tree)
        .run()?;
    Ok(())
}

fn apply_edits(recipe: &Recipe, tree: &Path) -> Result<()> {
    for path in &recipe.remove {
        remove_if_present(&tree.join(path))?;
    }
    for file in &recipe.files {
        let path = tree.join(&file.path);
        create_parent(&path)?;
        // Some of these are symbolic links in the packages; the link must go, not its target.
        remove_if_present(&path)?;
        fs::write(&path, file.text.trim_start()).at("write", &path)?;
    }
    let units = tree.join("etc/systemd/system");
    for unit in &recipe.mask {
        link(Path::new("/dev/null"), &units.join(unit))?;
    }
    for (path, target) in &recipe.links {
        link(Path::new(target), &tree.join(path))?;
    }
    Ok(())
}

fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).at("create", parent)
}

fn remove_if_present(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).at("remove", path),
        Ok(_) => fs::remove_file(path).at("remove", path),
        Err(_) => Ok(()),
    }
}

fn link(target: &Path, path: &Path) -> Result<()> {
    create_parent(path)?;
    remove_if_present(path)?;
    symlink(target, path).at("link", path)
}

fn make_image(recipe: &Recipe, tree: &Path, image: &Path) -> Result<()> {
    let mut content = Content::default();
    content.settle(tree, recipe.source_date_epoch)?;
    let inodes = content.inodes + INODES_SPARE;
    let size_bytes =
        content.blocks * BLOCK_BYTES + inodes * INODE_BYTES + JOURNAL_BYTES + SLACK_BYTES;
    let blocks = size_bytes.div_ceil(BLOCK_BYTES);
    let uuid = derived_uuid("customers' root file system", recipe.suite.as_bytes());
    Tool::new("mke2fs", "e2fsprogs")
        .env("E2FSPROGS_FAKE_TIME", recipe.source_date_epoch.to_string())
        .args(["-q", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "root", "-U", &uuid])
        .args(["-E", &format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,nodiscard")])
        .args(["-I", &INODE_BYTES.to_string(), "-N", &inodes.to_string()])
        .args(["-J", &format!("size={}", JOURNAL_BYTES >> 20)])
        .arg("-d")
        .arg(tree)
        .arg(image)
        .arg(blocks.to_string())
        .run()?;
    fix_times(recipe.source_date_epoch, image)
}

/// What the tree needs on disk.
#[derive(Default)]
struct Content {
    blocks: u64,
    inodes: u64,
    hard_links: BTreeSet<u64>,
}

impl Content {
    /// Counts a folder's content and gives everything in it the same time.
    fn settle(&mut self, path: &Path, epoch: u64) -> Result<()> {
        let metadata = fs::symlink_metadata(path).at("read", path)?;
        if metadata.is_dir() {
            self.inodes += 1;
            let mut entries = 0;
            for entry in fs::read_dir(path).at("list", path)? {
                self.settle(&entry.at("list", path)?.path(), epoch)?;
                entries += 1;
            }
            // The folder's own length is the build machine's file system's affair.
            self.blocks += 1 + entries * DIRECTORY_ENTRY_BYTES / BLOCK_BYTES;
        } else if metadata.nlink() == 1 || self.hard_links.insert(metadata.ino()) {
            self.inodes += 1;
            self.blocks +=
                if metadata.is_file() { metadata.len().div_ceil(BLOCK_BYTES) } else { 0 };
        }
        crate::tree::set_mtime(path, epoch)
    }
}

/// `mke2fs -d` copies the times of the folder's inodes, of which ctime cannot be set from outside:
/// they are set in the image, inode by inode.
fn fix_times(epoch: u64, image: &Path) -> Result<()> {
    let mut superblock = [0_u8; 1024];
    let file = File::open(image).at("open", image)?;
    file.read_exact_at(&mut superblock, 1024).at("read", image)?;
    let word =
        |at: usize| superblock[at..at + 4].iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
    let (inodes, inodes_free) = (word(0x00), word(0x10));
    let script = image.with_extension("debugfs");
    let mut commands = String::new();
    // The root directory, then every inode after the reserved ones, which mke2fs fills in order.
    for inode in std::iter::once(2).chain(11..=inodes - inodes_free) {
        for field in ["atime", "ctime"] {
            commands.push_str(&format!("sif <{inode}> {field} @{epoch}\n"));
            commands.push_str(&format!("sif <{inode}> {field}_extra 0\n"));
        }
    }
    fs::write(&script, commands).at("write", &script)?;
    Tool::new("debugfs", "e2fsprogs")
        .env("E2FSPROGS_FAKE_TIME", epoch.to_string())
        .args(["-w", "-f"])
        .arg(&script)
        .arg(image)
        .run()?;
    fs::remove_file(&script).at("remove", &script)
}
