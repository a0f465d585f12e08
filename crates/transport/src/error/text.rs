//! Text of a server, fit for an error.

/// Server text in an error is cut at this many bytes: enough for a person, little for a log.
pub const MAX_SERVER_TEXT_BYTES: usize = 1024;

/// Text of a server, fit for an error: one line, bounded, without control characters.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_SERVER_TEXT_BYTES));
    for c in text.trim().chars() {
        if clean.len() + c.len_utf8() > MAX_SERVER_TEXT_BYTES {
            clean.push('…');
            break;
        }
        clean.push(if c.is_control() { ' ' } else { c });
    }
    clean
}
