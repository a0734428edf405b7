//! Accounts that sign messages and transactions.

use aleph_types::Address;
use alloy::signers::{SignerSync, local::PrivateKeySigner};

use crate::SdkError;

/// An Ethereum account with its private key in memory.
#[derive(Debug, Clone)]
pub struct EthAccount(PrivateKeySigner);

impl EthAccount {
    /// The account of a private key in hexadecimal digits.
    pub fn from_private_key(key: &str) -> Result<Self, SdkError> {
        key.trim().parse().map(Self).map_err(|_| SdkError::PrivateKey)
    }

    /// The account's address.
    pub fn address(&self) -> Address {
        Address(self.0.address().into_array())
    }

    /// Signs a text as EIP-191 says (`personal_sign`); 0x, r, s, v in hexadecimal digits.
    pub fn sign_text(&self, text: &str) -> Result<String, SdkError> {
        let signature = self
            .0
            .sign_message_sync(text.as_bytes())
            .map_err(|error| SdkError::Invalid(format!("cannot sign: {error}")))?;
        Ok(format!("0x{}", hex::encode(signature.as_bytes())))
    }

    pub(crate) fn signer(&self) -> PrivateKeySigner {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use aleph_types::signature::Signature;

    use super::*;

    #[test]
    fn what_it_signs_names_it() {
        let account = EthAccount::from_private_key(&"11".repeat(32)).unwrap();
        assert_eq!(account.address().to_string(), "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A");
        let signature: Signature = account.sign_text("hello").unwrap().parse().unwrap();
        assert_eq!(signature.signer_of(b"hello"), Ok(account.address()));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let error = EthAccount::from_private_key("secret").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
