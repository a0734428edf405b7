//! Log lines: JSON for machines, coloured for people.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Sends every log line of the process to standard error.
pub(crate) fn start(config: &Log) -> anyhow::Result<()> {
    let filter: EnvFilter = config.filter.parse().context("log.filter")?;
    let pretty = match config.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if pretty {
        lines.with_target(false).with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).try_init()
    };
    started.map_err(anyhow::Error::from_boxed).context("cannot start logging")?;
    report_panics();
    Ok(())
}

/// A panic is a log line too: on an appliance nobody reads standard error otherwise.
fn report_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("no words");
        tracing::error!(place, words, "a thread panicked");
        before(panic);
    }));
}
