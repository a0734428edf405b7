//! The kernel of customers' machines, built by the monitor's own script and kept by what the
//! script says it depends on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::error::IoContext;
use crate::tool::Tool;
use crate::{CRATE_DIR, Result};

/// Builds the kernel, or takes it from the cache, and returns its path there.
pub fn build(cache: &Cache) -> Result<PathBuf> {
    let script = Path::new(CRATE_DIR).join("../vmm/guest/build-kernel");
    let key = Tool::new(&script, "dash").arg("--key").run_text()?;
    let dir = cache.dir().join(format!("guest-kernel-{}", key.trim()));
    let vmlinux = dir.join("vmlinux");
    if !vmlinux.exists() {
        fs::create_dir_all(&dir).at("create", &dir)?;
        // The script puts the file in place last, so what is there is whole.
        Tool::new(&script, "dash").arg(&dir).run()?;
    }
    Ok(vmlinux)
}
