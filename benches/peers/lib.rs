//! The same conversation in longhaul and in its peer, for the benchmarks beside this file.
//!
//! nanocodex is used as its own driver uses it: items without the ids of their server, sealed into
//! a shared segment at the end of each turn.

#[cfg(feature = "turn")]
#[path = "../src/answer.rs"]
pub mod answer;
#[cfg(feature = "turn")]
#[path = "../src/deltas.rs"]
pub mod deltas;
#[cfg(feature = "turn")]
#[path = "../src/loopback.rs"]
pub mod loopback;
#[cfg(feature = "turn")]
#[path = "../src/naive.rs"]
pub mod naive;
#[path = "../src/session.rs"]
pub mod session;
#[cfg(feature = "turn")]
#[path = "../src/turns.rs"]
pub mod turns;

use std::error::Error;

use longhaul_history::{History, Prompt, ReasoningFilter};
use nanocodex_core::ResponseItem;
use nanocodex_core::responses::{ResponseHistory, ResponsesInput};
use serde::Deserialize;
use serde_json::Value;

/// A conversation, in both stores.
pub struct Both {
    /// In longhaul.
    pub longhaul: History,
    /// In nanocodex.
    pub nanocodex: ResponseHistory,
}

impl Both {
    /// The first `len` items of a coding session.
    ///
    /// # Errors
    ///
    /// If the two would not send the same.
    pub fn new(len: usize) -> Result<Self, Box<dyn Error>> {
        let values = session::sent_with_all_reasoning(len);
        let nanocodex = nanocodex(&values)?;
        let both = Self { longhaul: session::history(len)?, nanocodex };
        let sent = [longhaul_body(&both.longhaul), nanocodex_body(&both.nanocodex)?];
        for body in sent {
            if serde_json::from_slice::<Vec<Value>>(&body)? != values {
                return Err("both stores send the same items".into());
            }
        }
        Ok(both)
    }
}

/// A conversation of these items, each turn sealed when the next one begins.
///
/// # Errors
///
/// If nanocodex knows no such item.
pub fn nanocodex(values: &[Value]) -> serde_json::Result<ResponseHistory> {
    let mut history = ResponseHistory::default();
    for (index, value) in values.iter().enumerate() {
        if index.is_multiple_of(session::TURN_ITEMS) {
            history.commit_tail();
        }
        history.push(ResponseItem::deserialize(value)?);
    }
    Ok(history)
}

/// What nanocodex has of an item: the wire form.
///
/// # Errors
///
/// If it knows no such item.
pub fn nanocodex_item(item: &longhaul_history::Item) -> serde_json::Result<ResponseItem> {
    let mut item: ResponseItem = serde_json::from_str(item.json())?;
    item.strip_id();
    Ok(item)
}

/// The snapshot of longhaul that holds what nanocodex sends: reasoning of all turns.
pub fn longhaul_prompt(history: &History) -> Prompt {
    history.prompt(ReasoningFilter::KeepAll)
}

/// All items as the JSON array of a request.
pub fn longhaul_body(history: &History) -> Vec<u8> {
    let mut body = Vec::new();
    longhaul_prompt(history).write_json(&mut body);
    body
}

/// All items as the JSON array of a request.
///
/// # Errors
///
/// None: every item can be serialised.
pub fn nanocodex_body(history: &ResponseHistory) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&ResponsesInput::history(&[], history, None))
}
