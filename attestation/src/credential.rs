//! TPM2_MakeCredential in software: a secret that only the TPM with this EK can read, and only if
//! an object of this name is loaded in it.

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher as _, KeyIvInit as _};
use hmac::{Hmac, Mac as _};
use rsa::Oaep;
use rsa::rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::structures::{EkPublic, Name};

/// The length of the seed that keys are derived from: the output of the EK's name algorithm.
const SEED_LEN: usize = 32;

/// A credential as TPM2_ActivateCredential takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The content of a TPM2B_ID_OBJECT: integrity, then the encrypted secret.
    pub blob: Vec<u8>,
    /// The content of a TPM2B_ENCRYPTED_SECRET: the seed under the EK.
    pub encrypted_secret: Vec<u8>,
}

/// Makes the credential for `secret`.
///
/// # Errors
/// When the EK cannot encrypt.
pub fn make_credential(
    ek: &EkPublic,
    object: &Name,
    secret: &[u8; 32],
    rng: &mut impl CryptoRngCore,
) -> Result<Credential, Error> {
    let mut seed = Zeroizing::new([0; SEED_LEN]);
    rng.fill_bytes(seed.as_mut_slice());
    // The label's NUL is part of it.
    let padding = Oaep::new_with_label::<Sha256, _>("IDENTITY\0");
    let encrypted_secret =
        ek.key.encrypt(rng, padding, seed.as_slice()).map_err(Error::Credential)?;

    let storage_key = kdfa(&seed, b"STORAGE", object.as_bytes(), 128)?;
    let mut identity = Vec::with_capacity(34);
    identity.extend_from_slice(&32_u16.to_be_bytes());
    identity.extend_from_slice(secret);
    let cipher = cfb_mode::Encryptor::<Aes128>::new_from_slices(
        storage_key.get(..16).unwrap_or_default(),
        &[0; 16],
    )
    .map_err(|_| Error::KeyLength)?;
    cipher.encrypt(&mut identity);

    let integrity_key = kdfa(&seed, b"INTEGRITY", &[], 256)?;
    let mut integrity =
        Hmac::<Sha256>::new_from_slice(&*integrity_key).map_err(|_| Error::KeyLength)?;
    integrity.update(&identity);
    integrity.update(object.as_bytes());

    let mut blob = 32_u16.to_be_bytes().to_vec();
    blob.extend_from_slice(&integrity.finalize().into_bytes());
    blob.extend_from_slice(&identity);
    Ok(Credential { blob, encrypted_secret })
}

/// One block of the TPM's counter-mode key derivation, enough for up to 256 bits.
fn kdfa(
    seed: &[u8; SEED_LEN],
    label: &[u8],
    context: &[u8],
    bits: u32,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed).map_err(|_| Error::KeyLength)?;
    mac.update(&1_u32.to_be_bytes());
    mac.update(label);
    mac.update(&[0]);
    mac.update(context);
    mac.update(&bits.to_be_bytes());
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}
