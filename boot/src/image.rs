//! What the image says about itself.

use std::fs;

use serde::Deserialize;

/// Written by the image builder into the root.
const IMAGE_PATH: &str = "/usr/share/aleph/image.json";

/// `image.json`. Other keys are for others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ImageInfo {
    /// The release.
    pub version: String,
    /// `release` or `debug`.
    pub profile: String,
    /// When it was built: no clock is ever earlier than this.
    #[serde(default)]
    pub source_date_epoch: u64,
}

impl ImageInfo {
    /// Reads it from the root; `None` when the image has none.
    pub(crate) fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(IMAGE_PATH).ok()?).ok()
    }
}
