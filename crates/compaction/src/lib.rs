//! How a conversation is made to fit its context window: the policy of shrinking.
//!
//! When a conversation outgrows its window, a model is asked for a summary
//! ([`SUMMARIZATION_PROMPT`]), and one message takes the place of everything said so far: the
//! [`Bridge`], which quotes the user and passes on the summary. Long user text is truncated in the
//! middle ([`truncate`]).
//!
//! ```
//! use longhaul_compaction::Bridge;
//!
//! let bridge = Bridge {
//!     user_messages: &["Port the parser to Rust.", "Keep the old tests."],
//!     summary: "The lexer is ported; the parser is next.",
//! };
//! let bridged = bridge.render()?;
//! assert!(bridged.text.contains("Port the parser to Rust.\n\nKeep the old tests."));
//! assert!(bridged.text.ends_with("\n\nThe lexer is ported; the parser is next."));
//! assert_eq!(bridged.cut, None);
//! # Ok::<(), longhaul_compaction::Error>(())
//! ```
//!
//! # Out of scope
//!
//! Any I/O, clock or randomness, and the requests to the model: this crate renders text and knows
//! no client. When to compact and which items to keep is not decided here yet.
//!
//! # Modules, in reading order
//!
//! `bridge` (the message that replaces a conversation), `prompt` (what the summarising model is
//! told), [`truncate`] (re-exported from `longhaul-history`), `error`.

mod bridge;
mod error;
mod prompt;

pub use bridge::{Bridge, Bridged, USER_MESSAGE_BUDGET_BYTES, USER_MESSAGE_BUDGET_TOKENS};
pub use error::Error;
pub use longhaul_history::truncate;
pub use prompt::SUMMARIZATION_PROMPT;
