//! Machines: our image on a disk, in QEMU, with firmware and a TPM.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use aleph_sdk::{NodeClient, SdkError};
use aleph_types::api::NodeInfo;
use anyhow::{Context, Result, bail};

use crate::{
    DebugConsole, Layout, TpmState,
    chain::free_port,
    process::{Detached, Lifetime, Process, wait_until},
    qmp,
};

/// The port of the node's interface inside the machine.
const NODE_PORT: u16 = 8443;
/// How often a node is asked whether it answers yet.
const NODE_POLL: Duration = Duration::from_secs(1);
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS.fd";

/// How a machine's TPM is attached.
#[derive(Debug, Clone)]
pub enum Tpm {
    /// By the command response buffer interface.
    Crb(TpmState),
    /// There is none.
    Absent,
}

/// How a machine is put together.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// Where its disk, its variables, its logs and its sockets are.
    pub folder: PathBuf,
    /// The raw disk image that its disk begins as a copy of.
    pub image: PathBuf,
    /// The size of its disk.
    pub disk_mib: u64,
    /// Its memory.
    pub memory_mib: u32,
    /// Its TPM.
    pub tpm: Tpm,
    /// The first-boot configuration that it is given.
    pub seed: String,
    /// The port on this machine's loopback interface behind which the node answers; 0 picks one.
    pub port: u16,
}

/// A running machine.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    port: u16,
    qemu: Process,
    // Ends by itself when QEMU lets go of it; kept so that it ends with the machine at the latest.
    tpm: Option<Process>,
}

impl Machine {
    /// Switches a machine on. A disk that is there from an earlier start is kept.
    pub fn start(options: MachineOptions) -> Result<Self> {
        Self::start_for(options, Lifetime::OfStarter)
    }

    pub(crate) fn start_for(mut options: MachineOptions, lifetime: Lifetime) -> Result<Self> {
        let folder = &options.folder;
        fs::create_dir_all(folder)?;
        if options.port == 0 {
            options.port = free_port()?;
        }
        prepare_disk(&options)?;
        let vars = folder.join("firmware-vars.fd");
        if !vars.exists() {
            fs::copy(Layout::system_file(OVMF_VARS, "ovmf")?, &vars)?;
        }
        fs::write(folder.join("seed.toml"), &options.seed)?;
        let tpm = match &options.tpm {
            Tpm::Crb(state) => {
                let (socket, log) = (folder.join("tpm.sock"), folder.join("swtpm.log"));
                Some(state.start(&socket, lifetime, &log)?)
            }
            Tpm::Absent => None,
        };
        for stale in ["qmp.sock", "debug.sock"] {
            let _ = fs::remove_file(folder.join(stale));
        }
        let mut command = qemu_command(&options, lifetime)?;
        let qemu = Process::start("qemu", &mut command, &folder.join("qemu.log"))?;
        Ok(Self { folder: folder.clone(), port: options.port, qemu, tpm })
    }

    /// The address of the node's interface on this machine.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The machine's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the machine wrote to its first serial port so far.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.folder.join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the console shows a text, and fails early when the machine ends before.
    pub fn wait_for_console(&mut self, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{text:?} on the console");
        let folder = self.folder.clone();
        let qemu = &mut self.qemu;
        wait_until(&what, limit, || {
            let bytes = fs::read(folder.join("console.log")).unwrap_or_default();
            if String::from_utf8_lossy(&bytes).contains(text) {
                return Ok(Some(()));
            }
            match qemu.exit_code()? {
                Some(code) => bail!("the machine ended (QEMU's exit code {code}) before {what}"),
                None => Ok(None),
            }
        })
    }

    /// Waits until the node in the machine answers, and fails early when the machine ends before.
    pub async fn wait_for_node(&mut self, limit: Duration) -> Result<NodeInfo> {
        let node = NodeClient::new(&self.url())?;
        let deadline = Instant::now() + limit;
        loop {
            let error = match node.info().await {
                Ok(info) if self.qemu.exit_code()?.is_none() => return Ok(info),
                Ok(_) => bail!("something else answers at {}: QEMU has ended", self.url()),
                Err(error) => error,
            };
            let ended = self.qemu.exit_code()?.is_some();
            if ended || Instant::now() >= deadline || !matches!(error, SdkError::Unreachable { .. })
            {
                let console = self.folder.join("console.log");
                bail!("the node did not answer: {error}; its console: {}", console.display());
            }
            tokio::time::sleep(NODE_POLL).await;
        }
    }

    /// The debug console, which only images with the debug profile answer on.
    pub fn debug(&self) -> DebugConsole {
        DebugConsole::new(&self.folder.join("debug.sock"))
    }

    /// Presses the power button.
    pub fn press_power_button(&self) -> Result<()> {
        qmp::execute(&self.folder.join("qmp.sock"), "system_powerdown").map(drop)
    }

    /// Waits until the machine is off.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Result<()> {
        match self.qemu.wait(limit)? {
            0 => Ok(()),
            code => bail!("QEMU ended with exit code {code}: see {}", self.folder.display()),
        }
    }

    /// Cuts the machine's power.
    pub fn cut_power(&mut self) {
        self.qemu.kill();
    }

    /// The processor time that the machine took so far, for figures.
    pub fn cpu_time(&self) -> Result<Duration> {
        let pid = self.qemu.pid().context("the machine is off")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit_once(") ").context("malformed stat")?.1;
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap_or_default())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Lets the machine run on without its starter.
    pub(crate) fn detach(self) -> Result<Vec<Detached>> {
        let Self { qemu, tpm, .. } = self;
        let mut processes = vec![qemu.detach()?];
        processes.extend(tpm.map(Process::detach).transpose()?);
        Ok(processes)
    }
}

/// Copies the image and makes room behind it, as a real disk has more room than the image.
fn prepare_disk(options: &MachineOptions) -> Result<()> {
    let disk = options.folder.join("disk.raw");
    if disk.exists() {
        return Ok(());
    }
    let status = Command::new("cp")
        .args(["--sparse=always", "--reflink=auto"])
        .arg(&options.image)
        .arg(&disk)
        .status()
        .context("cp")?;
    if !status.success() {
        bail!("{} cannot be copied: run `make image`", options.image.display());
    }
    let size_bytes = options.disk_mib * 1024 * 1024;
    let file = fs::OpenOptions::new().write(true).open(&disk)?;
    if file.metadata()?.len() > size_bytes {
        bail!("the image is larger than a disk of {} MiB", options.disk_mib);
    }
    file.set_len(size_bytes)?;
    Ok(())
}

fn qemu_command(options: &MachineOptions, lifetime: Lifetime) -> Result<Command> {
    let at = |name: &str| options.folder.join(name).display().to_string();
    let firmware = Layout::system_file(OVMF_CODE, "ovmf")?;
    let mut command = lifetime.command("qemu-system-x86_64")?;
    command
        // Software emulation with AMD's nested paging: the image gets a real kvm-amd.
        .args(["-accel", "tcg,thread=single", "-machine", "q35", "-cpu", "EPYC,+svm,+npt"])
        .args(["-smp", "1", "-m", &options.memory_mib.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        // What the processor was doing when the watchdog, or anything else, reset the machine.
        .args(["-d", "cpu_reset", "-D", &at("resets.log")])
        .args(["-drive", &format!("if=pflash,format=raw,readonly=on,file={}", firmware.display())])
        .args(["-drive", &format!("if=pflash,format=raw,file={}", at("firmware-vars.fd"))])
        .args(["-drive", &format!("if=none,id=disk,format=raw,file={}", at("disk.raw"))])
        .args(["-device", "virtio-blk-pci,drive=disk"])
        .args(["-netdev", &user_network(options.port)])
        .args(["-device", "virtio-net-pci,netdev=net,romfile="])
        .args(["-device", "virtio-rng-pci", "-device", "i6300esb"])
        .args(["-chardev", &format!("file,id=console,path={}", at("console.log"))])
        .args(["-serial", "chardev:console"])
        .args([
            "-chardev",
            &format!("socket,id=debug,server=on,wait=off,path={}", at("debug.sock")),
        ])
        .args(["-serial", "chardev:debug"])
        .args(["-qmp", &format!("unix:{},server=on,wait=off", at("qmp.sock"))])
        .args(["-fw_cfg", &format!("name=opt/org.aleph/config,file={}", at("seed.toml"))]);
    if matches!(options.tpm, Tpm::Crb(_)) {
        command.args(["-chardev", &format!("socket,id=tpm,path={}", at("tpm.sock"))]).args([
            "-tpmdev",
            "emulator,id=tpm0,chardev=tpm",
            "-device",
            "tpm-crb,tpmdev=tpm0",
        ]);
    }
    Ok(command)
}

fn user_network(port: u16) -> String {
    format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:{NODE_PORT}")
}
