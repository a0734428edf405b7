use std::fs::File;

use aleph_executor::{ImageError, Images};
use aleph_storage::{Blobs, StorageError};
use aleph_types::Cid;

/// The executor's images are the node's blobs.
#[derive(Debug, Clone)]
pub(crate) struct BlobImages(pub(crate) Blobs);

impl Images for BlobImages {
    async fn open(&self, cid: Cid) -> Result<File, ImageError> {
        self.0.open_verified(cid).await.map_err(|error| match error {
            // The job was given to the executor because the image was there: it does not come
            // back by itself.
            StorageError::NotFound { .. } | StorageError::BlobCorrupt { .. } => {
                ImageError::Unusable(Box::new(error))
            }
            error => ImageError::Unavailable(Box::new(error)),
        })
    }
}
