//! What every source file keeps to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// A longer file wants splitting.
const LINES_MAX: usize = 800;
/// What every file of this kind must not have: the word, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("todo!(", "is unfinished work: finish it or leave it out"),
    ("unimplemented!(", "is unfinished work: finish it or leave it out"),
    ("#[ignore]", "is a test that nobody runs: let it say why it is skipped"),
];

#[test]
fn no_source_file_is_too_long() -> Result<()> {
    let long: Vec<_> = sources()?
        .into_iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).ok()?.lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{long:#?}");
    Ok(())
}

#[test]
fn nothing_is_left_unfinished() -> Result<()> {
    let own = Path::new(file!()).file_name();
    let mut found = Vec::new();
    for path in sources()?.into_iter().filter(|path| path.file_name() != own) {
        let text = fs::read_to_string(&path)?;
        for (word, why) in FORBIDDEN {
            if text.contains(word) {
                found.push(format!("{}: {word} {why}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn every_crate_says_what_it_is_for() -> Result<()> {
    let mut silent = Vec::new();
    for path in sources()?.into_iter().filter(|path| path.ends_with("src/lib.rs")) {
        if !fs::read_to_string(&path)?.starts_with("//! ") {
            silent.push(path);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
    Ok(())
}

#[test]
fn the_documents_are_there_and_short_enough() -> Result<()> {
    for name in ["README.md", "SPECIFICATION.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"] {
        ensure!(crate::root().join(name).is_file(), "{name} is missing");
    }
    let architecture = fs::read_to_string(crate::root().join("ARCHITECTURE.md"))?;
    ensure!(architecture.lines().count() <= 400, "ARCHITECTURE.md is no map any more");
    Ok(())
}

/// The Rust and Solidity files that git knows or would take.
fn sources() -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs", "*.sol"])
        .current_dir(crate::root())
        .output()
        .context("git")?;
    ensure!(output.status.success(), "git ls-files failed");
    let names = String::from_utf8(output.stdout)?;
    let files = names.lines().map(|name| crate::root().join(name));
    Ok(files.filter(|path| path.is_file()).collect())
}
