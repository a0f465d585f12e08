//! What comes back from a model.

mod decode;
mod failure;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_history::usage::TokenUsage;

use crate::RateLimits;

pub use decode::{Decoder, decode};
pub(crate) use failure::{from_http, reported_in};

/// One event of a response.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ResponseEvent {
    /// The server has begun.
    Created {
        /// Its name for the response.
        response_id: Option<String>,
    },
    /// An item begins. It is not finished: do not record it.
    ItemAdded(Item),
    /// The server begins a web search.
    WebSearchBegin {
        /// The search item, unfinished.
        item: Item,
    },
    /// An item is finished. The truth about it; deltas are decoration.
    ItemDone(Item),
    /// A piece of a message's text.
    TextDelta(Delta),
    /// A piece of a reasoning summary.
    ReasoningSummaryDelta(Delta),
    /// A new part of a reasoning summary begins.
    ReasoningSummaryPartAdded,
    /// A piece of raw reasoning.
    ReasoningTextDelta(Delta),
    /// A piece of a call's arguments or input.
    ArgumentsDelta(Delta),
    /// Limits that the response's headers state.
    RateLimits(RateLimits),
    /// The connection is alive: bytes came that brought no event, such as comments or a part of a
    /// large event. It is no progress, and no deadline waits longer for it. Given at most every
    /// [`KEEP_ALIVE_INTERVAL`](crate::KEEP_ALIVE_INTERVAL), in place of silence.
    KeepAlive {
        /// All bytes of the response's body so far.
        received_bytes: u64,
    },
    /// The response is complete. The last event.
    Completed(Completed),
    /// An event that this crate does not know, whole.
    Other {
        /// Its type.
        r#type: String,
        /// Its JSON.
        json: String,
    },
}

impl ResponseEvent {
    /// Whether the stream ends with this event.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed(_))
    }

    /// Whether the server sent it as an event of the response. A sign of life is none, nor is what
    /// the response's head says.
    pub fn is_progress(&self) -> bool {
        !matches!(self, Self::KeepAlive { .. } | Self::RateLimits(_))
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The item that it belongs to, where the server says so. The deltas of one item share it.
    pub item_id: Option<Arc<str>>,
    /// The piece.
    pub text: String,
}

/// The end of a successful response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completed {
    /// The server's name for the response.
    pub response_id: Option<String>,
    /// What it cost, where the server says so.
    pub usage: Option<TokenUsage>,
    /// The items as the terminal event repeats them; may be empty or lack some. See
    /// [`Completed::reconcile`].
    pub output: Vec<Item>,
}

impl Completed {
    /// The items of the response, given those that [`ResponseEvent::ItemDone`] brought.
    ///
    /// Those are the truth. What the server left out of them is taken from
    /// [`output`](Self::output) where that is safe: if none came, or if every one of them is found
    /// there by its id, so that the others were plainly missed. Where the two differ otherwise, a
    /// trace event says so.
    pub fn reconcile(&self, done: Vec<Item>) -> Vec<Item> {
        if !self.output.is_empty() && self.output != done {
            let (streamed, at_end) = (done.len(), self.output.len());
            tracing::debug!(streamed, at_end, "the end of a response repeats other items");
        }
        let known = |item: &Item| done.iter().find(|d| d.id().is_some() && d.id() == item.id());
        let all_found =
            self.output.iter().filter(|item| known(item).is_some()).count() == done.len();
        if self.output.len() <= done.len() || !all_found {
            return done;
        }
        let items = self.output.iter().map(|item| known(item).unwrap_or(item).clone());
        items.collect()
    }
}
