//! TPMs in software (swtpm), made like real ones: with an endorsement certificate that a CA signed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::process::{Lifetime, Process, wait_until};

/// How long swtpm may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A certification authority for endorsement keys, on this machine only.
#[derive(Debug, Clone)]
pub struct TpmAuthority {
    folder: PathBuf,
}

/// What makes a TPM the one it is: its seeds, its certificates.
#[derive(Debug, Clone)]
pub struct TpmState {
    folder: PathBuf,
}

impl TpmAuthority {
    /// The authority in this folder; it comes about with the first TPM it certifies.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let ca = folder.join("ca");
        fs::create_dir_all(&ca)?;
        fs::create_dir_all(folder.join("roots"))?;
        let ca = ca.canonicalize()?;
        let at = |name: &str| ca.join(name).display().to_string();
        let authority = format!(
            "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
            ca.display(),
            at("signing-key.pem"),
            at("issuer-cert.pem"),
            at("serial")
        );
        let options = "--platform-manufacturer aleph-devnet\n--platform-version 1\n\
                       --platform-model qemu\n";
        let setup = format!(
            "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {}\n\
             create_certs_tool_options = {}\n",
            at("authority.conf"),
            at("authority.options")
        );
        fs::write(ca.join("authority.conf"), authority)?;
        fs::write(ca.join("authority.options"), options)?;
        fs::write(ca.join("setup.conf"), setup)?;
        Ok(Self { folder: folder.canonicalize()? })
    }

    /// The folder with the authority's certificates in PEM form.
    pub fn roots(&self) -> PathBuf {
        self.folder.join("roots")
    }

    /// Makes a TPM in a folder, or finds the one that was made there before.
    pub fn provision(&self, folder: &Path) -> Result<TpmState> {
        let state = TpmState { folder: folder.to_owned() };
        if folder.join("tpm2-00.permall").is_file() {
            return Ok(state);
        }
        fs::create_dir_all(folder)?;
        let output = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--create-platform-cert", "--overwrite"])
            .args(["--pcr-banks", "sha256", "--config"])
            .arg(self.folder.join("ca/setup.conf"))
            .arg("--tpmstate")
            .arg(folder)
            .output()
            .context("swtpm_setup is missing: run `make setup`")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stdout);
            bail!("swtpm_setup failed: {}", words.trim());
        }
        for name in ["issuer-cert.pem", "swtpm-localca-rootca-cert.pem"] {
            fs::copy(self.folder.join("ca").join(name), self.roots().join(name))
                .with_context(|| format!("the authority wrote no {name}"))?;
        }
        Ok(state)
    }
}

impl TpmState {
    /// Starts the TPM for one machine; it ends when the machine lets go of it.
    pub(crate) fn start(&self, socket: &Path, lifetime: Lifetime, log: &Path) -> Result<Process> {
        let _ = fs::remove_file(socket);
        let mut command = lifetime.command("swtpm")?;
        command
            .args(["socket", "--tpm2", "--terminate", "--tpmstate"])
            .arg(format!("dir={}", self.folder.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()));
        let process = Process::start("swtpm", &mut command, log)?;
        wait_until("swtpm's socket", START_TIMEOUT, || Ok(socket.exists().then_some(())))?;
        Ok(process)
    }
}
