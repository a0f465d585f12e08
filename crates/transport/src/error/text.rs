//! Text of a server, fit for an error.

/// Server text in an error is cut at this many bytes: enough for a person, little for a log.
pub const MAX_SERVER_TEXT_BYTES: usize = 1024;

/// Text of a server, fit for an error: one line, bounded, without control characters.
pub(crate) fn clean(text: &str) -> String {
    bounded(text, MAX_SERVER_TEXT_BYTES)
}

/// A whole message, with our words around the server's.
pub(crate) fn clean_message(text: &str) -> String {
    bounded(text, 2 * MAX_SERVER_TEXT_BYTES)
}

fn bounded(text: &str, max_bytes: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(max_bytes));
    for c in text.trim().chars() {
        if clean.len() + c.len_utf8() > max_bytes {
            clean.push('…');
            break;
        }
        clean.push(if c.is_control() { ' ' } else { c });
    }
    clean
}
