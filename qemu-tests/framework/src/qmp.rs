//! QEMU's monitor (QMP): JSON, a line each way.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long QEMU may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Has QEMU carry out one command.
pub(crate) fn execute(socket: &Path, command: &str) -> Result<Value> {
    let stream = UnixStream::connect(socket)
        .with_context(|| format!("QEMU's monitor at {} is gone", socket.display()))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    lines.next().context("QEMU's monitor sent no greeting")??;
    answer(&stream, &mut lines, "qmp_capabilities")?;
    answer(&stream, &mut lines, command)
}

fn answer(
    mut stream: &UnixStream,
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    command: &str,
) -> Result<Value> {
    writeln!(stream, "{}", json!({ "execute": command }))?;
    loop {
        let line = lines.next().with_context(|| format!("no answer to {command}"))??;
        let mut answer: Value = serde_json::from_str(&line)?;
        if let Some(error) = answer.get("error") {
            bail!("QEMU refused {command}: {error}");
        }
        // Events come in between.
        if let Some(result) = answer.get_mut("return") {
            return Ok(result.take());
        }
    }
}
