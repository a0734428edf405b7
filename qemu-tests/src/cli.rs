//! The `aleph` command line, as a person runs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use aleph_devnet::DevAccount;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The `aleph` command line with a network and an account.
#[derive(Debug, Clone)]
pub struct Cli {
    program: PathBuf,
    network: PathBuf,
    key: Option<&'static str>,
}

impl Cli {
    /// The program that was built together with the running one.
    pub fn new(network: &Path) -> Result<Self> {
        let own = std::env::current_exe()?;
        // Tests lie one folder deeper than programs.
        let program = own
            .ancestors()
            .skip(1)
            .take(2)
            .map(|folder| folder.join("aleph"))
            .find(|path| path.is_file())
            .context("the aleph program is missing: run `make binaries`")?;
        Ok(Self { program, network: network.to_owned(), key: None })
    }

    /// The folder of the program.
    pub fn folder(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new("/"))
    }

    /// The same with an account.
    pub fn with_account(&self, account: DevAccount) -> Self {
        Self { key: Some(account.key), ..self.clone() }
    }

    /// Runs a command and reads the JSON that it prints; another exit code than 0 is an error.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let (code, value) = self.json_with_code(arguments)?;
        match code {
            0 => Ok(value),
            code => bail!("`aleph {}` ended with code {code}: {value}", arguments.join(" ")),
        }
    }

    /// Runs a command; gives its exit code, and the JSON it prints or else its words.
    pub fn json_with_code(&self, arguments: &[&str]) -> Result<(i32, Value)> {
        let mut command = Command::new(&self.program);
        command.arg("--json").arg("--network").arg(&self.network).args(arguments);
        command.env_remove("ALEPH_KEY").env_remove("ALEPH_KEY_FILE");
        if let Some(key) = self.key {
            command.env("ALEPH_KEY", key);
        }
        let output = command.output().with_context(|| self.program.display().to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(words));
        Ok((output.status.code().unwrap_or(-1), value))
    }

    /// Runs a command and gives the text that it prints.
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .arg("--network")
            .arg(&self.network)
            .args(arguments)
            .output()
            .with_context(|| self.program.display().to_string())?;
        if !output.status.success() {
            bail!("`aleph {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
