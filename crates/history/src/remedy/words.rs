//! A server's message, and where in it known words may be looked for.

use crate::truncate::boundary_before;

/// What of a message is read: more than any server's own words, less than a hostile one's.
const MAX_BYTES: usize = 8 * 1024;

/// The longest id that is taken out of a message. Some servers' are 450 bytes long.
const MAX_ID_BYTES: usize = 1024;

/// The beginning of a message.
pub(super) struct Words<'a> {
    text: &'a str,
    /// The same in lower case, byte for byte.
    lower: String,
    /// For each byte of the text, whether it is within quotation marks.
    quoted: Vec<bool>,
}

impl<'a> Words<'a> {
    pub(super) fn new(message: &'a str) -> Self {
        let text = &message[..boundary_before(message, MAX_BYTES)];
        Self { text, lower: text.to_ascii_lowercase(), quoted: quoted_bytes(text) }
    }

    /// What follows a sentence that begins with `start` (in lower case), in the server's own words.
    pub(super) fn after(&self, start: &str) -> Option<&'a str> {
        let mut found = self.lower.match_indices(start).map(|(at, _)| at);
        let at = found.find(|at| self.begins_sentence(*at))?;
        Some(&self.text[at + start.len()..])
    }

    /// Whether the server says `phrase` (in lower case) by itself, anywhere in a sentence.
    pub(super) fn say(&self, phrase: &str) -> bool {
        let mut found = self.lower.match_indices(phrase).map(|(at, _)| at);
        found.any(|at| !self.is_quoted(at) || self.begins_sentence(at))
    }

    /// Whether a sentence begins at `at`: at the start, on a new line, behind a mark that ends
    /// another or behind a status; or in the `message` of an error that a gateway passes on as JSON.
    fn begins_sentence(&self, at: usize) -> bool {
        let before = &self.text[..at];
        if is_value_of_message(before) {
            return true;
        }
        let before_status = before.trim_end().trim_end_matches(|c: char| c.is_ascii_digit());
        let before_status = before_status.trim_end();
        let is_new_line = before[before.trim_end().len()..].contains('\n');
        let is_new = before_status.is_empty() || before_status.ends_with(SENTENCE_ENDS);
        (is_new || is_new_line) && !self.is_quoted(at)
    }

    fn is_quoted(&self, at: usize) -> bool {
        self.quoted.get(at).copied().unwrap_or(false)
    }
}

const SENTENCE_ENDS: [char; 6] = [':', '.', ']', '-', '!', '>'];

/// Whether `before` ends with `"message":"`, or the like with escapes and spaces.
fn is_value_of_message(before: &str) -> bool {
    let marks = ['"', '\\', ' '];
    let is_text = before.ends_with('"');
    let key =
        before.trim_end_matches(marks).strip_suffix(':').map(|key| key.trim_end_matches(marks));
    is_text
        && key.is_some_and(|key| {
            ["message", "error", "detail"].iter().any(|name| key.ends_with(name))
        })
}

/// An apostrophe within a word is no quotation mark.
fn quoted_bytes(text: &str) -> Vec<bool> {
    let mut open: Option<char> = None;
    let mut quoted = Vec::with_capacity(text.len());
    let mut previous = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        quoted.resize(quoted.len() + c.len_utf8(), open.is_some());
        let is_in_word =
            previous.is_alphanumeric() && chars.peek().is_some_and(|next| next.is_alphanumeric());
        if matches!(c, '"' | '`') || (c == '\'' && !is_in_word) {
            open = match open {
                None => Some(c),
                Some(mark) if mark == c => None,
                other => other,
            };
        }
        previous = c;
    }
    quoted
}

/// Whether `text` starts with `start` (in lower case), in any case.
pub(super) fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

/// Whether `part` (in lower case) is in `text`, in any case.
pub(super) fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(part)
}

/// The next word of `text` as an id: without the marks around it, and what follows it.
pub(super) fn id(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    let marks = |c: char| matches!(c, '\'' | '"' | '`' | '.' | ',' | ':' | '[' | ']' | '(' | ')');
    let id = word.trim_matches(marks);
    // A gateway's JSON goes on behind the sentence.
    let id = id.split(['"', '\'', '`', '\\']).next().unwrap_or_default().trim_end_matches('.');
    is_id(id).then(|| id.to_owned())
}

/// What stands in the quotation marks that `text` begins with, and what follows them.
pub(super) fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '`' | '"'))?;
    text[1..].split_once(mark)
}

/// Whether a text can be an id.
pub(super) fn is_id(id: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    !id.is_empty() && id.len() <= MAX_ID_BYTES && !id.contains(is_odd)
}

/// The number that follows `before` (in lower case) in `text`.
pub(super) fn number_after(text: &str, before: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let (_, rest) = lower.split_once(before)?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit() && !c.is_alphabetic());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}
