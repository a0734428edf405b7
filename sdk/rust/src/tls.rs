//! TLS to nodes, whose certificates are their own: a node is known by its key, which its
//! attestation is bound to, not by a name that someone certified.

use std::sync::{Arc, OnceLock};

use rustls::{
    DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

/// The text of the error that tells a changed key from other failures of TLS.
pub(crate) const KEY_CHANGED: &str = "the node's key is not the pinned one";

/// The SHA-256 of the key in the certificate that the node showed, once it showed one.
pub(crate) type SeenKey = Arc<OnceLock<[u8; 32]>>;

/// The TLS configuration for one node; `seen` learns the key of the first handshake, and every
/// later one must show the same, or the pinned one where there is a pin.
pub(crate) fn client_config(
    pin: Option<[u8; 32]>,
    seen: SeenKey,
) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    if let Some(pin) = pin {
        // A fresh cell takes the pin as the key that was seen first.
        let _ = seen.set(pin);
    }
    let verifier = Arc::new(KeyVerifier { provider: provider.clone(), seen });
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// The SHA-256 of a certificate's SubjectPublicKeyInfo.
pub(crate) fn key_sha256(certificate: &[u8]) -> Option<[u8; 32]> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate.subject_public_key_info.to_der().ok()?;
    Some(Sha256::digest(key).into())
}

#[derive(Debug)]
struct KeyVerifier {
    provider: Arc<CryptoProvider>,
    seen: SeenKey,
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = key_sha256(end_entity)
            .ok_or(Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        if *self.seen.get_or_init(|| shown) != shown {
            return Err(Error::General(KEY_CHANGED.into()));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // The client offers 1.3 only.
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
