//! The archive format of the initramfs: cpio in its "newc" form (kernel:
//! Documentation/driver-api/early-userspace/buffer-format.rst).

use crate::tree::{Node, Tree};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// The tree as an archive, every entry with the time `epoch` (which ends in 2106, as the format).
pub(crate) fn archive(tree: &Tree, epoch: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, (path, node)) in (1_u32..).zip(tree.nodes()) {
        let (mode, content): (u32, &[u8]) = match node {
            Node::Directory { mode } => (DIRECTORY | mode, &[]),
            Node::File { mode, content } => (FILE | mode, content),
            Node::Symlink { target } => (SYMLINK | 0o777, target.as_bytes()),
        };
        entry(&mut out, Header { inode: index, mode, mtime: epoch }, path, content);
    }
    entry(&mut out, Header { inode: 0, mode: 0, mtime: 0 }, "TRAILER!!!", &[]);
    out
}

struct Header {
    inode: u32,
    mode: u32,
    mtime: u32,
}

fn entry(out: &mut Vec<u8>, header: Header, path: &str, content: &[u8]) {
    let links = if header.mode & DIRECTORY != 0 && header.mode & FILE == 0 { 2 } else { 1 };
    let size = u32::try_from(content.len()).expect("a file of an initramfs is smaller than 4 GiB");
    let name_size = u32::try_from(path.len() + 1).expect("paths are short");
    out.extend_from_slice(b"070701");
    let owner = [0, 0];
    let devices = [0, 0, 0, 0];
    let fields = [header.inode, header.mode]
        .into_iter()
        .chain(owner)
        .chain([links, header.mtime, size])
        .chain(devices)
        .chain([name_size, 0]);
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(content);
    pad(out);
}

/// Names and contents begin at multiples of four bytes.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_laid_out_as_documented() {
        let mut tree = Tree::default();
        tree.executable("init", "hello").unwrap();
        let archive = archive(&tree, 0x1234);
        let header = "070701000000010000\
                      81ed00000000000000000000000100001234000000050000000000000000\
                      00000000000000000000000500000000";
        assert_eq!(&archive[..110], header.as_bytes());
        assert_eq!(&archive[110..116], b"init\0\0");
        assert_eq!(&archive[116..124], b"hello\0\0\0");
        assert_eq!(&archive[124..130], b"070701");
        assert!(archive.len().is_multiple_of(4));
    }

    #[test]
    fn the_cpio_program_reads_it() {
        let mut tree = Tree::default();
        tree.directory("dev", 0o755).unwrap();
        tree.executable("init", "program").unwrap();
        tree.file("usr/share/data", vec![7; 4097]).unwrap();
        tree.symlink("bin", "usr/bin").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive");
        std::fs::write(&path, archive(&tree, 0)).unwrap();
        crate::tool::Tool::new("cpio", "cpio")
            .dir(dir.path())
            .args(["--extract", "--quiet", "--no-absolute-filenames", "-F", "archive"])
            .run()
            .unwrap();
        assert_eq!(std::fs::read(dir.path().join("usr/share/data")).unwrap(), vec![7; 4097]);
        assert_eq!(std::fs::read(dir.path().join("init")).unwrap(), b"program");
        assert_eq!(
            std::fs::read_link(dir.path().join("bin")).unwrap(),
            std::path::Path::new("usr/bin")
        );
    }
}
