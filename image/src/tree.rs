//! A file tree in memory, from which the initramfs and the root file system are made.
//!
//! Everything belongs to root and carries one time stamp, so the tree has paths, modes and
//! contents only. Paths are relative to the tree's root and sorted.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::error::IoContext;
use crate::{Error, Result};

/// A file, a directory or a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Symlink { target: String },
}

/// The tree. Parent directories come into being with what is put into them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds an empty directory.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> Result<()> {
        self.insert(path, Node::Directory { mode })
    }

    /// Adds a file that is not executable.
    pub(crate) fn file(&mut self, path: &str, content: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path, Node::File { mode: 0o644, content: content.into() })
    }

    /// Adds an executable.
    pub(crate) fn executable(&mut self, path: &str, content: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path, Node::File { mode: 0o755, content: content.into() })
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.insert(path, Node::Symlink { target: target.to_owned() })
    }

    /// All nodes; a directory comes before what is in it.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The files that have an executable bit.
    pub(crate) fn executables(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.nodes().filter_map(|(path, node)| match node {
            Node::File { mode, content } if mode & 0o111 != 0 => Some((path, content.as_slice())),
            _ => None,
        })
    }

    /// The length of all files whose path begins so.
    pub(crate) fn size_of_files(&self, prefix: &str) -> u64 {
        let sizes =
            self.nodes().filter(|(path, _)| path.starts_with(prefix)).map(|(_, node)| match node {
                Node::File { content, .. } => content.len() as u64,
                Node::Directory { .. } | Node::Symlink { .. } => 0,
            });
        sizes.sum()
    }

    /// Writes the tree to an empty folder.
    pub(crate) fn write_to(&self, dir: &Path, epoch: u64) -> Result<()> {
        for (path, node) in self.nodes() {
            let path = dir.join(path);
            match node {
                Node::Directory { .. } => fs::create_dir(&path).at("create", &path)?,
                Node::File { content, .. } => fs::write(&path, content).at("write", &path)?,
                Node::Symlink { target } => symlink(target, &path).at("link", &path)?,
            }
            if let Node::Directory { mode } | Node::File { mode, .. } = node {
                let permissions = Permissions::from_mode(*mode);
                fs::set_permissions(&path, permissions).at("set the mode of", &path)?;
            }
        }
        // Backwards, so that a directory's time is set after its content is there.
        for path in self.nodes.keys().rev() {
            set_mtime(&dir.join(path), epoch)?;
        }
        set_mtime(dir, epoch)
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<()> {
        let refuse =
            |problem: &str| Err(Error::Tree { path: path.to_owned(), problem: problem.to_owned() });
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !path.split('/').all(plain) {
            return refuse("is not a plain relative path");
        }
        if self.nodes.contains_key(path) {
            return refuse("is there twice");
        }
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.nodes.get(parent) {
                Some(Node::Directory { .. }) => {}
                Some(_) => return refuse("lies below something that is no directory"),
                None => {
                    self.nodes.insert(parent.to_owned(), Node::Directory { mode: 0o755 });
                }
            }
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }
}

/// Sets the times of a file, or of a symbolic link itself.
pub(crate) fn set_mtime(path: &Path, epoch: u64) -> Result<()> {
    let time = Timespec { tv_sec: epoch.cast_signed(), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(std::io::Error::from)
        .at("set the time of", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_appear_once_and_before_their_content() {
        let mut tree = Tree::default();
        tree.file("usr/share/b", "b").unwrap();
        tree.executable("usr/bin/a", "a").unwrap();
        tree.symlink("bin", "usr/bin").unwrap();
        let paths: Vec<&str> = tree.nodes().map(|(path, _)| path).collect();
        assert_eq!(paths, ["bin", "usr", "usr/bin", "usr/bin/a", "usr/share", "usr/share/b"]);
        assert_eq!(tree.executables().collect::<Vec<_>>(), [("usr/bin/a", b"a".as_slice())]);
    }

    #[test]
    fn paths_that_leave_the_tree_or_collide_are_refused() {
        let mut tree = Tree::default();
        tree.symlink("bin", "usr/bin").unwrap();
        for path in ["/etc/passwd", "../x", "a//b", "a/./b", "", "bin", "bin/sh"] {
            assert!(tree.file(path, "").is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_written_tree_has_the_modes_and_the_time() {
        use std::os::unix::fs::MetadataExt;

        let mut tree = Tree::default();
        tree.directory("tmp", 0o1777).unwrap();
        tree.executable("usr/bin/a", "a").unwrap();
        tree.symlink("bin", "usr/bin").unwrap();
        let dir = tempfile::tempdir().unwrap();
        tree.write_to(dir.path(), 1_700_000_000).unwrap();
        for (path, mode) in [("tmp", 0o41777), ("usr/bin/a", 0o100_755), ("bin", 0o120_777)] {
            let metadata = fs::symlink_metadata(dir.path().join(path)).unwrap();
            assert_eq!(metadata.mode(), mode, "{path}");
            assert_eq!(metadata.mtime(), 1_700_000_000, "{path}");
        }
    }
}
