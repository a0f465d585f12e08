//! What can go wrong here.

use longhaul_history::EditError;

/// Why a compaction failed. The conversation is as it was.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bridge template was not rendered. No input is known to cause it: a template with two
    /// text slots fails only if its engine does, so report it as a bug.
    #[error("the bridge message could not be rendered: {0}")]
    Render(String),
    /// The model could not be asked; whoever asked it knows why.
    #[error("the model could not be asked for a summary")]
    Model,
    /// The model answered without a text. Ask another, or with another prompt.
    #[error("the model answered without a summary")]
    NoSummary,
    /// The request for a summary is too long, whatever is left out of it. A model with a larger
    /// window may do it; else begin a new session.
    #[error("the request for a summary is too long, even with {trimmed_items} items left out")]
    RequestTooLong {
        /// Items that were left out of it.
        trimmed_items: usize,
    },
    /// What has to be kept does not fit. Pin less, keep a shorter tail, or use a larger window.
    #[error("what is to be kept takes {tokens} tokens, and {ceiling} are free for it")]
    TooLarge {
        /// Calibrated tokens of a request with the result.
        tokens: u64,
        /// The most that it may have.
        ceiling: u64,
    },
    /// The result is no smaller than what it replaces. The model said too much.
    #[error("the result would take {after} tokens, and the conversation takes {before}")]
    NotSmaller {
        /// Calibrated tokens of a request before.
        before: u64,
        /// Calibrated tokens of a request with the result.
        after: u64,
    },
    /// A result lacks something that has to be kept. The strategy or the hook that made it is at
    /// fault.
    #[error("the result of `{strategy}` lacks {what}")]
    Lacks {
        /// Who made it.
        strategy: String,
        /// What is missing: `the initial context`, `a pinned item`, `the user's last message`,
        /// `the other half of a call`.
        what: &'static str,
    },
    /// A strategy kept items that are not there, or in another order. It is at fault.
    #[error("the result cannot be put together: {0}")]
    Edit(#[from] EditError),
    /// The host's hook said no.
    #[error("the host refused the result: {0}")]
    Vetoed(String),
    /// A bound of the configuration was reached before there was a result: `requests`, `tokens` or
    /// `time`.
    #[error("the compaction's bound on {0} is reached")]
    Bound(&'static str),
    /// Nothing stands in the conversation that could be left out.
    #[error("there is nothing to leave out of the conversation")]
    NothingToDo,
    /// The conversation was changed at its beginning while it was being compacted. Compact again.
    #[error("the conversation was changed while it was being compacted")]
    Changed,
}
