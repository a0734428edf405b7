//! What is refused, and what is endured: each with words that say what to do.

use std::{fs, path::Path, time::Duration};

use aleph_devnet::{Machine, MachineOptions, Tpm, TpmAuthority};
use aleph_qemu_tests::{Cli, Paths};
use anyhow::{Context, Result, ensure};

use crate::{paths, power_off_after_one_agent};

const BOOT_TIMEOUT: Duration = Duration::from_secs(240);
/// A chain that is not there: nothing listens on this port of the host.
const NO_CHAIN: &str = "[node]\nowner = \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"\n\
    [chain]\nrpc_url = \"http://10.0.2.2:9\"\nchain_id = 42161\n\
    node_registry = \"0x1111111111111111111111111111111111111111\"\n\
    staking_manager = \"0x1111111111111111111111111111111111111111\"\n\
    job_manager = \"0x1111111111111111111111111111111111111111\"\n";

/// One byte of the measured command line is another: the verdict names the section.
#[tokio::test]
async fn a_changed_command_line_is_refused() -> Result<()> {
    let Some((layout, paths)) = paths("build", "changed-command-line") else { return Ok(()) };
    let folder = fresh(&paths)?;
    let image = folder.join("changed.raw");
    change_command_line(&paths.image.join("aleph-node.raw"), &image)?;
    let (mut machine, authority) = boot(&paths, &image, NO_CHAIN, true)?;
    let cli = Cli::new(&layout.build().join("none.json"))?;
    let (url, release) = (machine.url(), paths.image.join("release.json"));
    machine.wait_for_node(BOOT_TIMEOUT).await?;
    let arguments = ["node", "attest", &url, "--release", text(&release)?, "--ek-roots"];
    let roots = authority.roots();
    let (code, verdict) = cli.json_with_code(&[&arguments[..], &[text(&roots)?]].concat())?;
    ensure!(code == 3, "exit code {code}: {verdict}");
    ensure!(verdict["accepted"] == false, "{verdict}");
    let failed = verdict["checks"]
        .as_array()
        .context("no checks")?
        .iter()
        .filter(|check| check["outcome"] == "fail")
        .map(|check| format!("{} {}", check["name"], check["detail"]))
        .collect::<Vec<_>>()
        .join("; ");
    ensure!(failed.contains(".cmdline"), "the reason does not name the section: {failed}");
    machine.cut_power();
    Ok(())
}

/// Without a TPM and without a chain, the node says what is wrong and stays up.
#[tokio::test]
async fn without_tpm_and_chain_a_node_says_so_and_stays_up() -> Result<()> {
    let Some((layout, paths)) = paths("build", "no-tpm") else { return Ok(()) };
    fresh(&paths)?;
    let (mut machine, _) = boot(&paths, &paths.image.join("aleph-node.raw"), NO_CHAIN, false)?;
    machine.wait_for_node(BOOT_TIMEOUT).await?;
    let cli = Cli::new(&layout.build().join("none.json"))?;
    let status = cli.json(&["node", "status", &machine.url()])?;
    ensure!(status["node"]["node_id"].is_null(), "an id without a TPM: {status}");
    for name in ["tpm", "chain"] {
        let conditions = status["readiness"]["conditions"].as_array().context("no conditions")?;
        let condition = conditions
            .iter()
            .find(|condition| condition["name"] == name)
            .with_context(|| format!("no condition {name}: {status}"))?;
        ensure!(condition["ok"] == false, "{name} holds: {condition}");
    }
    ensure!(
        machine.console().contains("DEGRADED: no TPM 2.0"),
        "the console does not tell of the TPM"
    );
    power_off_after_one_agent(machine)
}

/// A key that the configuration does not know: a clear message, no restart loop, a machine that
/// can be switched off.
#[tokio::test]
async fn a_wrong_configuration_key_is_told_once() -> Result<()> {
    let Some((_, paths)) = paths("build", "wrong-key") else { return Ok(()) };
    fresh(&paths)?;
    let seed = "[node]\nownr = \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"\n";
    let (mut machine, _) = boot(&paths, &paths.image.join("aleph-node.raw"), seed, false)?;
    machine.wait_for_console("ownr", BOOT_TIMEOUT)?;
    std::thread::sleep(Duration::from_secs(15));
    let console = machine.console();
    let told = console.matches("unknown field `ownr`").count();
    ensure!(told == 1, "told {told} times:\n{console}");
    power_off_after_one_agent(machine)
}

fn fresh(paths: &Paths) -> Result<&Path> {
    let _ = fs::remove_dir_all(&paths.folder);
    fs::create_dir_all(&paths.folder)?;
    Ok(&paths.folder)
}

fn boot(paths: &Paths, image: &Path, seed: &str, tpm: bool) -> Result<(Machine, TpmAuthority)> {
    let authority = TpmAuthority::in_folder(&paths.folder.join("tpm-authority"))?;
    let tpm = match tpm {
        true => Tpm::Crb(authority.provision(&paths.folder.join("tpm"))?),
        false => Tpm::Absent,
    };
    let machine = Machine::start(MachineOptions {
        folder: paths.folder.join("machine"),
        image: image.to_owned(),
        disk_mib: 2048,
        memory_mib: 1024,
        tpm,
        seed: seed.to_owned(),
        port: 0,
    })?;
    Ok((machine, authority))
}

/// Copies a disk image with one letter of the kernel's command line changed.
fn change_command_line(image: &Path, changed: &Path) -> Result<()> {
    let mut bytes = fs::read(image)?;
    let word = b"console=ttyS0,115200 ";
    let at = bytes
        .windows(word.len())
        .position(|window| window == word)
        .context("the image has no command line")?;
    // The rate of the serial port: another byte, the same machine otherwise.
    let digit = at + b"console=ttyS0,11520".len();
    bytes[digit] = b'1';
    fs::write(changed, bytes)?;
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
