//! Paths from endorsement certificates to roots, good and bad.

use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::Duration;

use aleph_attestation::Error;
use aleph_attestation::certificate::{Certificate, split_chain, verify_ek_path};
use aleph_attestation::roots::Roots;
use der::asn1::{Any, Ia5String, ObjectIdentifier, Utf8StringRef};
use der::{Encode as _, EncodePem as _};
use rand::rngs::OsRng;
use rsa::RsaPrivateKey;
use sha2::Sha256;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::{Builder as _, CertificateBuilder, Profile};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

const NOW: u64 = 1_700_000_000;
const EK_PURPOSE: &str = "2.23.133.8.1";

/// An authority's key, of each kind that is verified.
enum Key {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

/// How a certificate is made; the default is a good authority.
#[derive(Clone)]
struct Form {
    subject: &'static str,
    issuer: &'static str,
    is_authority: bool,
    path_len: Option<u8>,
    usages: Option<KeyUsages>,
    purpose: Option<&'static str>,
    critical: Option<UnknownExtension>,
    valid_s: (u64, u64),
}

#[derive(Clone)]
struct UnknownExtension(Ia5String);

impl der::oid::AssociatedOid for UnknownExtension {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.1");
}

impl der::Encode for UnknownExtension {
    fn encoded_len(&self) -> der::Result<der::Length> {
        self.0.encoded_len()
    }

    fn encode(&self, encoder: &mut impl der::Writer) -> der::Result<()> {
        self.0.encode(encoder)
    }
}

impl x509_cert::ext::AsExtension for UnknownExtension {
    fn critical(&self, _: &Name, _: &[x509_cert::ext::Extension]) -> bool {
        true
    }
}

impl Key {
    fn rsa() -> Self {
        static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
        Self::Rsa(Box::new(
            KEY.get_or_init(|| RsaPrivateKey::new(&mut OsRng, 2048).unwrap()).clone(),
        ))
    }

    fn p256() -> Self {
        Self::P256(p256::ecdsa::SigningKey::random(&mut OsRng))
    }

    fn p384() -> Self {
        Self::P384(p384::ecdsa::SigningKey::random(&mut OsRng))
    }

    fn spki(&self) -> SubjectPublicKeyInfoOwned {
        match self {
            Self::Rsa(key) => SubjectPublicKeyInfoOwned::from_key(key.to_public_key()),
            Self::P256(key) => SubjectPublicKeyInfoOwned::from_key(*key.verifying_key()),
            Self::P384(key) => SubjectPublicKeyInfoOwned::from_key(*key.verifying_key()),
        }
        .unwrap()
    }

    /// Issues a certificate of `form` for `subject`.
    fn issue(&self, subject: &Key, form: &Form) -> Certificate {
        Certificate::from_der(&self.issue_der(subject, form)).unwrap()
    }

    fn issue_der(&self, subject: &Key, form: &Form) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let signer = rsa::pkcs1v15::SigningKey::<Sha256>::new((**key).clone());
                form.builder(subject, &signer).build::<rsa::pkcs1v15::Signature>()
            }
            Self::P256(key) => form.builder(subject, key).build::<p256::ecdsa::DerSignature>(),
            Self::P384(key) => form.builder(subject, key).build::<p384::ecdsa::DerSignature>(),
        }
        .unwrap()
        .to_der()
        .unwrap()
    }
}

impl Form {
    fn authority(subject: &'static str, issuer: &'static str) -> Self {
        Self {
            subject,
            issuer,
            is_authority: true,
            path_len: None,
            usages: Some(KeyUsages::KeyCertSign),
            purpose: None,
            critical: None,
            valid_s: (NOW - 1000, NOW + 1000),
        }
    }

    fn endorsement(issuer: &'static str) -> Self {
        let authority = Self::authority("", issuer);
        Self { is_authority: false, usages: None, purpose: Some(EK_PURPOSE), ..authority }
    }

    fn builder<'s, S>(&self, subject: &Key, signer: &'s S) -> CertificateBuilder<'s, S>
    where
        S: rsa::signature::Keypair + x509_cert::spki::DynSignatureAlgorithmIdentifier,
        S::VerifyingKey: x509_cert::spki::EncodePublicKey,
    {
        let time = |unix_s| {
            Time::UtcTime(
                der::asn1::UtcTime::from_unix_duration(Duration::from_secs(unix_s)).unwrap(),
            )
        };
        let (not_before, not_after) = self.valid_s;
        let mut builder = CertificateBuilder::new(
            Profile::Manual { issuer: Some(name(self.issuer)) },
            SerialNumber::from(7_u32),
            Validity { not_before: time(not_before), not_after: time(not_after) },
            name(self.subject),
            subject.spki(),
            signer,
        )
        .unwrap();
        let constraints =
            BasicConstraints { ca: self.is_authority, path_len_constraint: self.path_len };
        builder.add_extension(&constraints).unwrap();
        if let Some(usages) = self.usages {
            builder.add_extension(&KeyUsage(usages.into())).unwrap();
        }
        if let Some(purpose) = self.purpose {
            let purpose = ObjectIdentifier::new_unwrap(purpose);
            builder.add_extension(&ExtendedKeyUsage(vec![purpose])).unwrap();
            // Critical, because the subject is empty.
            let names = vec![GeneralName::DirectoryName(tpm_name())];
            builder.add_extension(&SubjectAltName(names)).unwrap();
        }
        if let Some(critical) = &self.critical {
            builder.add_extension(critical).unwrap();
        }
        builder
    }
}

/// A name, also the empty one.
fn name(text: &str) -> Name {
    if text.is_empty() { Name::default() } else { Name::from_str(text).unwrap() }
}

/// The directory name by which a certificate tells the TPM's make.
fn tpm_name() -> Name {
    let attributes = [("2.23.133.2.1", "id:49465800"), ("2.23.133.2.2", "SLB9672")];
    let parts = attributes.map(|(oid, text)| {
        let oid = ObjectIdentifier::new_unwrap(oid);
        let value = Any::from(Utf8StringRef::new(text).unwrap());
        RelativeDistinguishedName(vec![AttributeTypeAndValue { oid, value }].try_into().unwrap())
    });
    RdnSequence(parts.to_vec())
}

fn roots(certificates: &[Vec<u8>]) -> Roots {
    let mut roots = Roots::new();
    for certificate in certificates {
        let parsed: x509_cert::Certificate = der::Decode::from_der(certificate).unwrap();
        let pem = parsed.to_pem(der::pem::LineEnding::LF).unwrap();
        assert_eq!(roots.add_pem(format!("Vendor root\n{pem}").as_bytes()).unwrap(), 1);
    }
    roots
}

/// A root, an intermediate and an endorsement certificate, each changed by the caller.
struct Path {
    root: Form,
    intermediate: Form,
    leaf: Form,
}

impl Path {
    fn good() -> Self {
        Self {
            root: Form { path_len: Some(1), ..Form::authority("CN=Root", "CN=Root") },
            intermediate: Form {
                path_len: Some(0),
                ..Form::authority("CN=Intermediate", "CN=Root")
            },
            leaf: Form::endorsement("CN=Intermediate"),
        }
    }

    fn verify(
        &self,
        root: &Key,
        intermediate: &Key,
        now: Option<u64>,
    ) -> Result<Vec<String>, Error> {
        let roots = roots(&[root.issue_der(root, &self.root)]);
        let middle = root.issue(intermediate, &self.intermediate);
        let leaf = intermediate.issue(&Key::rsa(), &self.leaf);
        verify_ek_path(&leaf, &[middle], &roots, now).map(|path| path.issuers)
    }
}

#[track_caller]
fn assert_refused(path: &Path, now: Option<u64>, words: &str) {
    let error = path.verify(&Key::p256(), &Key::p256(), now).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn every_supported_signature_verifies() {
    for root in [Key::rsa, Key::p256, Key::p384] {
        for intermediate in [Key::rsa, Key::p256, Key::p384] {
            let issuers = Path::good().verify(&root(), &intermediate(), Some(NOW)).unwrap();
            assert_eq!(issuers, ["CN=Intermediate", "CN=Root"]);
        }
    }
}

#[test]
fn the_tpms_make_is_read() {
    let key = Key::rsa();
    let model = key.issue(&key, &Form::endorsement("CN=Root")).tpm_model();
    assert_eq!((model.manufacturer.as_str(), model.model.as_str()), ("id:49465800", "SLB9672"));
}

#[test]
fn certificates_that_must_not_be_where_they_are() {
    let good = Path::good;
    let leaf = |change: fn(&mut Form)| {
        let mut path = good();
        change(&mut path.leaf);
        path
    };
    let intermediate = |change: fn(&mut Form)| {
        let mut path = good();
        change(&mut path.intermediate);
        path
    };
    assert_refused(&leaf(|form| form.purpose = Some("1.3.6.1.5.5.7.3.1")), None, "its purpose");
    assert_refused(&leaf(|form| form.purpose = None), None, "its purpose");
    assert_refused(&leaf(|form| form.is_authority = true), None, "not an endorsement key's");
    assert_refused(
        &leaf(|form| form.issuer = "CN=Unknown"),
        None,
        "CN=Unknown, which is not among",
    );
    assert_refused(&intermediate(|form| form.is_authority = false), None, "is no authority");
    assert_refused(
        &intermediate(|form| form.usages = Some(KeyUsages::DigitalSignature)),
        None,
        "may not sign certificates",
    );
    let critical = Some(UnknownExtension(Ia5String::new("?").unwrap()));
    let mut path = good();
    path.intermediate.critical = critical.clone();
    assert_refused(&path, None, "critical extension");
    let mut path = good();
    path.leaf.critical = critical;
    assert_refused(&path, None, "critical extension");
    let mut path = good();
    path.root.path_len = Some(0);
    assert_refused(&path, None, "path length");
}

#[test]
fn dates_count_when_a_time_is_given() {
    let early = NOW - 2000;
    let late = NOW + 2000;
    assert_refused(&Path::good(), Some(early), "not valid yet");
    assert_refused(&Path::good(), Some(late), "expired");
    let mut path = Path::good();
    path.root.valid_s.1 = NOW - 1;
    assert_refused(&path, Some(NOW), "CN=Root is refused: it has expired");
    path.verify(&Key::p256(), &Key::p256(), None).unwrap();
}

#[test]
fn an_authority_of_the_same_name_is_not_the_same() {
    let (one, other) = (Key::p256(), Key::p256());
    let roots = roots(&[one.issue_der(&one, &Form::authority("CN=Root", "CN=Root"))]);
    let leaf = other.issue(&Key::rsa(), &Form::endorsement("CN=Root"));
    let error = verify_ek_path(&leaf, &[], &roots, None).unwrap_err();
    assert!(matches!(error, Error::CertificateSignature { .. }), "{error}");
}

#[test]
fn intermediates_that_point_at_each_other_end_the_search() {
    let key = Key::p256();
    let loops: Vec<Certificate> =
        (0..8).map(|_| key.issue(&key, &Form::authority("CN=Loop", "CN=Loop"))).collect();
    let leaf = key.issue(&Key::rsa(), &Form::endorsement("CN=Loop"));
    verify_ek_path(&leaf, &loops, &Roots::new(), None).unwrap_err();
}

#[test]
fn an_intermediate_may_itself_be_trusted() {
    let (root, intermediate) = (Key::p256(), Key::p256());
    let form = Path::good().intermediate;
    let roots = roots(&[root.issue_der(&intermediate, &form)]);
    let leaf = intermediate.issue(&Key::rsa(), &Path::good().leaf);
    let path = verify_ek_path(&leaf, &[], &roots, Some(NOW)).unwrap();
    assert_eq!(path.issuers, ["CN=Intermediate"]);
}

#[test]
fn what_tpms_put_around_certificates_is_taken_off() {
    let key = Key::p256();
    let der = key.issue_der(&Key::rsa(), &Form::endorsement("CN=Root"));
    let mut wrapped = vec![0x10, 0x01, 0x00];
    wrapped.extend_from_slice(&u16::try_from(der.len()).unwrap().to_be_bytes());
    wrapped.extend_from_slice(&der);
    let mut padded = der.clone();
    padded.extend_from_slice(&[0xff; 100]);
    let plain = Certificate::from_nv(&der).unwrap();
    for bytes in [wrapped, padded.clone()] {
        let certificate = Certificate::from_nv(&bytes).unwrap();
        assert_eq!(certificate.rsa_key(), plain.rsa_key());
    }
    assert!(matches!(Certificate::from_der(&padded), Err(Error::CertificateSyntax(_))));
    let chain = [der.clone(), der.clone(), vec![0xff; 9]].concat();
    assert_eq!(split_chain(&chain), [der.clone(), der]);
    let large = vec![0x30; 9000];
    assert!(matches!(Certificate::from_der(&large), Err(Error::CertificateSize { .. })));
}
