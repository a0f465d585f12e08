//! What can be wrong with a line or an id.

/// An error of this crate.
///
/// Excerpts are of the offending text: at most 80 chars, control characters replaced by `U+FFFD`.
/// They may still hold words of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The line is not JSON: damaged on disk, or not a log.
    #[error("not JSON at column {column}: `{excerpt}`")]
    NotJson {
        /// Where the parser stopped, in bytes from 1; 0 if the line is empty.
        column: usize,
        /// The beginning of the line.
        excerpt: String,
    },
    /// The line is JSON, but not an object: not a line of a session log.
    #[error("not a JSON object: `{excerpt}`")]
    NotAnObject {
        /// The beginning of the line.
        excerpt: String,
    },
    /// The envelope lacks one of its three fields: another program's log.
    #[error("the field `{field}` is missing: `{excerpt}`")]
    MissingField {
        /// The name of the field.
        field: &'static str,
        /// The beginning of the line.
        excerpt: String,
    },
    /// The envelope has one of its three fields twice, so its meaning is a guess.
    #[error("the field `{field}` is repeated: `{excerpt}`")]
    RepeatedField {
        /// The name of the field.
        field: &'static str,
        /// The beginning of the line.
        excerpt: String,
    },
    /// The envelope's `type` is not a string.
    #[error("`type` is not a string: `{excerpt}`")]
    BadType {
        /// The beginning of the value.
        excerpt: String,
    },
    /// The envelope's `timestamp` is not a string that holds an instant as RFC 3339 writes it.
    #[error("`timestamp` is not an RFC 3339 instant: `{excerpt}`")]
    BadTimestamp {
        /// The beginning of the value.
        excerpt: String,
    },
    /// The line does not end as a sealed one does, with its checksum: damaged, or another program's.
    #[error("the line has no checksum: `{excerpt}`")]
    NotSealed {
        /// The beginning of the line.
        excerpt: String,
    },
    /// The line is not as it was written: damaged on disk.
    #[error("the checksum is {stated:08x}, that of the line is {computed:08x}")]
    BadChecksum {
        /// What the line says.
        stated: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The envelope's `ordinal` or `epoch` is not a number from 0 to 2^64: a writer's mistake.
    #[error("`{field}` is not a number: `{excerpt}`")]
    BadNumber {
        /// The name of the field.
        field: &'static str,
        /// The beginning of the value.
        excerpt: String,
    },
    /// A session id is not a UUID: the caller's mistake. Nothing else is let into a path.
    #[error("a session id must be a UUID of 36 characters, not `{excerpt}`")]
    BadSessionId {
        /// The beginning of the id.
        excerpt: String,
    },
}

const EXCERPT_CHARS: usize = 80;

/// The beginning of `text`, safe to print.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let longest = text.len().min(EXCERPT_CHARS * 4);
    String::from_utf8_lossy(&text[..longest])
        .chars()
        .take(EXCERPT_CHARS)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}
