//! The operator key: the account with which the node pays for and signs its transactions.
//!
//! It is made at the first start and stays on the data partition, readable by root alone. Whoever
//! has the disk has the key; it can spend the gas money and speak for the node on the chain, not
//! for its owner.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use aleph_chain::OperatorKey;
use anyhow::{Context, bail, ensure};
use k256::ecdsa::SigningKey;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

/// Reads the key, or makes it at the first start.
pub(crate) fn load_or_create(data_dir: &Path) -> anyhow::Result<OperatorKey> {
    let folder = data_dir.join("identity");
    let path = folder.join("operator.key");
    match File::open(&path) {
        Ok(file) => {
            let next = "restore it from a backup, or remove it to begin with a new account";
            load(file).with_context(|| format!("cannot use {}: {next}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&folder, &path)
            .with_context(|| format!("cannot make {}: check the data disk", path.display())),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn load(file: File) -> anyhow::Result<OperatorKey> {
    let mode = file.metadata()?.mode();
    ensure!(mode & 0o077 == 0, "others may read it (mode {:o}); set mode 600", mode & 0o777);
    // Room for all at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(KEY_TEXT_BYTES_MAX));
    file.take(KEY_TEXT_BYTES_MAX as u64).read_to_string(&mut text)?;
    Ok(text.parse()?)
}

fn create(folder: &Path, path: &Path) -> anyhow::Result<OperatorKey> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let secret = SigningKey::random(&mut OsRng);
    let bytes = Zeroizing::new(<[u8; 32]>::from(secret.to_bytes()));
    let mut digits = Zeroizing::new([0; KEY_DIGITS]);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes.iter()) {
        pair[0] = HEXADECIMAL[usize::from(byte >> 4)];
        pair[1] = HEXADECIMAL[usize::from(byte & 15)];
    }

    // Under another name first: a crash leaves no half a key where a key is looked for.
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(&digits[..])?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()?;
    // The folder itself is new at the first start.
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }

    let Ok(key) = OperatorKey::from_bytes(&bytes) else { bail!("the key just made is no key") };
    tracing::info!(operator = %key.address(), "made the operator key; its account needs gas");
    Ok(key)
}

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
const KEY_DIGITS: usize = 64;
/// The digits, `0x` before them, and a line's end.
const KEY_TEXT_BYTES_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_root_alone() {
        let data = tempfile::tempdir().unwrap();
        let made = load_or_create(data.path()).unwrap();
        let again = load_or_create(data.path()).unwrap();
        assert_eq!(made.address(), again.address());
        let path = data.path().join("identity/operator.key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);

        let other = tempfile::tempdir().unwrap();
        assert_ne!(load_or_create(other.path()).unwrap().address(), made.address());
    }

    #[test]
    fn an_unfinished_key_is_made_again() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("identity");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("operator.new"), "half").unwrap();
        load_or_create(data.path()).unwrap();
        assert!(!folder.join("operator.new").exists());
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_not_used() {
        let data = tempfile::tempdir().unwrap();
        load_or_create(data.path()).unwrap();
        let path = data.path().join("identity/operator.key");
        let digits = fs::read_to_string(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = format!("{:#}", load_or_create(data.path()).unwrap_err());
        assert!(error.contains("mode 644"), "{error}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, &digits[..60]).unwrap();
        let error = format!("{:#}", load_or_create(data.path()).unwrap_err());
        assert!(error.contains("restore it") && !error.contains(&digits[..8]), "{error}");
    }
}
