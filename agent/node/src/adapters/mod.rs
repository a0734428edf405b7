//! What other crates need of each other, in their own words.

mod images;
mod journal;

pub(crate) use images::BlobImages;
pub(crate) use journal::StoreJournal;
