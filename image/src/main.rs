//! The command line of the image builder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use aleph_attestation::release::Profile;
use aleph_image::kernel::{self, KernelPin};
use aleph_image::uki::Uki;
use aleph_image::{Cache, appliance, guest_kernel, rootfs};
use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

/// Builds the appliance image and what customers' machines start from.
///
/// Heavy inputs are kept in $ALEPH_CACHE (default: ~/.cache/aleph-node).
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Download and unpack the kernel pinned in image/kernel.toml; prints its path.
    Kernel {
        /// First pin the newest kernel of the series that apt knows.
        #[arg(long)]
        update: bool,
    },
    /// Build the kernel of customers' machines; prints its path.
    GuestKernel {
        /// Also copy it into this folder, as vmlinux.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Build the Debian root file system for customers' machines; prints its path.
    Rootfs {
        /// Also copy it to this file.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Build the unified kernel image, the disk, the manifest and the bill of materials.
    Build(BuildArguments),
    /// Show the sections of a unified kernel image.
    Inspect {
        /// The EFI file.
        uki: PathBuf,
    },
    /// Print the PCR values that a unified kernel image leads to, as JSON.
    Predict {
        /// The EFI file.
        uki: PathBuf,
    },
}

#[derive(clap::Args)]
struct BuildArguments {
    /// Who the image is for.
    #[arg(long, value_enum, default_value = "release")]
    profile: ImageProfile,
    /// PID 1 (aleph-init), linked statically.
    #[arg(long)]
    init: PathBuf,
    /// The agent (aleph-node).
    #[arg(long)]
    agent: PathBuf,
    /// The monitor (aleph-vmm), linked statically.
    #[arg(long)]
    vmm: PathBuf,
    /// The kernel of customers' machines [default: built, or taken from the cache].
    #[arg(long)]
    guest_kernel: Option<PathBuf>,
    /// The time that all files carry [default: the last commit's].
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    source_date_epoch: Option<u32>,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum ImageProfile {
    /// For providers.
    Release,
    /// For tests: with a console of fixed verbs on the second serial port.
    Debug,
}

impl From<ImageProfile> for Profile {
    fn from(profile: ImageProfile) -> Self {
        match profile {
            ImageProfile::Release => Self::Release,
            ImageProfile::Debug => Self::Debug,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let cache = Cache::from_environment();
    match Arguments::parse().command {
        Action::Kernel { update } => fetch_kernel(&cache, update),
        Action::GuestKernel { out } => {
            deliver(&guest_kernel::build(&cache)?, out.map(|dir| dir.join("vmlinux")))
        }
        Action::Rootfs { out } => deliver(&rootfs::build(&cache)?, out),
        Action::Build(arguments) => build(&cache, arguments),
        Action::Inspect { uki } => inspect(&uki),
        Action::Predict { uki } => predict(&uki),
    }
}

fn fetch_kernel(cache: &Cache, update: bool) -> anyhow::Result<()> {
    if update {
        KernelPin::newest()?.write()?;
    }
    let kernel = kernel::fetch(cache, &KernelPin::read()?)?;
    println!("{}", kernel.vmlinuz.display());
    Ok(())
}

/// Prints where a file of the cache is, or where it was copied to.
fn deliver(cached: &Path, out: Option<PathBuf>) -> anyhow::Result<()> {
    let Some(out) = out else {
        println!("{}", cached.display());
        return Ok(());
    };
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::copy(cached, &out).with_context(|| format!("copy to {}", out.display()))?;
    println!("{}", out.display());
    Ok(())
}

fn build(cache: &Cache, arguments: BuildArguments) -> anyhow::Result<()> {
    let guest_kernel = match arguments.guest_kernel {
        Some(path) => path,
        None => guest_kernel::build(cache)?,
    };
    let inputs = appliance::Inputs {
        profile: arguments.profile.into(),
        init: arguments.init,
        agent: arguments.agent,
        vmm: arguments.vmm,
        guest_kernel,
        source_date_epoch: arguments.source_date_epoch.unwrap_or_else(last_commit_epoch),
    };
    let built = appliance::build(cache, &inputs, &arguments.out)?;
    for (name, size_bytes) in &built.sizes {
        println!("{name:<38} {:>8.2} MiB", *size_bytes as f64 / f64::from(1 << 20));
    }
    for (pcr, value) in &built.manifest.pcrs {
        println!("PCR {pcr:<2} {value}");
    }
    println!("{}", arguments.out.join("release.json").display());
    Ok(())
}

/// The time of the last commit; without a repository (a source archive), a constant.
fn last_commit_epoch() -> u32 {
    let git = Command::new("git")
        // A checkout of another user, as in a container, has the same time.
        .args(["-c", "safe.directory=*", "-C", env!("CARGO_MANIFEST_DIR")])
        .args(["log", "-1", "--format=%ct"])
        .output();
    let text = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.and_then(|text| String::from_utf8_lossy(&text).trim().parse().ok()).unwrap_or(0)
}

fn inspect(path: &Path) -> anyhow::Result<()> {
    let uki = Uki::read(path)?;
    println!("{:<10} {:>12} {:>12} {:>12}", "section", "address", "offset", "bytes");
    for section in uki.sections() {
        println!(
            "{:<10} {:>#12x} {:>#12x} {:>12}",
            section.name, section.address, section.file_offset, section.size_bytes
        );
    }
    println!("\nkernel {}\ncommand line {}\n", uki.text(".uname")?, uki.text(".cmdline")?);
    print!("{}", uki.text(".osrel")?);
    Ok(())
}

fn predict(path: &Path) -> anyhow::Result<()> {
    let predictions = Uki::read(path)?.predict()?;
    let values: serde_json::Map<_, _> = predictions
        .iter()
        .map(|prediction| (prediction.pcr.to_string(), prediction.value.to_string().into()))
        .collect();
    println!("{:#}", serde_json::Value::Object(values));
    Ok(())
}
