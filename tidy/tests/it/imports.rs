//! Who may import whom: ARCHITECTURE.md's table, held against what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Every crate of the workspace and the crates of the workspace that it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &["types"]),
    ("attestation", &["types"]),
    ("chain", &["contracts", "types"]),
    ("cli", &["attestation", "devnet", "sdk", "types"]),
    ("contracts", &[]),
    ("devnet", &["attestation", "contracts", "sdk", "types"]),
    ("executor", &["types", "vmm"]),
    ("image", &["attestation", "types"]),
    ("init", &["attestation"]),
    ("message", &["types"]),
    (
        "node",
        &[
            "api",
            "attestation",
            "chain",
            "contracts",
            "executor",
            "init",
            "message",
            "scheduler",
            "storage",
            "types",
        ],
    ),
    ("proof", &["types"]),
    ("qemu-tests", &["attestation", "devnet", "sdk", "types"]),
    ("scheduler", &["types"]),
    ("sdk", &["attestation", "contracts", "types"]),
    ("storage", &["types"]),
    ("tidy", &[]),
    ("types", &[]),
    ("vmm", &[]),
];

/// Crates from outside that stay behind one door, and the crates of ours that may open it.
const DOORS: &[(&str, &[&str])] = &[
    ("alloy", &["chain", "contracts", "devnet", "sdk"]),
    ("axum", &["api"]),
    ("kvm-ioctls", &["vmm"]),
    ("libp2p", &["network"]),
    ("postcard", &["types", "vmm"]),
    ("redb", &["storage"]),
    ("tss-esapi", &["attestation"]),
];

#[test]
fn imports_follow_the_table() -> Result<()> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let metadata = metadata()?;
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = short(package);
        let Some(may) = allowed.get(name) else {
            wrong.push(format!("{name} has no row in the table"));
            continue;
        };
        for import in imports(package).filter_map(|import| import.strip_prefix("aleph-")) {
            if !may.contains(&import) {
                wrong.push(format!("{name} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn every_row_of_the_table_is_a_crate() -> Result<()> {
    let metadata = metadata()?;
    let crates: BTreeSet<_> = metadata.workspace_packages().into_iter().map(short).collect();
    let rows: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(crates, rows);
    Ok(())
}

#[test]
fn outside_crates_stay_behind_their_doors() -> Result<()> {
    let metadata = metadata()?;
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        for (outside, may) in DOORS {
            let opens = imports(package).any(|import| import == *outside);
            if opens && !may.contains(&short(package)) {
                wrong.push(format!("{} imports {outside}", short(package)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

fn metadata() -> Result<Metadata> {
    let manifest = crate::root().join("Cargo.toml");
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps().other_options(vec!["--locked".into()]);
    command.exec().context("cargo metadata")
}

fn short(package: &Package) -> &str {
    package.name.strip_prefix("aleph-").unwrap_or(&package.name)
}

/// What a crate imports to be built; tests may import what they test against.
fn imports(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
}
