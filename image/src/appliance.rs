//! Puts the appliance together: root file system, initramfs, unified kernel image, disk, and the
//! documents that say what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aleph_attestation::Digest;
use aleph_attestation::predict::Prediction;
use aleph_attestation::release::{Artifact, Document, Profile, RELEASE_FORMAT, ReleaseManifest};
use serde_json::json;

use crate::cache::Cache;
use crate::elf::Closure;
use crate::error::IoContext;
use crate::hash::{derived_uuid, sha256_file};
use crate::kernel::{self, Kernel, KernelPin};
use crate::modules::{self, Choice, ModuleIndex, Table};
use crate::tool::Tool;
use crate::tree::Tree;
use crate::{CRATE_DIR, Error, Result, cpio, disk, sbom, uki};

/// The product, as its manifest, its files and `/etc/os-release` name it.
const NAME: &str = "aleph-node";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The kernel's command line. The last console is where PID 1 and the agent speak: the serial
/// port, which servers offer over their management network. `rootfstype=ramfs` lets EROFS read
/// its image from the initramfs directly. Lockdown keeps even root from writing to the kernel.
const CMDLINE: &str = "console=tty0 console=ttyS0,115200 quiet loglevel=4 panic=10 \
                       rootfstype=ramfs lockdown=integrity";
/// What a debug image adds, for everyone to see in its measurements.
const CMDLINE_DEBUG: &str = "aleph.debug=1";

const STUB_PATH: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const STUB_PACKAGE: &str = "systemd-boot-efi";
const MKFS_XFS_PATH: &str = "/usr/sbin/mkfs.xfs";
const LIBRARY_DIR: &str = "/usr/lib/x86_64-linux-gnu";
/// Opened by the TPM library while it runs, so that no ELF file names it.
const TPM_TRANSPORT: &str = "libtss2-tcti-device.so.0";
/// The package's own certificates: the build machine may trust more than the world should.
const CERTIFICATES_DIR: &str = "/usr/share/ca-certificates/mozilla";
const GUEST_KERNEL_SOURCE_PACKAGE: &str = "linux-source-6.12";

/// The programs and settings that differ between builds.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Who the image is for.
    pub profile: Profile,
    /// PID 1, static.
    pub init: PathBuf,
    /// The agent, dynamic.
    pub agent: PathBuf,
    /// The monitor, static.
    pub vmm: PathBuf,
    /// The kernel of customers' machines.
    pub guest_kernel: PathBuf,
    /// The time that all files carry.
    pub source_date_epoch: u32,
}

/// What a build made, and how large its parts are.
#[derive(Debug)]
pub struct Built {
    /// The manifest, as written to `release.json`.
    pub manifest: ReleaseManifest,
    /// Names and sizes, from the whole to its parts.
    pub sizes: Vec<(String, u64)>,
}

/// The root file system's tree, and where its content comes from.
struct Root {
    tree: Tree,
    components: BTreeSet<sbom::Component>,
}

/// Builds everything into the folder `out`.
pub fn build(cache: &Cache, inputs: &Inputs, out: &Path) -> Result<Built> {
    fs::create_dir_all(out).at("create", out)?;
    let scratch = tempfile::tempdir_in(out).at("create a folder in", out)?;
    let epoch = u64::from(inputs.source_date_epoch);
    let kernel = kernel::fetch(cache, &KernelPin::read()?)?;
    let index = ModuleIndex::read(&kernel.release, &kernel.modules)?;

    let root = root_tree(inputs, &kernel, &index, scratch.path())?;
    let erofs = make_erofs(&root.tree, epoch, scratch.path())?;
    let initramfs = initramfs_tree(inputs, &kernel, &index, &erofs, scratch.path())?;
    let initrd = cpio::archive(&initramfs, inputs.source_date_epoch);

    let uki_path = out.join("aleph-node.efi");
    let linux = fs::read(&kernel.vmlinuz).at("read", &kernel.vmlinuz)?;
    let cmdline = cmdline(inputs.profile);
    let os_release = os_release(inputs.profile);
    let parts = uki::Parts {
        os_release: os_release.as_bytes(),
        cmdline: &cmdline,
        kernel_release: &kernel.release,
        initrd: &initrd,
        linux: &linux,
    };
    let stub = of_package(STUB_PATH, STUB_PACKAGE)?;
    let uki = uki::assemble(stub, &parts, &uki_path, scratch.path())?;

    let disk_path = out.join("aleph-node.raw");
    disk::write(&uki_path, &sha256_file(&uki_path)?, epoch, &disk_path)?;
    let sbom_path = out.join("sbom.spdx.json");
    let bill = sbom::document(NAME, VERSION, epoch, &root.components);
    fs::write(&sbom_path, format!("{bill:#}\n")).at("write", &sbom_path)?;

    let (pcrs, pcr_events) = Prediction::into_manifest(uki.predict()?);
    let manifest = ReleaseManifest {
        format: RELEASE_FORMAT,
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        profile: inputs.profile,
        source_date_epoch: epoch,
        uki: artifact_of_file(&uki_path)?,
        disk: artifact_of_file(&disk_path)?,
        kernel_version: kernel.release.clone(),
        cmdline,
        pcrs,
        pcr_events,
        executables: executables(&initramfs, &root.tree),
        sbom: Document { path: file_name(&sbom_path), sha256: Digest(sha256_file(&sbom_path)?) },
    };
    write_manifest(&manifest, &out.join("release.json"))?;
    let sizes = sizes(&manifest, &linux, &initrd, &erofs, &root.tree);
    Ok(Built { manifest, sizes })
}

fn root_tree(
    inputs: &Inputs,
    kernel: &Kernel,
    index: &ModuleIndex,
    scratch: &Path,
) -> Result<Root> {
    let mut tree = Tree::default();
    for path in ["dev", "proc", "run", "sys", "data"] {
        tree.directory(path, 0o755)?;
    }
    tree.directory("tmp", 0o1777)?;
    for (path, target) in
        [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")]
    {
        tree.symlink(path, target)?;
    }

    let mkfs_xfs = of_package(MKFS_XFS_PATH, "xfsprogs")?;
    tree.executable("usr/bin/aleph-node", stripped(&inputs.agent, scratch)?)?;
    tree.executable("usr/bin/aleph-vmm", stripped(&inputs.vmm, scratch)?)?;
    tree.executable("usr/sbin/mkfs.xfs", fs::read(mkfs_xfs).at("read", mkfs_xfs)?)?;
    let mut taken = BTreeSet::from([mkfs_xfs.to_owned()]);
    add_libraries(&mut tree, &[&inputs.agent, mkfs_xfs], &mut taken)?;

    let choice = Choice::read()?;
    let table = index.table(&choice.root.always, &choice.grouped())?;
    add_modules(&mut tree, &table, kernel)?;

    let guest_kernel = &inputs.guest_kernel;
    let vmlinux = fs::read(guest_kernel).at("read", guest_kernel)?;
    tree.file("usr/share/aleph/guest/vmlinux", vmlinux)?;
    let info = json!({
        "name": NAME,
        "version": VERSION,
        "profile": inputs.profile,
        "source_date_epoch": inputs.source_date_epoch,
    });
    tree.file("usr/share/aleph/image.json", format!("{info:#}\n"))?;
    add_etc(&mut tree, inputs.profile)?;

    let mut components = sbom::packages_of(&taken)?;
    components.extend(sbom::installed([
        "ca-certificates",
        STUB_PACKAGE,
        GUEST_KERNEL_SOURCE_PACKAGE,
    ])?);
    components.insert(sbom::unpacked(&kernel.pin.package, &kernel.pin.version));
    components.extend(sbom::crates(&Path::new(CRATE_DIR).join("../Cargo.toml"))?);
    Ok(Root { tree, components })
}

fn add_libraries(tree: &mut Tree, programs: &[&Path], taken: &mut BTreeSet<PathBuf>) -> Result<()> {
    let directories = [Path::new(LIBRARY_DIR)];
    let mut closure = Closure::default();
    for program in programs {
        closure.add(program, &directories)?;
    }
    closure.add_library(TPM_TRANSPORT, Path::new("/usr/bin/aleph-node"), &directories)?;
    for (name, file) in &closure.libraries {
        let path = format!("{}/{name}", LIBRARY_DIR.trim_start_matches('/'));
        tree.file(&path, fs::read(file).at("read", file)?)?;
        taken.insert(file.clone());
    }
    if let Some((path, file)) = closure.interpreter {
        // The kernel starts it for every dynamic program, so it alone must be executable.
        let path = format!("usr/{}", path.trim_start_matches('/').trim_start_matches("usr/"));
        tree.executable(&path, fs::read(&file).at("read", &file)?)?;
        taken.insert(file);
    }
    Ok(())
}

fn add_modules(tree: &mut Tree, table: &Table, kernel: &Kernel) -> Result<()> {
    for module in &table.modules {
        let file = modules::source_path(module, &kernel.release, &kernel.modules);
        let content = fs::read(&file).at("read", &file)?;
        tree.file(module.path.trim_start_matches('/'), content)?;
    }
    tree.file(modules::TABLE_PATH, table.to_toml())
}

fn add_etc(tree: &mut Tree, profile: Profile) -> Result<()> {
    tree.file("etc/passwd", "root:x:0:0:root:/:/nonexistent\n")?;
    tree.file("etc/group", "root:x:0:\n")?;
    tree.file("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
    tree.file("etc/nsswitch.conf", "hosts: files dns\n")?;
    tree.symlink("etc/resolv.conf", "../run/aleph/resolv.conf")?;
    tree.file("etc/ssl/certs/ca-certificates.crt", certificates()?)?;
    tree.file("usr/lib/os-release", os_release(profile))?;
    tree.symlink("etc/os-release", "../usr/lib/os-release")
}

/// Mozilla's certificate authorities, in one file.
fn certificates() -> Result<Vec<u8>> {
    let dir = of_package(CERTIFICATES_DIR, "ca-certificates")?;
    let mut bundle = Vec::new();
    for path in sorted_files(dir)? {
        bundle.extend(fs::read(&path).at("read", &path)?);
        if bundle.last() != Some(&b'\n') {
            bundle.push(b'\n');
        }
    }
    Ok(bundle)
}

fn sorted_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<_> = entries.at("list", dir)?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

fn make_erofs(tree: &Tree, epoch: u64, scratch: &Path) -> Result<Vec<u8>> {
    let dir = scratch.join("root");
    fs::create_dir(&dir).at("create", &dir)?;
    tree.write_to(&dir, epoch)?;
    // A temporary folder is for its owner only; this one becomes "/".
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).at("set the mode of", &dir)?;
    let image = scratch.join("root.erofs");
    Tool::new("mkfs.erofs", "erofs-utils")
        .args(["--quiet", "--all-root", "-zlz4hc,12", "-x-1"])
        .arg(format!("-T{epoch}"))
        .arg(format!("-U{}", derived_uuid("root file system", VERSION.as_bytes())))
        .arg(&image)
        .arg(&dir)
        .run()?;
    fs::read(&image).at("read", &image)
}

fn initramfs_tree(
    inputs: &Inputs,
    kernel: &Kernel,
    index: &ModuleIndex,
    erofs: &[u8],
    scratch: &Path,
) -> Result<Tree> {
    let mut tree = Tree::default();
    for path in ["dev", "proc", "run", "sys", "tmp"] {
        tree.directory(path, 0o755)?;
    }
    tree.executable("init", stripped(&inputs.init, scratch)?)?;
    let table = index.table(&Choice::read()?.initramfs.always, &[])?;
    add_modules(&mut tree, &table, kernel)?;
    tree.file("root.erofs", erofs)?;
    Ok(tree)
}

/// A program without symbols and debugging information.
fn stripped(program: &Path, scratch: &Path) -> Result<Vec<u8>> {
    let out = scratch.join("stripped");
    Tool::new("strip", "binutils").args(["--strip-all", "-o"]).arg(&out).arg(program).run()?;
    fs::read(&out).at("read", &out)
}

/// A path that a Debian package brings along.
fn of_package(path: &'static str, package: &'static str) -> Result<&'static Path> {
    let path = Path::new(path);
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::ToolMissing { program: path.display().to_string(), package })
    }
}

fn cmdline(profile: Profile) -> String {
    match profile {
        Profile::Release => CMDLINE.to_owned(),
        Profile::Debug => format!("{CMDLINE} {CMDLINE_DEBUG}"),
    }
}

fn os_release(profile: Profile) -> String {
    let variant = match profile {
        Profile::Release => "release",
        Profile::Debug => "debug",
    };
    format!(
        "NAME=\"Aleph Node\"\nID={NAME}\nVERSION_ID={VERSION}\nVARIANT_ID={variant}\n\
         PRETTY_NAME=\"Aleph Node {VERSION}\"\nHOME_URL=\"{}\"\n",
        env!("CARGO_PKG_REPOSITORY")
    )
}

/// Every executable in the image, by its path; PID 1 is in the initramfs, the others in the root.
fn executables(initramfs: &Tree, root: &Tree) -> Vec<Artifact> {
    let all = initramfs.executables().chain(root.executables());
    all.map(|(path, content)| Artifact {
        path: format!("/{path}"),
        size_bytes: content.len() as u64,
        sha256: uki::sha256(content),
    })
    .collect()
}

fn artifact_of_file(path: &Path) -> Result<Artifact> {
    let size_bytes = fs::metadata(path).at("read", path)?.len();
    Ok(Artifact { path: file_name(path), size_bytes, sha256: Digest(sha256_file(path)?) })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn write_manifest(manifest: &ReleaseManifest, path: &Path) -> Result<()> {
    let json = manifest
        .to_json()
        .map_err(|source| Error::Predict { path: path.to_owned(), source: Box::new(source) })?;
    fs::write(path, json).at("write", path)
}

fn sizes(
    manifest: &ReleaseManifest,
    linux: &[u8],
    initrd: &[u8],
    erofs: &[u8],
    root: &Tree,
) -> Vec<(String, u64)> {
    let below = |prefix: &str| -> u64 { root.size_of_files(prefix) };
    let mut rows = vec![
        (manifest.disk.path.clone(), manifest.disk.size_bytes),
        (manifest.uki.path.clone(), manifest.uki.size_bytes),
        ("  kernel".to_owned(), linux.len() as u64),
        ("  initramfs".to_owned(), initrd.len() as u64),
        ("    root file system, compressed".to_owned(), erofs.len() as u64),
        ("      modules".to_owned(), below("usr/lib/modules/")),
        ("      libraries".to_owned(), below("usr/lib/x86_64-linux-gnu/")),
        ("      guest kernel".to_owned(), below("usr/share/aleph/guest/")),
    ];
    let programs = manifest.executables.iter();
    rows.extend(programs.map(|file| (format!("      {}", file.path), file.size_bytes)));
    rows
}
