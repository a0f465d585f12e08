//! The conversation as most agents keep it, for comparison: a locked list of typed items, copied,
//! searched and serialised anew for each request.
//!
//! Each step is one that the seed takes: a copy of the list under its lock; on it, for each call
//! and each output, a linear search for the counterpart, the second after another copy; a copy
//! without the reasoning of earlier turns; a copy for the request, which becomes a tree of JSON
//! values and then bytes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An item, as a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TypedItem {
    /// A message of a role.
    Message {
        /// Who speaks.
        role: String,
        /// Its parts.
        content: Vec<Part>,
    },
    /// Reasoning.
    Reasoning {
        /// Its summaries.
        summary: Vec<Part>,
        /// Its encrypted form.
        encrypted_content: String,
    },
    /// A call of a function.
    FunctionCall {
        /// Pairs it with its output.
        call_id: String,
        /// The function.
        name: String,
        /// JSON as the model wrote it.
        arguments: String,
    },
    /// What a function gave.
    FunctionCallOutput {
        /// Pairs it with its call.
        call_id: String,
        /// The text.
        output: String,
    },
    /// A call of a free-form tool.
    CustomToolCall {
        /// Pairs it with its output.
        call_id: String,
        /// The tool.
        name: String,
        /// How far it is.
        status: String,
        /// The text that the model wrote.
        input: String,
    },
    /// What a free-form tool gave.
    CustomToolCallOutput {
        /// Pairs it with its call.
        call_id: String,
        /// The text.
        output: String,
    },
}

/// A text in a message or a summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What kind of text.
    pub r#type: String,
    /// The text.
    pub text: String,
}

/// What one item is to another.
#[derive(PartialEq)]
enum Side<'a> {
    Call(&'a str, bool),
    Output(&'a str, bool),
    Neither,
}

impl TypedItem {
    fn side(&self) -> Side<'_> {
        match self {
            Self::FunctionCall { call_id, .. } => Side::Call(call_id, false),
            Self::CustomToolCall { call_id, .. } => Side::Call(call_id, true),
            Self::FunctionCallOutput { call_id, .. } => Side::Output(call_id, false),
            Self::CustomToolCallOutput { call_id, .. } => Side::Output(call_id, true),
            Self::Message { .. } | Self::Reasoning { .. } => Side::Neither,
        }
    }

    fn is_user(&self) -> bool {
        matches!(self, Self::Message { role, .. } if role == "user")
    }
}

/// A session's conversation.
#[derive(Default)]
pub struct Session {
    items: Mutex<Vec<TypedItem>>,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(flatten)]
    head: &'a Map<String, Value>,
    input: Vec<TypedItem>,
}

impl Session {
    /// A session that has these items.
    pub fn new(items: Vec<TypedItem>) -> Self {
        Self { items: Mutex::new(items) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TypedItem>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an item.
    pub fn record(&self, item: TypedItem) {
        self.lock().push(item);
    }

    /// A session that goes its own way from here.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(self.lock().clone())
    }

    /// A copy of the conversation, well formed.
    pub fn normalised(&self) -> Vec<TypedItem> {
        let mut items = self.lock().clone();
        normalise(&mut items);
        items
    }

    /// What a model is to see.
    pub fn prompt(&self) -> Vec<TypedItem> {
        let items = self.normalised();
        let contents = items.clone();
        let last_user = contents.iter().rposition(TypedItem::is_user).unwrap_or(0);
        let is_seen = |(index, item): &(usize, TypedItem)| {
            *index >= last_user || !matches!(item, TypedItem::Reasoning { .. })
        };
        contents.into_iter().enumerate().filter(is_seen).map(|(_, item)| item).collect()
    }

    /// The body of the next request, with what `head` has besides the conversation.
    ///
    /// # Errors
    ///
    /// None: every item can be serialised.
    pub fn request_body(&self, head: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
        let prompt = self.prompt();
        let request = Request { head, input: prompt.clone() };
        serde_json::to_vec(&serde_json::to_value(&request)?)
    }

    /// Removes the oldest item and its counterpart, until `count` items are gone.
    pub fn remove_oldest(&self, count: usize) {
        let mut items = self.lock();
        let left = items.len().saturating_sub(count);
        while items.len() > left {
            let removed = items.remove(0);
            let counterpart = match removed.side() {
                Side::Call(id, custom) => Side::Output(id, custom),
                Side::Output(id, custom) => Side::Call(id, custom),
                Side::Neither => continue,
            };
            if let Some(index) = items.iter().position(|item| item.side() == counterpart) {
                items.remove(index);
            }
        }
    }
}

/// Answers calls without an output and removes outputs without a call.
fn normalise(items: &mut Vec<TypedItem>) {
    let missing: Vec<(usize, TypedItem)> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| Some((index, missing_output(item, items)?)))
        .collect();
    for (index, output) in missing.into_iter().rev() {
        items.insert(index + 1, output);
    }
    let all = items.clone();
    items.retain(|item| match item.side() {
        Side::Output(id, custom) => all.iter().any(|other| other.side() == Side::Call(id, custom)),
        _ => true,
    });
}

/// The output of a call that has none.
fn missing_output(item: &TypedItem, items: &[TypedItem]) -> Option<TypedItem> {
    let Side::Call(id, custom) = item.side() else {
        return None;
    };
    if items.iter().any(|other| other.side() == Side::Output(id, custom)) {
        return None;
    }
    let (call_id, output) = (id.to_owned(), "aborted".to_owned());
    Some(if custom {
        TypedItem::CustomToolCallOutput { call_id, output }
    } else {
        TypedItem::FunctionCallOutput { call_id, output }
    })
}
