//! Everything that can go wrong, except a verdict: a refusal is an answer, not an error.

use aleph_types::wire::WireError;
use thiserror::Error as ThisError;

/// What failed, and what to do about it.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The release manifest is larger than any real one.
    #[error(
        "the release manifest has {size_bytes} bytes, the limit is {size_bytes_max}: is it the right file?"
    )]
    ReleaseSize {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        size_bytes_max: usize,
    },
    /// The release manifest is not the JSON that this version knows.
    #[error("the release manifest cannot be read: give the release.json of the image")]
    ReleaseSyntax(#[source] serde_json::Error),
    /// The release manifest has another format.
    #[error("the release manifest has format {found}, this version knows {known}: update aleph")]
    ReleaseFormat {
        /// The manifest's format.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// The release manifest cannot identify an image.
    #[error("the release manifest has no value for PCR {pcr}: build the image again")]
    ReleasePcrMissing {
        /// The PCR.
        pcr: u8,
    },
    /// The release manifest contradicts itself.
    #[error(
        "the release manifest's events for PCR {pcr} do not give its value: build the image again"
    )]
    ReleaseEvents {
        /// The PCR.
        pcr: u8,
    },
    /// A unified kernel image has a section twice, and only one of them would be measured.
    #[error("the image has two sections {section}: build it with one")]
    SectionTwice {
        /// The section's name.
        section: &'static str,
    },
    /// Bytes are not the structure that they should be.
    #[error("the {what} is malformed at byte {offset}: {problem}")]
    Malformed {
        /// The structure.
        what: &'static str,
        /// Where reading stopped.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A value has no wire form, or bytes are none.
    #[error("not evidence of this version: {0}")]
    Wire(#[from] WireError),
    /// Bytes that decode but are not what encoding gives.
    #[error("not evidence of this version: it is written in a way that no node writes")]
    WireForm,
    /// The endorsement key cannot encrypt.
    #[error("no credential can be made for the endorsement key: is it a TPM's?")]
    Credential(#[source] rsa::Error),
    /// A derived key has a length that its algorithm does not take; this cannot happen.
    #[error("a derived key has the wrong length: please report this")]
    KeyLength,
    /// A certificate is larger than any real one.
    #[error("a certificate has {size_bytes} bytes, the limit is {size_bytes_max}")]
    CertificateSize {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        size_bytes_max: usize,
    },
    /// Bytes are no certificate.
    #[error("a certificate is malformed")]
    CertificateSyntax(#[source] der::Error),
    /// A certificate must not be where it is.
    #[error("the certificate of {subject} is refused: {problem}")]
    CertificateRefused {
        /// Whose it is.
        subject: String,
        /// Why.
        problem: &'static str,
    },
    /// No certificate of the issuer is known.
    #[error(
        "issued by {issuer}, which is not among the trusted roots: add its certificate if you trust it"
    )]
    CertificateIssuer {
        /// The issuer.
        issuer: String,
    },
    /// The issuer of that name has another key.
    #[error(
        "the certificate of {subject} was not signed by the {issuer} among the trusted roots, but by another of that name"
    )]
    CertificateSignature {
        /// Whose it is.
        subject: String,
        /// Who should have signed.
        issuer: String,
    },
    /// A file of roots is not PEM.
    #[error("a file of roots is not PEM: give certificates as -----BEGIN CERTIFICATE-----")]
    RootsPem,
    /// The registry on chain would refuse a quote.
    #[error("the quote is not one that the registry takes: {problem}")]
    ChainQuote {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no TPM.
    #[cfg(feature = "tpm")]
    #[error(
        "there is no TPM 2.0 at {device}: switch the TPM (fTPM, PTT) on in the firmware's setup, or fit a module"
    )]
    TpmMissing {
        /// Where it should be.
        device: String,
    },
    /// The TPM does not answer.
    #[cfg(feature = "tpm")]
    #[error("the TPM at {tcti} cannot be opened: is another program using it?")]
    TpmOpen {
        /// Where it is.
        tcti: String,
        /// What it said.
        #[source]
        source: tss_esapi::Error,
    },
    /// The TPM refuses a command.
    #[cfg(feature = "tpm")]
    #[error(
        "the TPM did not {doing}: if this stays after a restart, clear the TPM in the firmware's setup"
    )]
    Tpm {
        /// What it was asked to do.
        doing: &'static str,
        /// What it said.
        #[source]
        source: tss_esapi::Error,
    },
    /// The TPM gave no session though it said that it did.
    #[cfg(feature = "tpm")]
    #[error("the TPM gave no session: restart the machine")]
    TpmSession,
    /// A credential is not for this TPM's keys.
    #[cfg(feature = "tpm")]
    #[error("the credential is not for this node: fetch its identity again and make a new one")]
    TpmCredential,
    /// The PCRs of the SHA-256 bank cannot all be read.
    #[cfg(feature = "tpm")]
    #[error("the TPM has no SHA-256 bank: switch it on in the firmware's setup")]
    TpmBank,
    /// The PCRs changed during every attempt to quote them.
    #[cfg(feature = "tpm")]
    #[error("the PCRs change while they are quoted: ask again")]
    TpmPcrsChange,
    /// The event log is there but cannot be read.
    #[cfg(feature = "tpm")]
    #[error("the event log {} cannot be read: mount securityfs and run as root", path.display())]
    EventLogRead {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The event log is larger than any real one.
    #[cfg(feature = "tpm")]
    #[error("the event log {} has {size_bytes} bytes, which no verifier takes", path.display())]
    EventLogSize {
        /// The file.
        path: std::path::PathBuf,
        /// Its size.
        size_bytes: usize,
    },
}
