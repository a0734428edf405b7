//! The appliance's image, built from the kernel package and stand-ins for our programs: the parts
//! do not differ from the real ones in anything that the builder looks at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aleph_attestation::release::{PcrEvent, Profile, ReleaseManifest};
use aleph_image::Cache;
use aleph_image::appliance::{self, Built, Inputs};
use aleph_image::uki::{SIZE_BYTES_MAX, Uki};
use authenticode::AttributeCertificateIterator;

const EPOCH: u32 = 1_790_000_000;
const ESP_OFFSET_BYTES: u64 = 1 << 20;

/// A release build and a debug build.
struct Images {
    dir: tempfile::TempDir,
    release: Built,
    debug: Built,
}

impl Images {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("release").join(name)
    }
}

/// One test for all questions: to build is what takes the time.
#[test]
fn the_image_is_what_its_documents_say() {
    let dir = tempfile::tempdir().unwrap();
    let release = build(Profile::Release, &dir.path().join("release"));
    let debug = build(Profile::Debug, &dir.path().join("debug"));
    let images = Images { dir, release, debug };
    two_builds_of_the_same_inputs_give_the_same_bytes(&images);
    sections_lie_on_pages_in_order_with_the_kernel_last(&images);
    the_measured_hash_is_the_one_that_a_signature_covers(&images);
    the_manifest_is_read_back_and_describes_the_files(&images);
    a_debug_image_measures_differently_by_its_command_line(&images);
    the_image_holds_the_listed_executables_and_no_other(&images);
    the_root_has_what_pid_1_and_the_agent_look_for(&images);
    the_bill_of_materials_names_packages_and_crates_with_versions(&images);
    the_disk_holds_the_kernel_image_where_firmware_looks(&images);
}

/// Any program of the build machine is good enough in the place of ours: none of them runs here.
fn build(profile: Profile, out: &Path) -> Built {
    let this = std::env::current_exe().unwrap();
    let inputs = Inputs {
        profile,
        init: "/usr/bin/true".into(),
        agent: this,
        vmm: "/usr/bin/false".into(),
        guest_kernel: "/etc/os-release".into(),
        source_date_epoch: EPOCH,
    };
    appliance::build(&Cache::from_environment(), &inputs, out).unwrap()
}

fn two_builds_of_the_same_inputs_give_the_same_bytes(images: &Images) {
    let again = images.dir.path().join("again");
    build(Profile::Release, &again);
    let mut names: Vec<_> =
        fs::read_dir(&again).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["aleph-node.efi", "aleph-node.raw", "release.json", "sbom.spdx.json"]);
    for name in names {
        let first = fs::read(images.path(name.to_str().unwrap())).unwrap();
        let second = fs::read(again.join(&name)).unwrap();
        assert!(first == second, "{} differs", name.display());
    }
}

fn sections_lie_on_pages_in_order_with_the_kernel_last(images: &Images) {
    let path = images.path("aleph-node.efi");
    let uki = Uki::read(&path).unwrap();
    let ours: Vec<_> =
        uki.sections().iter().skip_while(|section| section.name != ".osrel").collect();
    let names: Vec<&str> = ours.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(names, [".osrel", ".cmdline", ".uname", ".initrd", ".linux"]);
    for pair in uki.sections().windows(2) {
        assert!(pair[0].address + pair[0].size_bytes <= pair[1].address, "{pair:?}");
    }
    assert!(ours.iter().all(|section| section.address % 4096 == 0));
    let size_bytes = fs::metadata(&path).unwrap().len();
    assert_eq!(size_bytes % 8, 0);
    assert!(size_bytes <= SIZE_BYTES_MAX);
    assert_eq!(uki.text(".cmdline").unwrap(), images.release.manifest.cmdline);
    assert_eq!(uki.text(".uname").unwrap(), images.release.manifest.kernel_version);
    assert!(uki.text(".osrel").unwrap().contains("ID=aleph-node\n"));
}

fn the_measured_hash_is_the_one_that_a_signature_covers(images: &Images) {
    let uki = images.path("aleph-node.efi");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    let (key, certificate, signed) = (path("key"), path("certificate"), path("signed.efi"));
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"])
        .args(["-keyout", &key, "-out", &certificate]));
    run(Command::new("sbsign")
        .args(["--key", &key, "--cert", &certificate, "--output", &signed])
        .arg(&uki));

    let bytes = fs::read(&signed).unwrap();
    let file = object::read::pe::PeFile64::parse(bytes.as_slice()).unwrap();
    let mut certificates = AttributeCertificateIterator::new(&file).unwrap().unwrap();
    let signature = certificates.next().unwrap().unwrap().get_authenticode_signature().unwrap();
    let events = |path: &Path| {
        let predictions = Uki::read(path).unwrap().predict().unwrap();
        predictions.into_iter().flat_map(|prediction| prediction.events).collect::<Vec<_>>()
    };
    let unsigned = events(&uki);
    let started = unsigned.iter().find(|event| event.name == "image aleph-node.efi").unwrap();
    assert_eq!(started.digest.to_string(), hex::encode(signature.digest()));
    let digests = |events: &[PcrEvent]| events.iter().map(|event| event.digest).collect::<Vec<_>>();
    assert_eq!(digests(&events(signed.as_ref())), digests(&unsigned));
}

fn the_manifest_is_read_back_and_describes_the_files(images: &Images) {
    let bytes = fs::read(images.path("release.json")).unwrap();
    let manifest = ReleaseManifest::from_json(&bytes).unwrap();
    assert_eq!(manifest, images.release.manifest);
    for artifact in [&manifest.uki, &manifest.disk] {
        let content = fs::read(images.path(&artifact.path)).unwrap();
        assert_eq!(artifact.size_bytes, content.len() as u64);
        assert_eq!(artifact.sha256.to_string(), sha256_hex(&content));
    }
    let sbom = fs::read(images.path(&manifest.sbom.path)).unwrap();
    assert_eq!(manifest.sbom.sha256.to_string(), sha256_hex(&sbom));
    assert_eq!(manifest.pcrs.keys().collect::<Vec<_>>(), [&4, &9, &11]);
}

fn a_debug_image_measures_differently_by_its_command_line(images: &Images) {
    let (release, debug) = (&images.release.manifest, &images.debug.manifest);
    assert_eq!(debug.cmdline, format!("{} aleph.debug=1", release.cmdline));
    for pcr in [4, 9, 11] {
        assert_ne!(release.pcrs[&pcr], debug.pcrs[&pcr], "PCR {pcr}");
    }
    let command_line = |manifest: &ReleaseManifest| {
        let mut events = manifest.events_of(11).filter(|event| event.name == "section .cmdline");
        events.next().unwrap().digest
    };
    assert_ne!(command_line(release), command_line(debug));
}

fn the_image_holds_the_listed_executables_and_no_other(images: &Images) {
    let dir = tempfile::tempdir().unwrap();
    let root = unpack(&images.path("aleph-node.efi"), dir.path());
    let mut found = vec!["/init".to_owned()];
    find_executables(&root, &root, &mut found);
    found.sort();
    let mut listed: Vec<_> =
        images.release.manifest.executables.iter().map(|file| file.path.clone()).collect();
    listed.sort();
    assert_eq!(found, listed);
    assert_eq!(
        listed,
        [
            "/init",
            "/usr/bin/aleph-node",
            "/usr/bin/aleph-vmm",
            "/usr/lib64/ld-linux-x86-64.so.2",
            "/usr/sbin/mkfs.xfs",
        ]
    );
    for file in &images.release.manifest.executables {
        let below = if file.path == "/init" { dir.path() } else { &root };
        let content = fs::read(below.join(file.path.trim_start_matches('/'))).unwrap();
        assert_eq!(file.sha256.to_string(), sha256_hex(&content), "{}", file.path);
    }
}

fn the_root_has_what_pid_1_and_the_agent_look_for(images: &Images) {
    let dir = tempfile::tempdir().unwrap();
    let root = unpack(&images.path("aleph-node.efi"), dir.path());
    for directory in ["dev", "proc", "sys", "run", "tmp", "data", "usr/lib/aleph"] {
        assert!(root.join(directory).is_dir(), "{directory}");
    }
    assert_eq!(
        fs::read_link(root.join("etc/resolv.conf")).unwrap(),
        Path::new("../run/aleph/resolv.conf")
    );
    assert!(root.join("usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0").is_file());
    let certificates = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);
    let info: serde_json::Value =
        serde_json::from_slice(&fs::read(root.join("usr/share/aleph/image.json")).unwrap())
            .unwrap();
    assert_eq!(info["profile"], "release");
    assert_eq!(info["source_date_epoch"], EPOCH);

    // Each module of the tables is there, under the name that the table gives.
    for stage in [dir.path(), &root] {
        let table = fs::read_to_string(stage.join("usr/lib/aleph/modules.toml")).unwrap();
        let table: toml::Table = toml::from_str(&table).unwrap();
        assert_eq!(table["kernel"].as_str(), Some(images.release.manifest.kernel_version.as_str()));
        for module in table["module"].as_array().unwrap() {
            let path = module["path"].as_str().unwrap().trim_start_matches('/');
            assert!(stage.join(path).is_file(), "{path}");
        }
    }
}

fn the_bill_of_materials_names_packages_and_crates_with_versions(images: &Images) {
    let sbom: serde_json::Value =
        serde_json::from_slice(&fs::read(images.path("sbom.spdx.json")).unwrap()).unwrap();
    assert_eq!(sbom["spdxVersion"], "SPDX-2.3");
    let packages = sbom["packages"].as_array().unwrap();
    let version_of = |name: &str| {
        let package = packages.iter().find(|package| package["name"] == name);
        package.unwrap_or_else(|| panic!("{name} is missing"))["versionInfo"].as_str().unwrap()
    };
    let kernel = format!("linux-image-{}", images.release.manifest.kernel_version);
    for name in [
        kernel.as_str(),
        "libc6",
        "libtss2-tcti-device0",
        "xfsprogs",
        "systemd-boot-efi",
        "ca-certificates",
        "linux-source-6.12",
        "aleph-init",
        "aleph-vmm",
        "tokio",
        "rustls",
    ] {
        assert!(!version_of(name).is_empty(), "{name}");
    }
    assert_eq!(version_of("aleph-node"), env!("CARGO_PKG_VERSION"));
}

fn the_disk_holds_the_kernel_image_where_firmware_looks(images: &Images) {
    let disk = images.path("aleph-node.raw");
    let listing = output(Command::new("sgdisk").arg("--print").arg(&disk));
    let partitions: Vec<&str> = listing
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(partitions, ["ALEPH-ESP", "aleph-data"], "{listing}");
    run(Command::new("sgdisk").arg("--verify").arg(&disk));
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.efi");
    let esp = format!("{}@@{ESP_OFFSET_BYTES}", disk.display());
    run(Command::new("mcopy").args(["-i", &esp, "::/EFI/BOOT/BOOTX64.EFI"]).arg(&copy));
    assert!(fs::read(copy).unwrap() == fs::read(images.path("aleph-node.efi")).unwrap());
}

/// Unpacks the initramfs into `dir`, and the root file system below it.
fn unpack(uki: &Path, dir: &Path) -> PathBuf {
    let archive = dir.join("archive");
    fs::write(&archive, Uki::read(uki).unwrap().section(".initrd").unwrap()).unwrap();
    run(Command::new("cpio").current_dir(dir).args(["-i", "--quiet", "-F", "archive"]));
    let root = dir.join("root");
    run(Command::new("fsck.erofs")
        .arg(format!("--extract={}", root.display()))
        .arg(dir.join("root.erofs")));
    root
}

fn find_executables(root: &Path, dir: &Path, found: &mut Vec<String>) {
    use std::os::unix::fs::PermissionsExt;

    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            find_executables(root, &path, found);
        } else if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
            found.push(format!("/{}", path.strip_prefix(root).unwrap().display()));
        }
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;

    hex::encode(sha2::Sha256::digest(bytes))
}

fn run(command: &mut Command) {
    output(command);
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
