//! Items as a user interface shows them.

mod context;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::{ContentPart, Item, ItemKind, ItemView, Role};

pub use context::{is_context, is_user_message};

/// An item that a user interface shows, under an id that stays the same from its start to its end,
/// and in every later session that holds the item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnItem {
    /// The server's id for it, or one that the client made.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: TurnItemKind,
}

/// What a user interface shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnItemKind {
    /// What the user said.
    UserMessage {
        /// Texts and images in order.
        content: Vec<UserPart>,
    },
    /// What the model said.
    AgentMessage {
        /// Its texts in order.
        content: Vec<AgentPart>,
    },
    /// What the model thought.
    Reasoning {
        /// Summaries.
        summary_text: Vec<String>,
        /// Raw reasoning, where the server shows it.
        raw_content: Vec<String>,
    },
    /// A search that the server ran.
    WebSearch {
        /// What for; empty while a search that has begun does not say.
        query: String,
    },
    /// The conversation was compacted, by the server or by the client.
    ContextCompaction,
}

/// A part of what the user said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserPart {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    Image {
        /// A web address or a `data:` URL.
        image_url: String,
    },
}

/// A part of what the model said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AgentPart {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
}

impl TurnItem {
    /// What is shown of `item`; `None` for calls, outputs, context messages and unknown items.
    ///
    /// Its id is the one that the item carries ([`Item::shown_id`]), so that it is the same after a
    /// resume. An item that carries none (sessions of others hold such) is shown under a digest of its
    /// JSON: that is the same after a resume too, but two items that are equal to the byte share it.
    ///
    /// ```
    /// use longhaul_history::Item;
    /// use longhaul_history::turn_item::{TurnItem, TurnItemKind};
    ///
    /// let item = Item::from_json(r#"{"type":"compaction","id":"cmp_1","encrypted_content":"…"}"#)?;
    /// let shown = TurnItem { id: "cmp_1".into(), kind: TurnItemKind::ContextCompaction };
    /// assert_eq!(TurnItem::of(&item), Some(shown));
    /// # Ok::<(), longhaul_history::ItemError>(())
    /// ```
    pub fn of(item: &Item) -> Option<Self> {
        let kind = TurnItemKind::of(item)?;
        let carried = item.shown_id().map(Cow::into_owned);
        Some(Self { id: carried.unwrap_or_else(|| digest(item.json())), kind })
    }
}

/// By XXH3, which is the same on every machine and in every version.
fn digest(json: &str) -> String {
    format!("item_{:016x}", XxHash3_64::oneshot(json.as_bytes()))
}

impl TurnItemKind {
    /// What is shown of `item`; `None` for calls, outputs, context messages and unknown items, and
    /// for what a server does on the web besides searching.
    ///
    /// A server may announce a search before it says what for: that is shown as a search too.
    pub fn of(item: &Item) -> Option<Self> {
        if item.kind() == ItemKind::Compaction || item.is_bridge() {
            return Some(Self::ContextCompaction);
        }
        match item.view() {
            ItemView::Message { role: Role::User, .. } if is_context(item) => None,
            ItemView::Message { role: Role::User, content } => Some(user_message(content)),
            ItemView::Message { role: Role::Assistant, content } => Some(agent_message(&content)),
            ItemView::Reasoning { summary, content, .. } => {
                Some(Self::Reasoning { summary_text: summary, raw_content: content })
            }
            ItemView::WebSearchCall { query } if is_search(item) => Some(Self::WebSearch { query }),
            _ => None,
        }
    }

    /// The texts of a message, joined; `None` for anything else.
    pub fn message_text(&self) -> Option<String> {
        match self {
            Self::UserMessage { content } => {
                Some(content.iter().filter_map(UserPart::text).collect())
            }
            Self::AgentMessage { content } => {
                Some(content.iter().filter_map(AgentPart::text).collect())
            }
            _ => None,
        }
    }
}

impl AgentPart {
    /// The text of the part.
    pub fn text(&self) -> Option<&str> {
        let Self::Text { text } = self;
        Some(text)
    }
}

impl UserPart {
    /// The text of the part.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Image { .. } => None,
        }
    }
}

fn user_message(content: Vec<ContentPart>) -> TurnItemKind {
    let labels: Vec<bool> = (0..content.len()).map(|at| is_image_label(&content, at)).collect();
    let parts = content.into_iter().zip(labels).filter(|(_, is_label)| !is_label);
    let shown = parts.filter_map(|(part, _)| match part {
        ContentPart::InputText { text } => Some(UserPart::Text { text }),
        ContentPart::InputImage { image_url } => Some(UserPart::Image { image_url }),
        _ => None,
    });
    TurnItemKind::UserMessage { content: shown.collect() }
}

/// Codex puts each image between two tags, for the model; its user did not write them.
fn is_image_label(content: &[ContentPart], at: usize) -> bool {
    let is_image = |at: Option<usize>| {
        matches!(at.and_then(|at| content.get(at)), Some(ContentPart::InputImage { .. }))
    };
    match content.get(at) {
        Some(ContentPart::InputText { text }) if text == "</image>" => is_image(at.checked_sub(1)),
        Some(ContentPart::InputText { text }) => {
            let is_opening = text.starts_with("<image name=") && text.ends_with('>');
            (text == "<image>" || is_opening) && is_image(at.checked_add(1))
        }
        _ => false,
    }
}

/// Whether a web search call searches, or does not say yet what it does.
fn is_search(item: &Item) -> bool {
    #[derive(Deserialize)]
    struct Call {
        action: Option<Action>,
    }
    #[derive(Deserialize)]
    struct Action {
        r#type: Option<String>,
    }
    let call: Option<Call> = serde_json::from_str(item.json()).ok();
    let action = call.and_then(|call| call.action?.r#type);
    action.is_none_or(|action| action == "search")
}

fn agent_message(content: &[ContentPart]) -> TurnItemKind {
    let texts = content.iter().filter_map(ContentPart::text);
    TurnItemKind::AgentMessage {
        content: texts.map(|text| AgentPart::Text { text: text.into() }).collect(),
    }
}
