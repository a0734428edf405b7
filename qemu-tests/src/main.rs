//! `make run`: shows everything that a node does for a customer, each step verified.

#![forbid(unsafe_code)]

use std::io::IsTerminal;

use aleph_devnet::{DEV_ACCOUNTS, Layout};
use aleph_qemu_tests::{Paths, Step, Walkthrough};
use anyhow::{Result, bail};
use clap::Parser;
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
    let Some(rounds) = arguments.rounds else {
        let stay = !arguments.once && std::io::stdout().is_terminal();
        walk(&layout, paths, stay).await?;
        println!("every step was verified");
        return Ok(());
    };
    let mut walks = Vec::new();
    for _ in 0..rounds {
        walks.push(walk(&layout, paths.clone(), false).await?);
    }
    print_figures(&walks);
    Ok(())
}

/// The whole walk; with `stay` it pauses at its height until Ctrl-C.
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

fn show_what_to_try(walk: &Walkthrough, folder: &std::path::Path, job: &str) {
    let [_, owner, customer] = DEV_ACCOUNTS;
    let state = &walk.network.state;
    println!(
        "\nThe network is up until Ctrl-C. In another terminal, try:\n\n\
         export ALEPH_NETWORK={}\n\
         export ALEPH_KEY={}   # the customer; the owner's is {}\n\
         aleph node status\n\
         aleph node attest {} --release {} --ek-roots {}\n\
         aleph instance show {job}\n\
         aleph instance logs {job} --follow\n\
         tail -f {}\n",
        folder.join("client.json").display(),
        customer.key,
        owner.key,
        state.client.node_url,
        state.release.display(),
        state.ek_roots.display(),
        folder.join("machine/console.log").display(),
    );
}
