//! The certificates that a verifier trusts to vouch for TPMs.

use data_encoding::BASE64;

use crate::certificate::Certificate;
use crate::error::Error;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Trusted certificates. Whatever is in here is trusted to issue endorsement certificates, also
/// when it is an intermediate authority.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    certificates: Vec<Certificate>,
}

impl Roots {
    /// No roots: nothing verifies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every certificate of a PEM file and returns how many there were.
    ///
    /// # Errors
    /// When a certificate in it is malformed; then none of the file is added.
    pub fn add_pem(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::RootsPem)?;
        let mut added = Vec::new();
        for block in text.split(BEGIN).skip(1) {
            let (body, _) = block.split_once(END).ok_or(Error::RootsPem)?;
            let base64: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let der = BASE64.decode(&base64).map_err(|_| Error::RootsPem)?;
            added.push(Certificate::from_der(&der)?);
        }
        let count = added.len();
        self.certificates.append(&mut added);
        Ok(count)
    }

    /// Whether nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The trusted certificates.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_adds_none() {
        let mut roots = Roots::new();
        assert_eq!(roots.add_pem(b"# nothing here\n").unwrap(), 0);
        assert!(roots.is_empty());
    }

    #[test]
    fn broken_files_are_refused() {
        for text in [format!("{BEGIN}\nAAAA\n"), format!("{BEGIN}\n!\n{END}\n")] {
            assert!(matches!(Roots::new().add_pem(text.as_bytes()), Err(Error::RootsPem)));
        }
        let no_certificate = format!("{BEGIN}\nAAAA\n{END}\n");
        let error = Roots::new().add_pem(no_certificate.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::CertificateSyntax(_)));
    }
}
