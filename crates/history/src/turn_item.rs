//! Items as a user interface shows them.

use serde::{Deserialize, Serialize};

use crate::{ContentPart, Item, ItemView, Role};

/// An item that a user interface shows, under an id that stays the same from its start to its end.
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
        /// What for.
        query: String,
    },
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

/// A message in the user's place that begins with one of these is context, not the user's words.
const CONTEXT_TAGS: [&str; 2] = ["<environment_context>", "<user_instructions>"];

impl TurnItemKind {
    /// What is shown of `item`; `None` for calls, outputs, context messages and unknown items.
    pub fn of(item: &Item) -> Option<Self> {
        match item.view() {
            ItemView::Message { role: Role::User, content } => user_message(content),
            ItemView::Message { role: Role::Assistant, content } => Some(agent_message(&content)),
            ItemView::Reasoning { summary, content, .. } => {
                Some(Self::Reasoning { summary_text: summary, raw_content: content })
            }
            ItemView::WebSearchCall { query } => Some(Self::WebSearch { query }),
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

fn user_message(content: Vec<ContentPart>) -> Option<TurnItemKind> {
    if content.iter().filter_map(ContentPart::text).any(is_context) {
        return None;
    }
    let shown = content.into_iter().filter_map(|part| match part {
        ContentPart::InputText { text } => Some(UserPart::Text { text }),
        ContentPart::InputImage { image_url } => Some(UserPart::Image { image_url }),
        _ => None,
    });
    Some(TurnItemKind::UserMessage { content: shown.collect() })
}

fn is_context(text: &str) -> bool {
    let text = text.trim_start().as_bytes();
    let begins_with = |tag: &&str| {
        let start = text.get(..tag.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    CONTEXT_TAGS.iter().any(begins_with)
}

fn agent_message(content: &[ContentPart]) -> TurnItemKind {
    let texts = content.iter().filter_map(ContentPart::text);
    TurnItemKind::AgentMessage {
        content: texts.map(|text| AgentPart::Text { text: text.into() }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<TurnItemKind> {
        TurnItemKind::of(&Item::from_json(json).unwrap())
    }

    #[test]
    fn context_messages_are_never_shown_as_the_users() {
        for text in ["<environment_context>\n", "  <User_Instructions>x", "<ENVIRONMENT_CONTEXT>"] {
            assert_eq!(TurnItemKind::of(&Item::user(text)), None, "{text}");
        }
        assert!(TurnItemKind::of(&Item::user("say <environment_context>")).is_some());
    }

    #[test]
    fn shown_items_keep_their_parts_in_order() {
        let message = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},
            {"type":"input_image","image_url":"data:x"},{"type":"input_text","text":"b"}]}"#;
        let text = |text: &str| UserPart::Text { text: text.into() };
        let image = UserPart::Image { image_url: "data:x".into() };
        let kind = of(message).unwrap();
        assert_eq!(kind.message_text().as_deref(), Some("ab"));
        assert_eq!(kind, TurnItemKind::UserMessage { content: vec![text("a"), image, text("b")] });

        let reasoning = r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"},{"text":"t"}],
            "content":[{"type":"reasoning_text","text":"raw"}]}"#;
        let expected = TurnItemKind::Reasoning {
            summary_text: vec!["s".into(), "t".into()],
            raw_content: vec!["raw".into()],
        };
        assert_eq!(of(reasoning), Some(expected));
        assert_eq!(
            of(r#"{"type":"function_call","name":"n","arguments":"{}","call_id":"c"}"#),
            None
        );
        let item = TurnItem {
            id: "i".into(),
            kind: of(r#"{"type":"web_search_call","action":{"query":"q"}}"#).unwrap(),
        };
        assert_eq!(
            serde_json::to_value(item).unwrap(),
            serde_json::json!({"id": "i", "type": "web_search", "query": "q"})
        );
    }
}
