//! Where the parts are: the checkout's folders and the machine's tools.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where the parts are.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The checkout around the current directory, or the one that `ALEPH_ROOT` names.
    pub fn find() -> Result<Self> {
        if let Some(root) = std::env::var_os("ALEPH_ROOT") {
            return Self::at(Path::new(&root));
        }
        let start = std::env::current_dir().context("the current directory is gone")?;
        start.ancestors().find_map(|folder| Self::at(folder).ok()).with_context(|| {
            format!(
                "{} lies in no checkout of aleph-node: cd into one, or set ALEPH_ROOT",
                start.display()
            )
        })
    }

    /// The checkout with this root.
    pub fn at(root: &Path) -> Result<Self> {
        if !root.join("contracts/foundry.toml").is_file() {
            bail!("{} is no checkout of aleph-node", root.display());
        }
        Ok(Self { root: root.canonicalize()? })
    }

    /// The checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What builds make.
    pub fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// The contracts' project.
    pub fn contracts(&self) -> PathBuf {
        self.root.join("contracts")
    }

    /// A tool of the contracts' npm packages: `anvil`, `forge` or `cast`.
    pub fn foundry(&self, tool: &str) -> Result<PathBuf> {
        let path = self
            .contracts()
            .join(format!("node_modules/@foundry-rs/{tool}-linux-amd64/bin/{tool}"));
        if !path.is_file() {
            bail!("{} is missing: run `make setup`", path.display());
        }
        Ok(path)
    }

    /// A file of a Debian package.
    pub fn system_file(path: &str, package: &str) -> Result<PathBuf> {
        let file = PathBuf::from(path);
        if !file.exists() {
            bail!("{path} is missing: run `make setup`, or `apt-get install {package}`");
        }
        Ok(file)
    }
}
