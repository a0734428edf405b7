//! Text from hostile bytes, safe to print on a terminal.

use aleph_types::text;

/// The most characters of foreign text in a sentence of ours.
const CHARS_MAX: usize = 160;

/// `text` cut to a sane length, with a question mark for everything that a terminal must not get.
pub(crate) fn printable(text: &str) -> String {
    let end = text.char_indices().nth(CHARS_MAX).map_or(text.len(), |(index, _)| index);
    text::printable(text.get(..end).unwrap_or_default())
}

/// UTF-16 little-endian text up to its first NUL.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).take(CHARS_MAX).collect();
    printable(&String::from_utf16_lossy(&units))
}

/// Text that is either UTF-16 or ASCII, as event logs have it, up to its first NUL.
pub(crate) fn utf16_or_ascii(bytes: &[u8]) -> String {
    match bytes {
        [first, 0, ..] if *first != 0 => utf16(bytes),
        _ => {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            printable(&String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}"), "a?[31m?");
        assert_eq!(printable(&"é".repeat(1000)), "é".repeat(CHARS_MAX));
    }

    #[test]
    fn both_encodings_of_event_logs_are_read() {
        assert_eq!(utf16_or_ascii(b".\0l\0\0\0"), ".l");
        assert_eq!(utf16_or_ascii(b".l\0rest"), ".l");
        assert_eq!(utf16_or_ascii(b""), "");
    }
}
