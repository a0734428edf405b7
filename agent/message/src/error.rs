use aleph_types::{Address, Digest, Resources, signature::SignatureError};

/// The first rule that a message breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The envelope or its content is longer than any message may be.
    #[error("the {what} has {size_bytes} bytes, at most {size_bytes_max} are allowed")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// What there was.
        size_bytes: usize,
        /// What is allowed.
        size_bytes_max: usize,
    },
    /// The bytes are not an envelope.
    #[error("not a message envelope: send the nine fields of the protocol as one JSON object")]
    Envelope(#[source] serde_json::Error),
    /// A field of the envelope has a value that no message has.
    #[error("the envelope's {field} is not valid: {detail}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The content does not travel with the envelope.
    #[error("the content is not in the envelope: send it with item_type \"inline\"")]
    NotInline,
    /// The item hash is not that of the content.
    #[error("item_hash is {stated}, the content's SHA-256 is {found}: sign the message again")]
    ItemHash {
        /// What the envelope says.
        stated: String,
        /// What the content gives.
        found: Digest,
    },
    /// The signature follows the rules of a chain that this node does not know.
    #[error("signatures of chain {0:?} are not known here: sign with an EVM account")]
    Chain(String),
    /// The signature cannot be read.
    #[error("the signature cannot be used")]
    Signature(#[source] SignatureError),
    /// Another account signed.
    #[error("signed by {signer}, not by the sender {sender}: sign with the sender's key")]
    Signer {
        /// Who the envelope says signed.
        sender: Address,
        /// Who signed.
        signer: Address,
    },
    /// Another kind of message is needed.
    #[error("the message is of type {0}; a job's manifest is an INSTANCE message")]
    NotInstance(&'static str),
    /// The content is not that of an INSTANCE message.
    #[error("the content is not that of an INSTANCE message")]
    Content(#[source] serde_json::Error),
    /// The sender speaks for somebody else.
    #[error("{sender} signed for {address}: the sender and the content's address must be the same")]
    Permission {
        /// Who signed.
        sender: Address,
        /// For whom the content speaks.
        address: String,
    },
    /// A resource lies outside what any machine may have.
    #[error("{name} is {value}, allowed are {min} to {max}")]
    OutOfBounds {
        /// Which resource.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// Something is asked for that this node does not offer.
    #[error("{0} is not offered by this node: leave it out")]
    NotOffered(&'static str),
    /// The root file system is not named by a CID.
    #[error(
        "rootfs.parent.ref is {0:?}: name the image by its CID (CIDv1, raw, SHA-256), as the \
         upload to a node answers it"
    )]
    Rootfs(String),
    /// The job names another manifest.
    #[error("the job's manifest is {wanted}, this message is {found}")]
    OtherManifest {
        /// What the job names.
        wanted: Digest,
        /// What the message is.
        found: Digest,
    },
    /// The job was created by somebody else than who signed the manifest: nobody may run a machine
    /// in another's name.
    #[error(
        "the job's customer is {customer}, its manifest is signed by {sender}: sign it yourself"
    )]
    OtherCustomer {
        /// Who created the job.
        customer: Address,
        /// Who signed.
        sender: Address,
    },
    /// The job and its manifest disagree.
    #[error("the job pays for {job}, its manifest asks for {manifest}: create the job again")]
    ResourcesDiffer {
        /// What the chain says.
        job: Resources,
        /// What the message says.
        manifest: Resources,
    },
}
