use std::path::{Path, PathBuf};

/// What can go wrong while an image is built, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the build needs is not installed.
    #[error("`{program}` is not installed; run: apt-get install {package}")]
    ToolMissing {
        /// Its name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },

    /// A program that the build needs ended with an error.
    #[error("`{command}` failed ({status}):\n{output}")]
    ToolFailed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it printed.
        output: String,
    },

    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },

    /// One of the crate's own description files does not parse.
    #[error("{path} is not valid; correct it and build again")]
    Description {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        #[source]
        source: Box<toml::de::Error>,
    },

    /// The archive no longer offers the pinned package.
    #[error(
        "{package} {version} cannot be downloaded; if the archive has dropped it, run `apt-get \
         update` and `aleph-image kernel --update`, and commit image/kernel.toml"
    )]
    PackageUnavailable {
        /// The package.
        package: String,
        /// The pinned version.
        version: String,
        /// What apt says.
        #[source]
        source: Box<Error>,
    },

    /// No package fits the kernel series.
    #[error(
        "no package named {pattern} is known to apt; run `apt-get update` with bookworm-security \
         among the sources"
    )]
    NoKernelPackage {
        /// What was looked for.
        pattern: String,
    },

    /// A download is not the file that was pinned.
    #[error(
        "{path} has the SHA-256 {actual}, pinned is {expected}; delete it and build again, and if \
         it comes back, do not trust the mirror"
    )]
    HashMismatch {
        /// The file.
        path: PathBuf,
        /// The pinned hash.
        expected: String,
        /// The hash it has.
        actual: String,
    },

    /// The list of modules names one that the kernel does not have.
    #[error("kernel {kernel} has no module {name}; correct image/modules.toml")]
    UnknownModule {
        /// The kernel's release.
        kernel: String,
        /// The module.
        name: String,
    },

    /// A line of a file that depmod wrote is not as documented.
    #[error("{file} has a line that is not understood: {line:?}")]
    ModuleIndex {
        /// The file.
        file: &'static str,
        /// The line.
        line: String,
    },

    /// An executable cannot be read as one.
    #[error("{path} is not an ELF file this build understands")]
    Elf {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        #[source]
        source: object::read::Error,
    },

    /// A shared library is not on the build machine.
    #[error("{needed_by} needs {library}, which is in none of {directories}; install its package")]
    LibraryMissing {
        /// The library's name.
        library: String,
        /// Who needs it.
        needed_by: PathBuf,
        /// Where it was looked for.
        directories: String,
    },

    /// A file that goes into the image belongs to no Debian package.
    #[error("{path} belongs to no Debian package; images take libraries from packages only")]
    NoPackage {
        /// The file.
        path: PathBuf,
    },

    /// The tree that is to become a file system is not what it has to be.
    #[error("{path} in the image's tree: {problem}")]
    Tree {
        /// The path inside the image.
        path: String,
        /// What is wrong.
        problem: String,
    },

    /// The EFI file is not a unified kernel image, or cannot become one.
    #[error("{path} {problem}")]
    Uki {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// The EFI file is larger than firmware and the update slots allow.
    #[error(
        "{path} has {size_bytes} bytes, {size_bytes_max} are allowed; remove modules or executables"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// The bound.
        size_bytes_max: u64,
    },

    /// The machine measurements cannot be predicted.
    #[error("cannot predict what {path} measures")]
    Predict {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The list of crates cannot be had.
    #[error("cannot list the crates of the workspace; build it once, so that they are downloaded")]
    CargoMetadata {
        /// What cargo says.
        #[source]
        source: Box<cargo_metadata::Error>,
    },

    /// The build must run as root.
    #[error("{what} needs root, because files in it belong to several users; run it as root")]
    NeedsRoot {
        /// The step.
        what: &'static str,
    },
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names the action and the file on an I/O error.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
