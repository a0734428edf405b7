//! Printing: for people, or as JSON for programs.

use std::io::Write;

use aleph_types::text::printable_lines;
use anyhow::Result;
use serde::Serialize;

/// The way results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result: as JSON, or as the words that `in_words` makes of it. Parts of them come
    /// from nodes, and a node may be hostile.
    pub(crate) fn print<T: Serialize>(
        self,
        result: &T,
        in_words: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        let text = match self.json {
            true => serde_json::to_string_pretty(result)?,
            false => printable_lines(&in_words(result)),
        };
        self.bytes(text.trim_end().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // The reader has seen enough, as `head` does.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            result => Ok(result?),
        }
    }
}

/// Lines of names and values, the values in one column.
pub(crate) fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column() {
        assert_eq!(table(&[("a", "1".into()), ("long", "2".into())]), "a     1\nlong  2\n");
    }
}
