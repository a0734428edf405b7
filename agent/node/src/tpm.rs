//! The TPM's one owner: a thread of its own, because every command blocks.

use std::{sync::Arc, thread};

use aleph_attestation::{
    Error as AttestationError,
    evidence::{Evidence, IdentityDocument, QuoteRequest},
    tpm::Tpm,
};
use aleph_types::Digest;
use anyhow::Context;
use tokio::sync::{mpsc, oneshot};

/// Quotes that wait for the TPM. Each takes it up to a second, and who asked waits a minute.
const QUOTES_WAITING_MAX: usize = 16;

/// The way to the TPM. The thread ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct TpmHandle {
    identity: Arc<IdentityDocument>,
    quotes: mpsc::Sender<QuoteJob>,
}

#[derive(Debug)]
struct QuoteJob {
    request: QuoteRequest,
    answer: oneshot::Sender<Result<Evidence, AttestationError>>,
}

/// Why there is no quote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuoteError {
    /// Too many wait already.
    #[error("{QUOTES_WAITING_MAX} quotes wait for the TPM already")]
    Busy,
    /// The thread has ended, which it does not unless it panicked.
    #[error("the TPM is no longer served; the agent has to be restarted")]
    Gone,
    /// The TPM or the request is at fault.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
}

impl TpmHandle {
    /// Opens the TPM, which takes seconds on some machines.
    ///
    /// Quotes will name the TLS key with this hash, and no other, whoever asks.
    pub(crate) async fn open(tcti: String, tls_spki_sha256: Digest) -> anyhow::Result<Self> {
        let (opened_sender, opened) = oneshot::channel();
        let (quotes, jobs) = mpsc::channel(QUOTES_WAITING_MAX);
        thread::Builder::new()
            .name("tpm".to_owned())
            .spawn(move || match Tpm::open(&tcti) {
                Ok(tpm) => {
                    if opened_sender.send(Ok(tpm.identity().clone())).is_ok() {
                        serve(&tpm, jobs, tls_spki_sha256);
                    }
                }
                // Nobody waits any more only if the agent is stopping.
                Err(error) => drop(opened_sender.send(Err(error))),
            })
            .context("cannot start the TPM's thread")?;
        let identity = opened.await.context("the TPM's thread ended")??;
        Ok(Self { identity: Arc::new(identity), quotes })
    }

    /// Who this machine is.
    pub(crate) fn identity(&self) -> &IdentityDocument {
        &self.identity
    }

    /// Evidence for a verifier.
    pub(crate) async fn quote(&self, request: QuoteRequest) -> Result<Evidence, QuoteError> {
        let (answer, answered) = oneshot::channel();
        self.quotes.try_send(QuoteJob { request, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => QuoteError::Busy,
            mpsc::error::TrySendError::Closed(_) => QuoteError::Gone,
        })?;
        Ok(answered.await.map_err(|_| QuoteError::Gone)??)
    }
}

fn serve(tpm: &Tpm, mut jobs: mpsc::Receiver<QuoteJob>, tls_spki_sha256: Digest) {
    while let Some(QuoteJob { request, answer }) = jobs.blocking_recv() {
        // Who has given up is not worth a second of the TPM.
        if !answer.is_closed() {
            drop(answer.send(tpm.quote(&request, tls_spki_sha256)));
        }
    }
}
