//! A TPM in a process of its own, with an endorsement certificate from a local authority.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aleph_attestation::roots::Roots;
use tempfile::TempDir;

pub(crate) struct Swtpm {
    process: Child,
    dir: TempDir,
    port: u16,
}

impl Swtpm {
    pub(crate) fn start() -> Self {
        let mut dir = tempfile::tempdir().unwrap();
        manufacture(dir.path());
        // Another process may take the ports between the look and the start.
        for _ in 0..10 {
            let port = free_port_pair();
            let process = spawn(dir.path(), port);
            let mut swtpm = Self { process, dir, port };
            if swtpm.answers() {
                return swtpm;
            }
            let _ = swtpm.process.kill();
            let _ = swtpm.process.wait();
            dir = std::mem::replace(&mut swtpm.dir, tempfile::tempdir().unwrap());
        }
        panic!("swtpm does not start");
    }

    /// Its address, as `Tpm::open` and tpm2-tools take it.
    pub(crate) fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority that issued its endorsement certificate.
    pub(crate) fn roots_pem(&self) -> Vec<u8> {
        let authority = self.dir.path().join("authority");
        ["swtpm-localca-rootca-cert.pem", "issuercert.pem"]
            .into_iter()
            .flat_map(|name| std::fs::read(authority.join(name)).unwrap())
            .collect()
    }

    pub(crate) fn roots(&self) -> Roots {
        let mut roots = Roots::new();
        assert_eq!(roots.add_pem(&self.roots_pem()).unwrap(), 2);
        roots
    }

    /// Runs one of the tpm2-tools on it and returns what it printed.
    pub(crate) fn tool(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let output = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.dir.path())
            .env("TPM2TOOLS_TCTI", self.tcti())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            // The control channel answers as soon as the TPM is up, and a connection to it does
            // not disturb the data channel.
            if std::net::TcpStream::connect(("127.0.0.1", self.port + 1)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes the TPM's state: seeds, endorsement key and its certificate.
fn manufacture(dir: &Path) {
    let authority = dir.join("authority");
    std::fs::create_dir(&authority).unwrap();
    let path = |path: PathBuf| path.display().to_string();
    let options = dir.join("localca.options");
    std::fs::write(
        &options,
        "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n",
    )
    .unwrap();
    let config = dir.join("localca.conf");
    let localca = format!(
        "statedir = {0}\nsigningkey = {0}/signkey.pem\nissuercert = {0}/issuercert.pem\n\
         certserial = {0}/certserial\n",
        authority.display()
    );
    std::fs::write(&config, localca).unwrap();
    let setup = dir.join("setup.conf");
    let setup_text = format!(
        "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {}\n\
         create_certs_tool_options = {}\nactive_pcr_banks = sha256\n",
        path(config),
        path(options)
    );
    std::fs::write(&setup, setup_text).unwrap();
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let output = Command::new("swtpm_setup")
        .args([
            "--tpm2",
            "--create-ek-cert",
            "--pcr-banks",
            "sha256",
            "--overwrite",
            "--runas",
            &user,
        ])
        .arg("--tpmstate")
        .arg(dir)
        .arg("--config")
        .arg(&setup)
        .output()
        .expect("swtpm_setup is installed (apt-get install swtpm-tools)");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn spawn(dir: &Path, port: u16) -> Child {
    Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .args(["--tpmstate", &format!("dir={}", dir.display())])
        .args(["--server", &format!("type=tcp,bindaddr=127.0.0.1,port={port}")])
        .args(["--ctrl", &format!("type=tcp,bindaddr=127.0.0.1,port={}", port + 1)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("swtpm is installed (apt-get install swtpm)")
}

/// Two neighbouring ports that nobody listens on.
fn free_port_pair() -> u16 {
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let next = port.checked_add(1).map(|next| TcpListener::bind(("127.0.0.1", next)));
        if matches!(next, Some(Ok(_))) {
            return port;
        }
    }
}
