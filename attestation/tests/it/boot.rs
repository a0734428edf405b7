//! A machine's boot as firmware, stub and kernel would log it, and the release it is a boot of.

use aleph_attestation::digest::{Digest, sha256};
use aleph_attestation::eventlog::EventKind;
use aleph_attestation::predict::{
    Prediction, Section, predict_pcr4, predict_pcr9, predict_pcr11, replay,
};
use aleph_attestation::release::{Artifact, Document, Profile, RELEASE_FORMAT, ReleaseManifest};
use sha1::{Digest as _, Sha1};

/// What is booted. The default is the release.
#[derive(Clone)]
pub(crate) struct Boot {
    pub(crate) cmdline: String,
    pub(crate) uki: Digest,
    pub(crate) splash: Option<Vec<u8>>,
    pub(crate) addon: Option<Vec<u8>>,
    /// What each boot option before the release's started before it failed, if anything.
    pub(crate) failed_attempts: Vec<Option<Digest>>,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            cmdline: "console=ttyS0,115200 quiet".to_owned(),
            uki: sha256(b"authenticode of the image"),
            splash: None,
            addon: None,
            failed_attempts: Vec::new(),
        }
    }
}

impl Boot {
    /// The event log of this boot.
    pub(crate) fn log(&self) -> Log {
        let mut log = Log::new();
        log.event(0, EventKind::S_CRTM_VERSION, &utf16("edk2-stable202402"));
        log.measured(0, EventKind::EFI_PLATFORM_FIRMWARE_BLOB, b"firmware volume", &[0x42; 16]);
        for (name, content) in
            [("SecureBoot", &[0][..]), ("PK", &[]), ("KEK", &[]), ("db", &[]), ("dbx", &[])]
        {
            log.event(7, EventKind::EFI_VARIABLE_DRIVER_CONFIG, &variable(name, content));
        }
        log.measured(2, EventKind::EFI_BOOT_SERVICES_DRIVER, b"option ROM", &image(""));
        log.event(4, EventKind::EFI_ACTION, b"Calling EFI Application from Boot Option");
        for pcr in 0..8 {
            log.event(pcr, EventKind::SEPARATOR, &[0; 4]);
        }
        for started in &self.failed_attempts {
            if let Some(started) = started {
                log.with_digest(4, EventKind::EFI_BOOT_SERVICES_APPLICATION, *started, &image(""));
            }
            log.event(4, EventKind::EFI_ACTION, b"Returning from EFI Application from Boot Option");
            log.event(4, EventKind::EFI_ACTION, b"Calling EFI Application from Boot Option");
        }
        let path = image("\\EFI\\BOOT\\BOOTX64.EFI");
        log.with_digest(4, EventKind::EFI_BOOT_SERVICES_APPLICATION, self.uki, &path);
        for (name, content) in self.sections() {
            let name_with_nul = [name.as_bytes(), &[0]].concat();
            log.measured(11, EventKind::IPL, &name_with_nul, &utf16(name));
            log.measured(11, EventKind::IPL, &content, &utf16(name));
        }
        if let Some(addon) = &self.addon {
            log.measured(12, EventKind::IPL, addon, &utf16("addon"));
        }
        log.with_digest(4, EventKind::EFI_BOOT_SERVICES_APPLICATION, kernel(), &image(""));
        log.measured(
            9,
            EventKind::EVENT_TAG,
            &utf16(&self.cmdline),
            b"LOADED_IMAGE::LoadOptions\0",
        );
        log.measured(9, EventKind::EVENT_TAG, b"initrd", b"Linux initrd\0");
        log.event(5, EventKind::EFI_ACTION, b"Exit Boot Services Invocation");
        log
    }

    /// The manifest that a builder of this image would publish.
    pub(crate) fn release(&self) -> ReleaseManifest {
        let sections = self.sections();
        let sections: Vec<Section<'_>> =
            sections.iter().map(|(name, content)| Section::of(name, content)).collect();
        let (pcrs, pcr_events) = Prediction::into_manifest([
            predict_pcr4(&[("aleph-node.efi", self.uki), ("kernel", kernel())]),
            predict_pcr9(&self.cmdline, sha256(b"initrd")),
            predict_pcr11(&sections).unwrap(),
        ]);
        let file = |path: &str| Artifact {
            path: path.to_owned(),
            size_bytes: 1,
            sha256: sha256(path.as_bytes()),
        };
        ReleaseManifest {
            format: RELEASE_FORMAT,
            name: "aleph-node".to_owned(),
            version: "0.1.0".to_owned(),
            profile: Profile::Release,
            source_date_epoch: 0,
            uki: file("aleph-node.efi"),
            disk: file("aleph-node.raw"),
            kernel_version: "6.12.0".to_owned(),
            cmdline: self.cmdline.clone(),
            pcrs,
            pcr_events,
            executables: vec![file("/usr/bin/aleph-node")],
            sbom: Document { path: "sbom.spdx.json".to_owned(), sha256: sha256(b"sbom") },
        }
    }

    fn sections(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut sections = vec![
            (".linux", b"kernel".to_vec()),
            (".osrel", b"ID=aleph-node\n".to_vec()),
            (".cmdline", self.cmdline.clone().into_bytes()),
            (".initrd", b"initrd".to_vec()),
        ];
        sections.extend(self.splash.clone().map(|splash| (".splash", splash)));
        sections
    }
}

/// An event of a log under construction.
#[derive(Clone)]
pub(crate) struct Logged {
    pub(crate) pcr: u32,
    pub(crate) kind: EventKind,
    pub(crate) sha256: Digest,
    pub(crate) sha1: [u8; 20],
    pub(crate) data: Vec<u8>,
}

/// A crypto-agile log of the SHA-1 and SHA-256 banks.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) events: Vec<Logged>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { events: Vec::new() }
    }

    /// An event whose digest is the hash of its data.
    pub(crate) fn event(&mut self, pcr: u32, kind: EventKind, data: &[u8]) {
        self.measured(pcr, kind, data, data);
    }

    /// An event whose digest is the hash of something else than its data.
    pub(crate) fn measured(&mut self, pcr: u32, kind: EventKind, measured: &[u8], data: &[u8]) {
        let sha1 = Sha1::digest(measured).into();
        self.events.push(Logged { pcr, kind, sha256: sha256(measured), sha1, data: data.to_vec() });
    }

    /// An event with a digest that was computed elsewhere.
    pub(crate) fn with_digest(&mut self, pcr: u32, kind: EventKind, sha256: Digest, data: &[u8]) {
        let sha1 = Sha1::digest(sha256.0).into();
        self.events.push(Logged { pcr, kind, sha256, sha1, data: data.to_vec() });
    }

    /// The value that this log gives to a PCR.
    pub(crate) fn replay(&self, pcr: u8) -> Digest {
        let extended = self
            .events
            .iter()
            .filter(|event| event.pcr == u32::from(pcr) && event.kind != EventKind::NO_ACTION);
        replay(extended.map(|event| &event.sha256))
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut header = b"Spec ID Event03\0".to_vec();
        header.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 2]);
        header.extend_from_slice(&[2, 0, 0, 0]);
        header.extend_from_slice(&[4, 0, 20, 0]);
        header.extend_from_slice(&[0x0b, 0, 32, 0]);
        header.push(0);

        let mut bytes = Vec::new();
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&EventKind::NO_ACTION.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 20]);
        push_sized(&mut bytes, &header);
        for event in &self.events {
            bytes.extend_from_slice(&event.pcr.to_le_bytes());
            bytes.extend_from_slice(&event.kind.0.to_le_bytes());
            bytes.extend_from_slice(&2_u32.to_le_bytes());
            bytes.extend_from_slice(&[4, 0]);
            bytes.extend_from_slice(&event.sha1);
            bytes.extend_from_slice(&[0x0b, 0]);
            bytes.extend_from_slice(&event.sha256.0);
            push_sized(&mut bytes, &event.data);
        }
        bytes
    }
}

/// A UEFI variable as firmware measures it.
pub(crate) fn variable(name: &str, content: &[u8]) -> Vec<u8> {
    let mut data = vec![0x11; 16];
    data.extend_from_slice(&(name.len() as u64).to_le_bytes());
    data.extend_from_slice(&(content.len() as u64).to_le_bytes());
    data.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    data.extend_from_slice(content);
    data
}

fn kernel() -> Digest {
    sha256(b"authenticode of the kernel")
}

/// The data of an image's event: where it was loaded, and its path on the medium.
fn image(path: &str) -> Vec<u8> {
    let mut nodes = Vec::new();
    if !path.is_empty() {
        let path = utf16(path);
        nodes.extend_from_slice(&[4, 4]);
        nodes.extend_from_slice(&(path.len() as u16 + 4).to_le_bytes());
        nodes.extend_from_slice(&path);
    }
    nodes.extend_from_slice(&[0x7f, 0xff, 4, 0]);
    let mut data = vec![0x22; 24];
    data.extend_from_slice(&(nodes.len() as u64).to_le_bytes());
    data.extend_from_slice(&nodes);
    data
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn push_sized(bytes: &mut Vec<u8>, data: &[u8]) {
    bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(data);
}
