//! The house rules: who imports whom, how large a file may be, what every crate begins with.

mod files;
mod imports;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().expect("the crate lies in the workspace").to_owned()
}
