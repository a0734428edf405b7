//! The node's side: its TPM, from which evidence comes.
//!
//! There is one [`Tpm`] in a machine and it has one owner. Its two keys stay loaded as long as it
//! lives; every session is flushed after use, because a TPM without a resource manager has room
//! for three. The calls block for as long as the TPM takes, up to seconds on real chips.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ek, nv};
use tss_esapi::attributes::{ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::{CapabilityType, SessionType};
use tss_esapi::handles::{
    AuthHandle, KeyHandle, NvIndexTpmHandle, PcrHandle, SessionHandle, TpmHandle,
};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth};
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    CapabilityData, Data, EccParameter, EccPoint, EccScheme, EncryptedSecret, HashScheme, IdObject,
    KeyDerivationFunctionScheme, Nonce, PcrSelectionList, PcrSelectionListBuilder, PcrSlot, Public,
    PublicBuilder, PublicEccParametersBuilder, SignatureScheme, SymmetricDefinition,
    SymmetricDefinitionObject,
};
use tss_esapi::traits::Marshall as _;
use tss_esapi::{Context, TctiNameConf};
use zeroize::Zeroizing;

use crate::certificate::{INTERMEDIATES_MAX, split_chain};
use crate::chain::{ChainQuote, PCRS_ON_CHAIN, RegistryChallenge};
use crate::digest::{Digest, sha256};
use crate::error::Error;
use crate::eventlog::EVENT_LOG_SIZE_BYTES_MAX;
use crate::evidence::{
    Evidence, EvidenceBody, IdentityDocument, PCRS_QUOTED, PcrValue, QuoteRequest, extra_data,
    pcr_digest,
};
use crate::structures::{AkPublic, EkPublic, Quote};

/// The TPM as a Linux machine shows it, with the kernel's resource manager in between.
pub const DEVICE: &str = "/dev/tpmrm0";
/// Where Linux keeps the firmware's event log.
pub const EVENT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";

const EK_CERTIFICATE_INDEX: u32 = 0x01c0_0002;
const EK_CHAIN_INDICES: std::ops::RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;
/// How often PCRs are read and quoted again when they change in between.
const QUOTE_ATTEMPTS: u32 = 3;

/// The machine's TPM with its endorsement and attestation keys loaded.
pub struct Tpm {
    owner: Mutex<Owner>,
    identity: IdentityDocument,
    event_log: PathBuf,
}

impl Tpm {
    /// Opens the TPM and loads its keys. `tcti` is a device such as [`DEVICE`], or, for tests, a
    /// program's address such as `swtpm:host=127.0.0.1,port=2321`.
    ///
    /// # Errors
    /// When there is no TPM 2.0, or it does not do what a node's TPM must.
    pub fn open(tcti: &str) -> Result<Self, Error> {
        let mut owner = Owner::open(tcti)?;
        let identity = owner.identity()?;
        Ok(Self { owner: Mutex::new(owner), identity, event_log: PathBuf::from(EVENT_LOG) })
    }

    /// Takes the event log from another file than [`EVENT_LOG`].
    #[must_use]
    pub fn with_event_log(self, path: impl Into<PathBuf>) -> Self {
        Self { event_log: path.into(), ..self }
    }

    /// Who this node is.
    pub fn identity(&self) -> &IdentityDocument {
        &self.identity
    }

    /// Answers a verifier that came over the TLS connection with this server key.
    ///
    /// # Errors
    /// When the credential is not for this TPM, or the TPM fails.
    pub fn quote(
        &self,
        request: &QuoteRequest,
        tls_spki_sha256: Digest,
    ) -> Result<Evidence, Error> {
        let mut owner = self.lock();
        let secret = owner.activate(request)?;
        for _ in 0..QUOTE_ATTEMPTS {
            let body = EvidenceBody {
                nonce: request.nonce,
                tls_spki_sha256,
                identity: self.identity.clone(),
                pcrs: owner.read_pcrs()?,
                event_log: read_event_log(&self.event_log)?,
            };
            let signed = extra_data(&request.nonce, &secret, &tls_spki_sha256, &body)?;
            let (quote, signature) = owner.quote(&signed, &PCRS_QUOTED)?;
            if Quote::parse(&quote)?.pcr_digest == pcr_digest(&body.pcrs).0 {
                return Ok(Evidence { body, quote, signature });
            }
        }
        Err(Error::TpmPcrsChange)
    }

    /// Answers a challenge of the registry on chain.
    ///
    /// # Errors
    /// When the TPM fails, or gives something that the contract would refuse.
    pub fn quote_for_chain(&self, challenge: &RegistryChallenge) -> Result<ChainQuote, Error> {
        let (quote, signature) = self.lock().quote(&challenge.extra_data(), &PCRS_ON_CHAIN)?;
        let quote = ChainQuote::from_tpm(quote, &signature)?;
        // A refusal here is for free.
        quote.check(challenge, &AkPublic::parse(&self.identity.ak_public)?.key)?;
        Ok(quote)
    }

    /// Extends a PCR of the SHA-256 bank.
    ///
    /// # Errors
    /// When the PCR does not exist or the TPM fails.
    pub fn extend(&self, pcr: u8, digest: &Digest) -> Result<(), Error> {
        self.lock().extend(pcr, digest)
    }

    fn lock(&self) -> MutexGuard<'_, Owner> {
        // A panic leaves at worst a session loaded, and the next call says so.
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection and the handles on it. Dropping the context flushes them.
struct Owner {
    context: Context,
    ek: KeyHandle,
    ek_public: Vec<u8>,
    ak: KeyHandle,
    ak_public: Vec<u8>,
}

impl Owner {
    fn open(tcti: &str) -> Result<Self, Error> {
        let mut context = connect(tcti)?;
        let ek_template = ek::create_ek_public_from_default_template_2(rsa_2048(), None)
            .map_err(failed("describe the endorsement key"))?;
        let (ek, ek_public) = create_primary(&mut context, ek_template).map_err(failed(
            "create the endorsement key (is the endorsement hierarchy locked by a password?)",
        ))?;
        let ak_template = ak_template().map_err(failed("describe the attestation key"))?;
        let (ak, ak_public) = create_primary(&mut context, ak_template)
            .map_err(failed("create the attestation key (does the TPM know ECDSA P-256?)"))?;
        Ok(Self { context, ek, ek_public, ak, ak_public })
    }

    fn identity(&mut self) -> Result<IdentityDocument, Error> {
        let indices = self.nv_indices()?;
        let ek_certificate = match indices.contains(&EK_CERTIFICATE_INDEX) {
            true => self.read_nv(EK_CERTIFICATE_INDEX)?,
            false => Vec::new(),
        };
        let mut chain = Vec::new();
        for index in indices.into_iter().filter(|index| EK_CHAIN_INDICES.contains(index)) {
            chain.extend(self.read_nv(index)?);
        }
        let mut ek_intermediates = split_chain(&chain);
        ek_intermediates.truncate(INTERMEDIATES_MAX);
        Ok(IdentityDocument {
            node_id: EkPublic::parse(&self.ek_public)?.node_id()?,
            ek_certificate,
            ek_intermediates,
            ek_public: self.ek_public.clone(),
            ak_public: self.ak_public.clone(),
        })
    }

    /// Opens the credential: possible only for the TPM that holds both keys.
    fn activate(&mut self, request: &QuoteRequest) -> Result<Zeroizing<[u8; 32]>, Error> {
        let blob = IdObject::try_from(request.credential_blob.as_slice());
        let blob = blob.map_err(|_| Error::TpmCredential)?;
        let seed = EncryptedSecret::try_from(request.encrypted_secret.as_slice());
        let seed = seed.map_err(|_| Error::TpmCredential)?;
        let (ak, ek) = (self.ak, self.ek);
        let secret = self.with_ek_policy(|context, policy| {
            context.execute_with_sessions(
                (Some(AuthSession::Password), Some(policy), None),
                |context| context.activate_credential(ak, ek, blob, seed),
            )
        })?;
        let secret = secret.map_err(|_| Error::TpmCredential)?;
        let secret = <[u8; 32]>::try_from(secret.as_slice()).map_err(|_| Error::TpmCredential)?;
        Ok(Zeroizing::new(secret))
    }

    /// Runs `use_key` with a session that may use the endorsement key, and flushes the session
    /// whatever happens.
    fn with_ek_policy<T>(
        &mut self,
        use_key: impl FnOnce(&mut Context, AuthSession) -> T,
    ) -> Result<T, Error> {
        let session = self
            .context
            .execute_without_session(|context| {
                context.start_auth_session(
                    None,
                    None,
                    None,
                    SessionType::Policy,
                    SymmetricDefinition::AES_128_CFB,
                    HashingAlgorithm::Sha256,
                )
            })
            .map_err(failed("start a session"))?
            .ok_or(Error::TpmSession)?;
        let authorised = authorise_ek_policy(&mut self.context, session);
        let used = authorised.map(|()| use_key(&mut self.context, session));
        self.context
            .flush_context(SessionHandle::from(session).into())
            .map_err(failed("flush a session"))?;
        used.map_err(failed(
            "use the endorsement key (is the endorsement hierarchy locked by a password?)",
        ))
    }

    fn read_pcrs(&mut self) -> Result<Vec<PcrValue>, Error> {
        let (_, read, values) = self
            .context
            .execute_without_session(|context| context.pcr_read(selection(&PCRS_QUOTED)?))
            .map_err(failed("read the PCRs"))?;
        let values: Vec<PcrValue> = PCRS_QUOTED
            .into_iter()
            .zip(values.value())
            .filter_map(|(pcr, value)| {
                let value = <[u8; 32]>::try_from(value.as_slice()).ok()?;
                Some(PcrValue { pcr, value: value.into() })
            })
            .collect();
        let is_complete = selection(&PCRS_QUOTED).is_ok_and(|wanted| wanted == read);
        if !is_complete || values.len() != PCRS_QUOTED.len() {
            return Err(Error::TpmBank);
        }
        Ok(values)
    }

    fn quote(&mut self, signed: &Digest, pcrs: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let ak = self.ak;
        let mut quote = || {
            let data = Data::try_from(signed.0.as_slice())?;
            let (quote, signature) =
                self.context.execute_with_session(Some(AuthSession::Password), |context| {
                    context.quote(ak, data, SignatureScheme::Null, selection(pcrs)?)
                })?;
            Ok((quote.marshall()?, signature.marshall()?))
        };
        quote().map_err(failed("quote the PCRs"))
    }

    fn extend(&mut self, pcr: u8, digest: &Digest) -> Result<(), Error> {
        let mut extend = || {
            let handle = PcrHandle::try_from(u32::from(pcr))?;
            let mut values = tss_esapi::structures::DigestValues::new();
            values.set(HashingAlgorithm::Sha256, digest.0.as_slice().try_into()?);
            self.context.execute_with_session(Some(AuthSession::Password), |context| {
                context.pcr_extend(handle, values)
            })
        };
        extend().map_err(failed("extend a PCR"))
    }

    fn nv_indices(&mut self) -> Result<Vec<u32>, Error> {
        const FIRST: u32 = 0x0100_0000;
        const COUNT: u32 = 0x400;
        let (capability, _) = self
            .context
            .execute_without_session(|context| {
                context.get_capability(CapabilityType::Handles, FIRST, COUNT)
            })
            .map_err(failed("list its storage"))?;
        let CapabilityData::Handles(handles) = capability else { return Ok(Vec::new()) };
        Ok(handles.iter().map(|handle| u32::from(*handle)).collect())
    }

    fn read_nv(&mut self, index: u32) -> Result<Vec<u8>, Error> {
        let mut read = || {
            let handle = NvIndexTpmHandle::new(index)?;
            let auth = self.context.execute_without_session(|context| {
                context.tr_from_tpm_public(TpmHandle::NvIndex(handle))
            })?;
            self.context.execute_with_nullauth_session(|context| {
                nv::read_full(context, NvAuth::NvIndex(auth.into()), handle)
            })
        };
        read().map_err(failed("read a certificate of the endorsement key"))
    }
}

fn connect(tcti: &str) -> Result<Context, Error> {
    let is_device = tcti.starts_with('/');
    if is_device && !Path::new(tcti).exists() {
        return Err(Error::TpmMissing { device: tcti.to_owned() });
    }
    let name = if is_device { format!("device:{tcti}") } else { tcti.to_owned() };
    TctiNameConf::from_str(&name)
        .and_then(Context::new)
        .map_err(|source| Error::TpmOpen { tcti: tcti.to_owned(), source })
}

fn create_primary(
    context: &mut Context,
    template: Public,
) -> tss_esapi::Result<(KeyHandle, Vec<u8>)> {
    let created = context.execute_with_session(Some(AuthSession::Password), |context| {
        context.create_primary(Hierarchy::Endorsement, template, None, None, None, None)
    })?;
    Ok((created.key_handle, created.out_public.marshall()?))
}

/// The attestation key's template. The TPM derives the key from it and from the hierarchy's seed,
/// so that every boot gives the same key without storing one.
fn ak_template() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_sign_encrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new()
        .with_symmetric(SymmetricDefinitionObject::Null)
        .with_ecc_scheme(EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)))
        .with_curve(EccCurve::NistP256)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .with_is_signing_key(true)
        .with_restricted(true)
        .build()?;
    let ours = sha256(b"aleph-node attestation key v1");
    let unique = EccPoint::new(
        EccParameter::try_from(ours.0.as_slice())?,
        EccParameter::try_from([0; 32].as_slice())?,
    );
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(unique)
        .build()
}

fn authorise_ek_policy(context: &mut Context, session: AuthSession) -> tss_esapi::Result<()> {
    let (attributes, mask) = SessionAttributesBuilder::new().with_continue_session(true).build();
    context.tr_sess_set_attributes(session, attributes, mask)?;
    let policy = PolicySession::try_from(session)?;
    context.execute_with_session(Some(AuthSession::Password), |context| {
        context.policy_secret(
            policy,
            AuthHandle::Endorsement,
            Nonce::default(),
            tss_esapi::structures::Digest::default(),
            Nonce::default(),
            None,
        )
    })?;
    Ok(())
}

fn selection(pcrs: &[u8]) -> tss_esapi::Result<PcrSelectionList> {
    let slots: Vec<PcrSlot> = pcrs
        .iter()
        .map(|pcr| PcrSlot::try_from(1_u32.wrapping_shl(u32::from(*pcr))))
        .collect::<Result<_, _>>()?;
    PcrSelectionListBuilder::new().with_selection(HashingAlgorithm::Sha256, &slots).build()
}

fn rsa_2048() -> AsymmetricAlgorithmSelection {
    AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048)
}

/// A machine without a log is for the verifier to refuse, with a reason.
fn read_event_log(path: &Path) -> Result<Vec<u8>, Error> {
    let log = match std::fs::read(path) {
        Ok(log) => log,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::EventLogRead { path: path.to_owned(), source }),
    };
    if log.len() > EVENT_LOG_SIZE_BYTES_MAX {
        return Err(Error::EventLogSize { path: path.to_owned(), size_bytes: log.len() });
    }
    Ok(log)
}

fn failed(doing: &'static str) -> impl FnOnce(tss_esapi::Error) -> Error {
    move |source| Error::Tpm { doing, source }
}
