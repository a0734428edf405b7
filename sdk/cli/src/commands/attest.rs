//! `aleph node attest` and `aleph attest verify`.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use aleph_attestation::{
    evidence::Transcript, release::ReleaseManifest, roots::Roots, verdict::Verdict,
    verify::verify_encoded,
};
use aleph_sdk::{NodeClient, attest};
use aleph_types::wire::{self, Wire};
use anyhow::{Context as _, Result, anyhow, bail};
use tracing::warn;

use crate::{
    args::{AttestArguments, Policy},
    context::Context,
};

/// The evidence does not show what it should.
#[derive(Debug)]
pub(crate) struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the attestation is refused: do not trust this machine")
    }
}

impl std::error::Error for Refused {}

pub(crate) async fn attest_node(context: &Context, arguments: &AttestArguments) -> Result<()> {
    let AttestArguments { url, policy, node_id, save, pin } = arguments;
    let (release, roots) = read_policy(policy)?;
    let node = NodeClient::new(url)?;
    // Only who pins needs a network; who has one is told when it is another node at its address.
    let mut config = match pin {
        true => Some(context.config()?),
        false => context.config().ok(),
    };
    let attested = attest(&node, &release, &roots).await?;
    if let Some(path) = save {
        fs::write(path, wire::encode(&attested.transcript)?)
            .with_context(|| path.display().to_string())?;
    }
    report(context, &attested.verdict)?;
    let facts = attested.verdict.node.as_ref().context("the verdict names no node")?;
    if let Some(wanted) = node_id.filter(|wanted| *wanted != facts.node_id) {
        return Err(anyhow!(Refused).context(format!("{url} is another node than {wanted}")));
    }
    let Some(config) = &mut config else { return Ok(()) };
    if node_id.is_some() {
        // Named on purpose: it may take another one's place.
        config.node_id = *node_id;
    }
    if *pin || config.node_url.trim_end_matches('/') == node.url() {
        config.pin(node.url(), facts.node_id, facts.tls_spki_sha256.0)?;
    }
    match pin {
        true => Ok(config.write(&context.network)?),
        false => Ok(()),
    }
}

pub(crate) fn verify_file(context: &Context, file: &Path, policy: &Policy) -> Result<()> {
    let (release, roots) = read_policy(policy)?;
    let bytes = read_limited(file, Transcript::SIZE_BYTES_MAX)?;
    warn!("this counts only if you saved the file yourself: whoever wrote it can make it up");
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs());
    report(context, &verify_encoded(&bytes, &release, &roots, now_s))
}

fn report(context: &Context, verdict: &Verdict) -> Result<()> {
    context.output.print(verdict, ToString::to_string)?;
    if verdict.accepted {
        return Ok(());
    }
    Err(Refused.into())
}

fn read_policy(policy: &Policy) -> Result<(ReleaseManifest, Roots)> {
    let manifest = fs::read(&policy.release)
        .with_context(|| format!("release manifest {}", policy.release.display()))?;
    let release = ReleaseManifest::from_json(&manifest)
        .with_context(|| policy.release.display().to_string())?;
    let mut roots = Roots::new();
    let folder = &policy.ek_roots;
    let entries = fs::read_dir(folder).with_context(|| format!("EK roots {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pem" || extension == "crt") {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            roots.add_pem(&bytes).with_context(|| path.display().to_string())?;
        }
    }
    if roots.is_empty() {
        bail!("{} holds no certificate (*.pem, *.crt)", folder.display());
    }
    Ok((release, roots))
}

fn read_limited(path: &Path, size_bytes_max: usize) -> Result<Vec<u8>> {
    let size_bytes = fs::metadata(path).with_context(|| path.display().to_string())?.len();
    if size_bytes > size_bytes_max as u64 {
        bail!("{}: {size_bytes} bytes are too many for evidence", path.display());
    }
    fs::read(path).with_context(|| path.display().to_string())
}
