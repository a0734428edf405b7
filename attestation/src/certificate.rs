//! Certificates of endorsement keys, and the path from one to a root that the caller trusts.
//!
//! General-purpose verifiers refuse these certificates: their subject alternative name is critical
//! and holds a directory name, and their purpose is the TPM's own. So the path is checked here, by
//! the rules of RFC 5280 that apply: names chain, signatures verify, issuers are authorities that
//! may sign certificates, path lengths hold, no critical extension is left unread, and nothing is
//! out of date when the caller says what time it is.

use der::asn1::{ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use der::{Decode as _, Reader as _, SliceReader};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::error::Error;
use crate::roots::Roots;
use crate::text::printable;

/// The largest certificate that is read.
pub const CERTIFICATE_SIZE_BYTES_MAX: usize = 8 << 10;
/// The most certificates between an endorsement key and a root.
pub const INTERMEDIATES_MAX: usize = 4;
/// The most signatures that are tried for one path.
const SIGNATURES_MAX: u32 = 24;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const EK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");
const TPM_MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");
const TPM_MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.2");
const TPM_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.3");

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const CURVE_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const CURVE_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// A certificate with the bytes that its issuer signed.
#[derive(Clone, Debug)]
pub struct Certificate {
    parsed: x509_cert::Certificate,
    signed: Vec<u8>,
}

/// The path that was found from an endorsement key to a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EkPath {
    /// The subjects of the issuers, the root last.
    pub issuers: Vec<String>,
    /// What the certificate says about the TPM.
    pub tpm: TpmModel,
}

/// The TPM's make, from the certificate's subject alternative name; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TpmModel {
    /// `id:` and the vendor's identifier in hexadecimal.
    pub manufacturer: String,
    /// The model.
    pub model: String,
    /// `id:` and the firmware version at the time of issue.
    pub version: String,
}

impl Certificate {
    /// Reads exactly one DER certificate.
    ///
    /// # Errors
    /// When it is too large or malformed.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > CERTIFICATE_SIZE_BYTES_MAX {
            return Err(Error::CertificateSize {
                size_bytes: bytes.len(),
                size_bytes_max: CERTIFICATE_SIZE_BYTES_MAX,
            });
        }
        let parsed = x509_cert::Certificate::from_der(bytes).map_err(Error::CertificateSyntax)?;
        let signed = signed_part(bytes).map_err(Error::CertificateSyntax)?;
        Ok(Self { parsed, signed })
    }

    /// Reads a certificate as TPMs keep it: some put a five-byte header before it, some leave the
    /// rest of their storage area after it.
    ///
    /// # Errors
    /// When there is no certificate.
    pub fn from_nv(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_der(certificate_in_nv(bytes).map_err(Error::CertificateSyntax)?)
    }

    /// Whom it is for.
    pub fn subject(&self) -> String {
        let subject = &self.parsed.tbs_certificate.subject;
        if subject.is_empty() { "(no subject)".to_owned() } else { printable(&subject.to_string()) }
    }

    /// Who issued it.
    pub fn issuer(&self) -> String {
        printable(&self.parsed.tbs_certificate.issuer.to_string())
    }

    /// Its key, if that is an RSA key in any of the forms that endorsement certificates use.
    pub fn rsa_key(&self) -> Option<RsaPublicKey> {
        let spki = &self.parsed.tbs_certificate.subject_public_key_info;
        let rsa = [RSA_ENCRYPTION, RSAES_OAEP].contains(&spki.algorithm.oid);
        rsa.then(|| rsa_key(spki)).flatten()
    }

    /// What it says about the TPM.
    pub fn tpm_model(&self) -> TpmModel {
        let mut model = TpmModel::default();
        let Ok(Some(names)) = self.extension::<SubjectAltName>(SUBJECT_ALT_NAME) else {
            return model;
        };
        let directory_names = names.0.iter().filter_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        });
        for attribute in directory_names.flat_map(|name| &name.0).flat_map(|rdn| rdn.0.iter()) {
            let field = match attribute.oid {
                TPM_MANUFACTURER => &mut model.manufacturer,
                TPM_MODEL => &mut model.model,
                TPM_VERSION => &mut model.version,
                _ => continue,
            };
            *field = attribute_text(attribute);
        }
        model
    }

    fn extension<'a, T: der::Decode<'a>>(
        &'a self,
        oid: ObjectIdentifier,
    ) -> Result<Option<T>, Error> {
        let Some(extension) = self.extensions().iter().find(|found| found.extn_id == oid) else {
            return Ok(None);
        };
        T::from_der(extension.extn_value.as_bytes()).map(Some).map_err(Error::CertificateSyntax)
    }

    fn extensions(&self) -> &[Extension] {
        self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default()
    }

    fn refused(&self, problem: &'static str) -> Error {
        Error::CertificateRefused { subject: self.subject(), problem }
    }
}

/// The certificates in a chain as TPMs keep it: one after the other. What is no certificate ends
/// the chain.
pub fn split_chain(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut certificates = Vec::new();
    let mut rest = bytes;
    while let Ok(certificate) = SliceReader::new(rest).and_then(|mut reader| reader.tlv_bytes()) {
        certificates.push(certificate.to_vec());
        rest = rest.get(certificate.len()..).unwrap_or_default();
    }
    certificates
}

/// Finds and checks a path from an endorsement key's certificate to one of `roots`.
///
/// A root is whatever the caller trusts, self-signed or not.
///
/// # Errors
/// When there is no such path; the error is about the certificate that came nearest.
pub fn verify_ek_path(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &Roots,
    now_unix_s: Option<u64>,
) -> Result<EkPath, Error> {
    check_common(leaf, now_unix_s)?;
    check_leaf(leaf)?;
    let mut search = Search { intermediates, roots, now_unix_s, signatures_left: SIGNATURES_MAX };
    let mut issuers = Vec::new();
    search.extend(leaf, 0, &mut issuers)?;
    Ok(EkPath { issuers, tpm: leaf.tpm_model() })
}

struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a Roots,
    now_unix_s: Option<u64>,
    signatures_left: u32,
}

impl Search<'_> {
    /// Continues the path that ends in `last`, with `depth` intermediates below the next issuer.
    fn extend(
        &mut self,
        last: &Certificate,
        depth: usize,
        issuers: &mut Vec<String>,
    ) -> Result<(), Error> {
        let (roots, intermediates) = (self.roots, self.intermediates);
        let mut nearest = Error::CertificateIssuer { issuer: last.issuer() };
        for root in roots.iter().filter(|root| is_named_issuer(root, last)) {
            match self.check_issuer(root, last, depth) {
                Ok(()) => {
                    issuers.push(root.subject());
                    return Ok(());
                }
                Err(error) => nearest = error,
            }
        }
        if depth == INTERMEDIATES_MAX {
            return Err(nearest);
        }
        for issuer in intermediates.iter().filter(|issuer| is_named_issuer(issuer, last)) {
            let known = issuers.len();
            issuers.push(issuer.subject());
            let rest = self
                .check_issuer(issuer, last, depth)
                .and_then(|()| self.extend(issuer, depth.saturating_add(1), issuers));
            match rest {
                Ok(()) => return Ok(()),
                Err(error) => nearest = error,
            }
            issuers.truncate(known);
        }
        Err(nearest)
    }

    fn check_issuer(
        &mut self,
        issuer: &Certificate,
        last: &Certificate,
        depth: usize,
    ) -> Result<(), Error> {
        check_common(issuer, self.now_unix_s)?;
        check_authority(issuer, depth)?;
        self.signatures_left = self
            .signatures_left
            .checked_sub(1)
            .ok_or_else(|| last.refused("its path to a root has too many possible issuers"))?;
        if is_named_key(issuer, last)? && is_signed_by(issuer, last)? {
            return Ok(());
        }
        Err(Error::CertificateSignature { subject: last.subject(), issuer: last.issuer() })
    }
}

fn check_common(certificate: &Certificate, now_unix_s: Option<u64>) -> Result<(), Error> {
    let tbs = &certificate.parsed.tbs_certificate;
    if tbs.signature != certificate.parsed.signature_algorithm {
        return Err(certificate.refused("it names two different signature algorithms"));
    }
    if let Some(now) = now_unix_s {
        if now < tbs.validity.not_before.to_unix_duration().as_secs() {
            return Err(certificate.refused("it is not valid yet"));
        }
        if now > tbs.validity.not_after.to_unix_duration().as_secs() {
            return Err(certificate.refused("it has expired"));
        }
    }
    let read = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME];
    let mut seen: Vec<ObjectIdentifier> = Vec::new();
    for extension in certificate.extensions() {
        if seen.contains(&extension.extn_id) {
            return Err(certificate.refused("it has the same extension twice"));
        }
        if extension.critical && !read.contains(&extension.extn_id) {
            return Err(certificate.refused("it has a critical extension that is not known here"));
        }
        seen.push(extension.extn_id);
    }
    Ok(())
}

fn check_leaf(leaf: &Certificate) -> Result<(), Error> {
    let constraints = leaf.extension::<BasicConstraints>(BASIC_CONSTRAINTS)?;
    if constraints.is_some_and(|constraints| constraints.ca) {
        return Err(leaf.refused("it is an authority's certificate, not an endorsement key's"));
    }
    let usage = leaf.extension::<ExtendedKeyUsage>(EXTENDED_KEY_USAGE)?;
    if !usage.is_some_and(|usage| usage.0.contains(&EK_CERTIFICATE)) {
        return Err(leaf.refused("its purpose is not that of an endorsement key (2.23.133.8.1)"));
    }
    Ok(())
}

fn check_authority(issuer: &Certificate, depth: usize) -> Result<(), Error> {
    let constraints = issuer.extension::<BasicConstraints>(BASIC_CONSTRAINTS)?;
    let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
        return Err(issuer.refused("it issued a certificate but is no authority"));
    };
    if constraints.path_len_constraint.is_some_and(|len| usize::from(len) < depth) {
        return Err(issuer.refused("its path length does not allow so many intermediates"));
    }
    let usage = issuer.extension::<KeyUsage>(KEY_USAGE)?;
    if usage.is_some_and(|usage| !usage.0.contains(KeyUsages::KeyCertSign)) {
        return Err(issuer.refused("its key may not sign certificates"));
    }
    Ok(())
}

/// Whether `issuer` is named as the issuer of `last`.
fn is_named_issuer(issuer: &Certificate, last: &Certificate) -> bool {
    issuer.parsed.tbs_certificate.subject == last.parsed.tbs_certificate.issuer
}

/// Whether `last` names the key of `issuer`, or one of them says nothing about keys.
fn is_named_key(issuer: &Certificate, last: &Certificate) -> Result<bool, Error> {
    let subject_key = issuer.extension::<SubjectKeyIdentifier>(SUBJECT_KEY_ID)?;
    let authority_key = last.extension::<AuthorityKeyIdentifier>(AUTHORITY_KEY_ID)?;
    let identifier = authority_key.and_then(|key| key.key_identifier);
    Ok(subject_key.zip(identifier).is_none_or(|(subject, identifier)| subject.0 == identifier))
}

fn is_signed_by(issuer: &Certificate, last: &Certificate) -> Result<bool, Error> {
    let spki = &issuer.parsed.tbs_certificate.subject_public_key_info;
    let Some(signature) = last.parsed.signature.as_bytes() else {
        return Err(last.refused("its signature is no whole number of bytes"));
    };
    let message = last.signed.as_slice();
    Ok(match last.parsed.signature_algorithm.oid {
        SHA256_RSA => {
            verify_rsa(spki, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature)
        }
        SHA384_RSA => {
            verify_rsa(spki, Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature)
        }
        SHA512_RSA => {
            verify_rsa(spki, Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature)
        }
        ECDSA_SHA256 => verify_ecdsa(spki, &Sha256::digest(message), signature),
        ECDSA_SHA384 => verify_ecdsa(spki, &Sha384::digest(message), signature),
        ECDSA_SHA512 => verify_ecdsa(spki, &Sha512::digest(message), signature),
        _ => return Err(last.refused("its signature algorithm is weak or not known here")),
    })
}

fn verify_rsa(
    spki: &SubjectPublicKeyInfoOwned,
    scheme: Pkcs1v15Sign,
    hashed: &[u8],
    signature: &[u8],
) -> bool {
    let key = (spki.algorithm.oid == RSA_ENCRYPTION).then(|| rsa_key(spki)).flatten();
    key.filter(|key| key.size() >= 256)
        .is_some_and(|key| key.verify(scheme, hashed, signature).is_ok())
}

fn verify_ecdsa(spki: &SubjectPublicKeyInfoOwned, hashed: &[u8], signature: &[u8]) -> bool {
    if spki.algorithm.oid != EC_PUBLIC_KEY {
        return false;
    }
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
    let Some(point) = spki.subject_public_key.as_bytes() else { return false };
    match curve {
        Some(CURVE_P256) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p256::ecdsa::Signature::from_der(signature);
            key.and_then(|key| key.verify_prehash(hashed, &signature?)).is_ok()
        }
        Some(CURVE_P384) => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p384::ecdsa::Signature::from_der(signature);
            key.and_then(|key| key.verify_prehash(hashed, &signature?)).is_ok()
        }
        _ => false,
    }
}

fn rsa_key(spki: &SubjectPublicKeyInfoOwned) -> Option<RsaPublicKey> {
    RsaPublicKey::from_pkcs1_der(spki.subject_public_key.as_bytes()?).ok()
}

/// The bytes of the TBSCertificate as they stand in the certificate.
fn signed_part(certificate: &[u8]) -> der::Result<Vec<u8>> {
    let mut reader = SliceReader::new(certificate)?;
    der::Header::decode(&mut reader)?;
    reader.tlv_bytes().map(<[u8]>::to_vec)
}

fn certificate_in_nv(bytes: &[u8]) -> der::Result<&[u8]> {
    /// Tag and type of the TCG's "full certificate", before a 16-bit length.
    const WRAPPER: [u8; 3] = [0x10, 0x01, 0x00];
    let inner = match bytes.strip_prefix(&WRAPPER) {
        Some(wrapped) => wrapped.get(2..).unwrap_or_default(),
        None => bytes,
    };
    let mut reader = SliceReader::new(inner)?;
    reader.tlv_bytes()
}

fn attribute_text(attribute: &AttributeTypeAndValue) -> String {
    let value = &attribute.value;
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|text| printable(text.as_ref()));
    utf8.or_else(|_| {
        value.decode_as::<PrintableStringRef<'_>>().map(|text| printable(text.as_ref()))
    })
    .unwrap_or_default()
}
