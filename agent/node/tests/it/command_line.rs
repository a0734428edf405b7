use std::{fs, path::Path, process::Output};

use crate::harness::{Place, program};

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_printed_defaults_are_a_valid_configuration() {
    let (code, defaults, _) = run(&["config", "print-default"]);
    assert_eq!(code, 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, defaults).unwrap();
    let (code, said, _) = run(&["config", "check", path(&file)]);
    assert_eq!(code, 0);
    assert!(said.contains("is a valid configuration"), "{said}");
}

#[test]
fn a_wrong_key_ends_with_78_and_a_hint() {
    let place = Place::new("[node]\nownr = \"0x\"\n");
    let (code, said) = place.run_to_end();
    assert_eq!(code, Some(78));
    assert!(said.contains("unknown field `ownr`"), "{said}");
    assert!(said.contains("did you mean `owner`?"), "{said}");
    assert_eq!(said.matches("unknown field").count(), 1, "{said}");
    // Nothing was begun.
    assert!(!place.data().exists());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, "[api]\nlisten = 5\n").unwrap();
    let (code, _, said) = run(&["config", "check", path(&file)]);
    assert_eq!(code, 78);
    assert!(said.contains("line 2"), "{said}");
}

#[test]
fn a_missing_file_and_a_wrong_flag_end_with_78() {
    let (code, _, said) = run(&["config", "check", "/nowhere/config.toml"]);
    assert_eq!(code, 78);
    assert!(said.contains("/nowhere/config.toml"), "{said}");
    assert_eq!(run(&["run", "--colour", "blue"]).0, 78);
}

#[test]
fn the_environment_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, "").unwrap();
    let output = program()
        .args(["config", "check", path(&file)])
        .env("ALEPH__LOG__FORMT", "json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ALEPH__LOG__FORMT") && said.contains("`format`"), "{said}");
}

#[test]
fn versions_and_help_are_printed() {
    let version = concat!("aleph-node ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["version"]), (0, version.to_owned(), String::new()));
    assert_eq!(run(&["--version"]).1, version);
    let (code, help, _) = run(&["run", "--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("--data-dir") && help.contains("78"), "{help}");
}
