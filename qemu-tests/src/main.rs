//! `make run`: shows everything that a node does for a customer, each step verified.

#![forbid(unsafe_code)]

use std::{io::IsTerminal, path::Path};

use aleph_devnet::{DEV_ACCOUNTS, Layout};
use aleph_qemu_tests::{Paths, Step, Walkthrough};
use anyhow::{Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Boots a node, proves what it booted, and runs a customer's machine on it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Tear everything down at the end, even with a terminal.
    #[arg(long)]
    once: bool,
    /// Walk this often, and print how long each step took.
    #[arg(long, conflicts_with = "once")]
    rounds: Option<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let filter =
        EnvFilter::try_from_env("ALEPH_LOG").unwrap_or_else(|_| "warn,aleph_devnet=info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    let layout = Layout::find()?;
    let paths = Paths::of(&layout, "build", "run");
    if let Some(missing) = paths.missing() {
        bail!(missing);
    }
    // Listened for from the start: what is ended early still tears everything down.
    let mut ended = std::pin::pin!(ended_by_signal()?);
    let Some(rounds) = arguments.rounds else {
        let stay = !arguments.once && std::io::stdout().is_terminal();
        tokio::select! {
            biased;
            walked = walk(&layout, paths, stay) => drop(walked?),
            signal = &mut ended => bail!("ended by {signal}"),
        }
        println!("every step was verified{}", if stay { " up to Ctrl-C" } else { "" });
        return Ok(());
    };
    let mut walks = Vec::new();
    for _ in 0..rounds {
        tokio::select! {
            biased;
            walked = walk(&layout, paths.clone(), false) => walks.push(walked?),
            signal = &mut ended => bail!("ended by {signal}"),
        }
    }
    print_figures(&walks);
    Ok(())
}

/// Waits for SIGTERM or SIGHUP, and for SIGINT.
fn ended_by_signal() -> Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = hang_up.recv() => "SIGHUP",
            _ = interrupt.recv() => "Ctrl-C",
        }
    })
}

/// The whole walk; with `stay` it ends at its height, by Ctrl-C.
async fn walk(layout: &Layout, paths: Paths, stay: bool) -> Result<Vec<Step>> {
    let folder = paths.folder.clone();
    let walk = Walkthrough::start(layout, paths).await?;
    walk.attest()?;
    walk.activate().await?;
    let job = walk.create_instance()?;
    walk.see_login(&job).await?;
    walk.see_heartbeats(&job).await?;
    if stay {
        show_what_to_try(&walk, &folder, &job);
        tokio::signal::ctrl_c().await?;
        return Ok(walk.steps());
    }
    walk.stop_instance(&job)?;
    walk.power_off()
}

/// Prints for every step how long it took: least, median and greatest of all walks.
fn print_figures(walks: &[Vec<Step>]) {
    let steps = walks.first().map_or(0, Vec::len);
    println!("{:>8} {:>8} {:>8}  step ({} walks)", "min s", "median s", "max s", walks.len());
    for step in 0..steps {
        let mut taken: Vec<f64> = walks.iter().map(|walk| seconds_of(walk, step)).collect();
        taken.sort_by(f64::total_cmp);
        let (least, median, greatest) = (taken[0], taken[taken.len() / 2], taken[taken.len() - 1]);
        println!("{least:8.1} {median:8.1} {greatest:8.1}  {}", walks[0][step].name);
    }
}

/// How long one step of a walk took.
fn seconds_of(walk: &[Step], step: usize) -> f64 {
    let before = step.checked_sub(1).map_or_else(Default::default, |before| walk[before].at);
    (walk[step].at - before).as_secs_f64()
}

fn show_what_to_try(walk: &Walkthrough, folder: &Path, job: &str) {
    let [_, owner, customer] = DEV_ACCOUNTS;
    let state = &walk.network.state;
    println!(
        "\nThe network is up until Ctrl-C. In another terminal, try:\n\n\
         export PATH={}:$PATH\n\
         export ALEPH_NETWORK={}\n\
         export ALEPH_KEY={}   # the customer; the owner's is {}\n\
         aleph node status\n\
         aleph node attest {} --release {} --ek-roots {} --pin\n\
         aleph instance show {job}\n\
         aleph instance logs {job} --follow\n\
         tail -f {}\n",
        walk.cli.folder().display(),
        folder.join("client.json").display(),
        customer.key,
        owner.key,
        state.client.node_url,
        state.release.display(),
        state.ek_roots.display(),
        folder.join("machine/console.log").display(),
    );
}
