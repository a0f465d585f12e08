//! What the summarising model is told.

/// The prompt that asks for the summary of a [`Bridge`](crate::Bridge).
///
/// It is the last item of the compaction request only: it is recorded neither in the history nor
/// in the log.
pub const SUMMARIZATION_PROMPT: &str =
    include_str!("../templates/summarization.md").trim_ascii_end();
