//! Errors in one line.

use std::{error::Error, fmt::Write};

/// An error and everything that caused it.
pub(crate) fn in_words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Writing to a string cannot fail.
        let _ = write!(words, ": {next}");
        cause = next.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow() {
        let cause = std::io::Error::other("no medium");
        let error = aleph_storage::StorageError::Body(cause);
        assert!(in_words(&error).ends_with(": no medium"));
    }
}
