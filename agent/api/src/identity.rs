use std::sync::Arc;

use aleph_types::Digest;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use sha2::{Digest as _, Sha256};

use crate::ApiError;

/// The TLS key of one run of the agent, with a certificate that it signed itself.
///
/// The key never leaves the process. Nobody vouches for the certificate: a client trusts the key
/// because the TPM's quote names it.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    spki_sha256: Digest,
}

impl Identity {
    /// Makes a fresh P-256 key and its certificate.
    pub fn generate() -> Result<Self, ApiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(ApiError::Certificate)?;
        let mut params = CertificateParams::new(vec![CERTIFICATE_NAME.to_owned()])
            .map_err(ApiError::Certificate)?;
        params.distinguished_name.push(DnType::CommonName, CERTIFICATE_NAME);
        let certificate = params.self_signed(&key).map_err(ApiError::Certificate)?;
        Ok(Self {
            certificate: certificate.into(),
            spki_sha256: Digest(Sha256::digest(key.subject_public_key_info()).into()),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// The SHA-256 of the public key, as SubjectPublicKeyInfo in DER: what a quote binds.
    pub fn spki_sha256(&self) -> Digest {
        self.spki_sha256
    }

    /// The certificate that clients see, in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub(crate) fn server_config(self) -> Result<Arc<ServerConfig>, ApiError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ApiError::Tls)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], self.key)
            .map_err(ApiError::Tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("spki_sha256", &self.spki_sha256).finish_non_exhaustive()
    }
}

/// Every node's certificate has this name: names prove nothing here, keys do.
const CERTIFICATE_NAME: &str = "aleph-node";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_has_its_own_key() {
        let [a, b] = [Identity::generate().unwrap(), Identity::generate().unwrap()];
        assert_ne!(a.spki_sha256(), b.spki_sha256());
        assert_ne!(a.certificate_der(), b.certificate_der());
        a.server_config().unwrap();
    }

    #[test]
    fn the_key_is_not_printed() {
        let identity = Identity::generate().unwrap();
        let text = format!("{identity:?}");
        assert!(text.starts_with("Identity { spki_sha256: Digest(") && text.ends_with(".. }"));
    }
}
