//! Words for people: errors in one line, and text of others that a terminal may be shown.

use std::error::Error;

/// An error and everything that caused it, in one line. A cause that an error names at its end
/// already is not named twice.
pub fn in_words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.ends_with(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        next = cause.source();
    }
    words
}

/// One line of somebody else's text, with a question mark for everything that could move a
/// terminal's cursor, begin another line, or turn words around.
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if is_printable(char) { char } else { '?' }).collect()
}

/// [`printable`] for text of many lines.
pub fn printable_lines(text: &str) -> String {
    let is_kept = |char| char == '\n' || is_printable(char);
    text.chars().map(|char| if is_kept(char) { char } else { '?' }).collect()
}

fn is_printable(char: char) -> bool {
    let is_line_end = matches!(char, '\u{2028}' | '\u{2029}');
    // What Unicode calls bidirectional controls: marks, embeddings, overrides, isolates.
    let changes_direction = matches!(
        char,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
    );
    !char.is_control() && !is_line_end && !changes_direction
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Failure(&'static str, Option<Box<Failure>>);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    #[test]
    fn causes_follow_and_none_is_told_twice() {
        let disk = Failure("no medium", None);
        let file = Failure("cannot read a: no medium", Some(Box::new(disk)));
        let all = Failure("cannot start", Some(Box::new(file)));
        assert_eq!(in_words(&all), "cannot start: cannot read a: no medium");
    }

    #[test]
    fn a_hostile_text_cannot_move_the_cursor() {
        assert_eq!(printable_lines("no\u{1b}[2K\ryes\n"), "no?[2K?yes\n");
        assert_eq!(printable("no\u{1b}[2K\ryes\n\u{2028}é"), "no?[2K?yes??é");
    }

    #[test]
    fn a_hostile_text_cannot_turn_words_around() {
        let controls = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let questions = "?".repeat(controls.chars().count());
        assert_eq!(printable(controls), questions);
        assert_eq!(printable_lines(controls), questions);
        assert_eq!(printable("שלום"), "שלום");
    }
}
