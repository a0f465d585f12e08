//! Reading a typed answer.

use serde::de::{DeserializeOwned, IgnoredAny};

/// Reads an answer that is to be JSON of a `T`.
///
/// White space around it, a byte order mark before it, and one fence of ```` ```json ```` around the
/// whole of it, which models write where the server knows no schema, are no part of it. Nothing else
/// is repaired.
///
/// ```
/// use longhaul::output::{AnswerError, read};
///
/// let fenced = "```json\n[1, null]\n```";
/// assert_eq!(read::<Vec<Option<u8>>>(fenced).ok(), Some(vec![Some(1), None]));
/// assert!(matches!(read::<u8>("It is 7."), Err(AnswerError::NotJson(_))));
/// ```
///
/// # Errors
///
/// [`AnswerError`], which tells prose from JSON of another shape.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, AnswerError> {
    let json = bare(text);
    if json.is_empty() {
        return Err(AnswerError::Empty);
    }
    serde_json::from_str(json).map_err(|error| match serde_json::from_str::<IgnoredAny>(json) {
        Ok(_) => AnswerError::Mismatch(error),
        Err(error) => AnswerError::NotJson(error),
    })
}

/// Why an answer cannot be read. The model or its server is at fault, not the caller.
///
/// The messages may quote the answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Nothing was said.
    #[error("the answer is empty: ask again, or look at how the response ended")]
    Empty,
    /// Prose, or JSON that was cut off (`is_eof` of the source): the server did not hold the model
    /// to the schema, or the response ended early.
    #[error("the answer is not JSON ({0}): does the server know output schemas?")]
    NotJson(#[source] serde_json::Error),
    /// JSON of another shape. Its source names the field or the place, line and column being those
    /// of the JSON alone.
    #[error("the answer does not fit: {0}")]
    Mismatch(#[source] serde_json::Error),
}

/// `text` without what may stand around JSON.
fn bare(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let fenced = text.strip_prefix("```json").and_then(|rest| rest.strip_suffix("```"));
    fenced.map_or(text, str::trim)
}
