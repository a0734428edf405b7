//! The command line.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{
    config::{self, DEFAULT_TOML, Setting},
    exit::Ended,
    run, telemetry,
};

/// The agent of an Aleph node.
#[derive(Debug, Parser)]
#[command(name = "aleph-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do the work of a node, until SIGTERM.
    ///
    /// Ends with 0 when asked to stop, 78 when the configuration is wrong, 69 when something is
    /// missing that a restart does not bring back, and 1 when a restart may help.
    Run {
        /// The configuration; `config print-default` shows what it may say.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where database, blobs, keys and instances' disks are.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Overrules one key of the configuration; may be repeated.
        #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = Setting::from_flag)]
        set: Vec<Setting>,
    },
    /// Check or show configurations.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read a configuration, together with the environment, as `run` would.
    Check {
        /// The configuration.
        file: PathBuf,
    },
    /// Print every key at its default, with what it is for.
    PrintDefault,
}

/// Runs the program with the arguments of the process.
pub fn run_command() -> ExitCode {
    let cli = match Cli::try_parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, errors to standard error; neither can be reported
            // if that fails.
            let _ = error.print();
            let wrong = error.use_stderr();
            return if wrong { Ended::Config(error.into()).code() } else { ExitCode::SUCCESS };
        }
    };
    let ended = match cli.command {
        Command::Run { config, data_dir, set } => start(&config, data_dir, set),
        Command::Config(ConfigCommand::Check { file }) => check(&file),
        Command::Config(ConfigCommand::PrintDefault) => print(DEFAULT_TOML),
        Command::Version => print(concat!("aleph-node ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    match &ended {
        Ended::Stopped => {}
        Ended::Config(error) | Ended::Unavailable(error) | Ended::Failed(error) => {
            eprintln!("aleph-node: {error:#}");
        }
    }
    ended.code()
}

fn start(file: &std::path::Path, data_dir: PathBuf, flags: Vec<Setting>) -> Ended {
    let mut settings = environment();
    settings.extend(flags);
    let config = match config::load(file, &settings) {
        Ok(config) => config,
        Err(error) => return Ended::Config(error.into()),
    };
    if let Err(error) = telemetry::start(&config.log) {
        return Ended::Config(error);
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.clamp(WORKERS_MIN, WORKERS_MAX))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .context("cannot start the run time");
    match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run::run(&config, &data_dir));
            // A blocking thread may be in the middle of a disk that does not answer.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            ended
        }
        Err(error) => Ended::Failed(error),
    }
}

fn check(file: &std::path::Path) -> Ended {
    match config::load(file, &environment()) {
        Ok(_) => print(&format!("{} is a valid configuration\n", file.display())),
        Err(error) => Ended::Config(error.into()),
    }
}

fn environment() -> Vec<Setting> {
    let text = |text: OsString| text.into_string().ok();
    Setting::from_env(
        std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))),
    )
}

fn print(text: &str) -> Ended {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ended::Stopped,
        Err(error) => Ended::Failed(error.into()),
    }
}

/// With one, a task that computes for a moment delays the answer to a health check.
const WORKERS_MIN: usize = 2;
/// The agent waits more than it computes; every further thread costs memory.
const WORKERS_MAX: usize = 8;
/// Disk work: uploads, images that are checked, console pages, each bounded by its own limits.
const BLOCKING_THREADS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
