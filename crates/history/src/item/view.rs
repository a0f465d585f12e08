//! A typed view of what an item holds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CallOutput, Item, ItemKind, Role};

/// What is in an item. Read it for logic and display; the item's JSON stays the truth.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ItemView {
    /// A message.
    Message {
        /// Who speaks.
        role: Role,
        /// Its parts, in order.
        content: Vec<ContentPart>,
    },
    /// Reasoning.
    Reasoning {
        /// The summary texts.
        summary: Vec<String>,
        /// The raw texts, where the server shows them.
        content: Vec<String>,
        /// The encrypted form, where the server sends it; may be empty.
        encrypted_content: Option<String>,
    },
    /// A call of a function tool.
    FunctionCall {
        /// The tool.
        name: String,
        /// JSON as the model wrote it; it may be invalid.
        arguments: String,
    },
    /// A call of a free-form tool.
    CustomToolCall {
        /// The tool.
        name: String,
        /// The text that the model wrote.
        input: String,
    },
    /// A call of the hosted local shell.
    LocalShellCall {
        /// What to run, as the server wrote it.
        action: Value,
    },
    /// The output of a call of any kind.
    Output(CallOutput),
    /// A search that the server ran.
    WebSearchCall {
        /// What was searched for; empty for other actions.
        query: String,
    },
    /// Any other item: read its JSON.
    Other,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentPart {
    /// Text from the user's side.
    InputText {
        /// The text.
        text: String,
    },
    /// An image from the user's side.
    InputImage {
        /// A web address or a `data:` URL.
        image_url: String,
    },
    /// Text of the model.
    OutputText {
        /// The text.
        text: String,
    },
    /// The model refuses, in these words.
    Refusal {
        /// The words.
        refusal: String,
    },
    /// A part that this crate does not know.
    #[serde(other)]
    Other,
}

/// A part of a call's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputPart {
    /// A text.
    InputText {
        /// The text.
        text: String,
    },
    /// An image.
    InputImage {
        /// A web address or a `data:` URL.
        image_url: String,
    },
    /// A part that this crate does not know.
    #[serde(other)]
    Other,
}

impl ContentPart {
    /// The text of the part, whoever wrote it.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText { text } | Self::OutputText { text } => Some(text),
            Self::Refusal { refusal } => Some(refusal),
            Self::InputImage { .. } | Self::Other => None,
        }
    }
}

impl ItemView {
    /// The tool that is called, and what it gets: JSON as the model wrote it, free text, or the action of a
    /// local shell call. `None` of what no client answers.
    ///
    /// ```
    /// use longhaul_history::{Item, ItemView};
    ///
    /// let call = r#"{"type":"custom_tool_call","call_id":"c","name":"apply_patch","input":"+ a"}"#;
    /// let called = Item::from_json(call)?.view().into_call();
    /// assert_eq!(called, Some(("apply_patch".into(), "+ a".into())));
    /// assert_eq!(Item::user("patch it").view().into_call(), None);
    /// # Ok::<(), longhaul_history::ItemError>(())
    /// ```
    pub fn into_call(self) -> Option<(String, String)> {
        match self {
            Self::FunctionCall { name, arguments } => Some((name, arguments)),
            Self::CustomToolCall { name, input } => Some((name, input)),
            Self::LocalShellCall { action } => Some(("local_shell".into(), action.to_string())),
            _ => None,
        }
    }
}

pub(super) fn read(item: &Item) -> ItemView {
    let json = &item.text();
    let view = match item.kind() {
        ItemKind::Message(role) => message(json, role),
        ItemKind::Reasoning => reasoning(json),
        ItemKind::FunctionCall => function_call(json),
        ItemKind::CustomToolCall => custom_tool_call(json),
        ItemKind::LocalShellCall => local_shell_call(json),
        ItemKind::WebSearchCall => web_search_call(json),
        kind if kind.is_output() => output(json),
        _ => None,
    };
    view.unwrap_or(ItemView::Other)
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOr<T> {
    Text(String),
    Parts(Vec<T>),
}

fn message(json: &str, role: Role) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Message {
        content: TextOr<ContentPart>,
    }
    let content = match parse::<Message>(json)?.content {
        TextOr::Parts(parts) => parts,
        TextOr::Text(text) if role == Role::Assistant => vec![ContentPart::OutputText { text }],
        TextOr::Text(text) => vec![ContentPart::InputText { text }],
    };
    Some(ItemView::Message { role, content })
}

fn reasoning(json: &str) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Reasoning {
        #[serde(default)]
        summary: Option<Vec<Text>>,
        #[serde(default)]
        content: Option<Vec<Text>>,
        encrypted_content: Option<String>,
    }
    #[derive(Deserialize)]
    struct Text {
        #[serde(default)]
        text: String,
    }
    let texts = |parts: Option<Vec<Text>>| -> Vec<String> {
        parts.into_iter().flatten().map(|part| part.text).collect()
    };
    let reasoning: Reasoning = parse(json)?;
    Some(ItemView::Reasoning {
        summary: texts(reasoning.summary),
        content: texts(reasoning.content),
        encrypted_content: reasoning.encrypted_content,
    })
}

fn function_call(json: &str) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Call {
        name: String,
        arguments: String,
    }
    let Call { name, arguments } = parse(json)?;
    Some(ItemView::FunctionCall { name, arguments })
}

fn custom_tool_call(json: &str) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Call {
        name: String,
        input: String,
    }
    let Call { name, input } = parse(json)?;
    Some(ItemView::CustomToolCall { name, input })
}

fn local_shell_call(json: &str) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Call {
        #[serde(default)]
        action: Value,
    }
    let Call { action } = parse(json)?;
    Some(ItemView::LocalShellCall { action })
}

fn web_search_call(json: &str) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Call {
        #[serde(default)]
        action: Option<Action>,
    }
    #[derive(Deserialize)]
    struct Action {
        #[serde(default)]
        query: Option<String>,
    }
    let query = parse::<Call>(json)?.action.and_then(|action| action.query);
    Some(ItemView::WebSearchCall { query: query.unwrap_or_default() })
}

fn output(json: &str) -> Option<ItemView> {
    #[derive(Deserialize)]
    struct Output {
        output: TextOr<OutputPart>,
    }
    Some(ItemView::Output(match parse::<Output>(json)?.output {
        TextOr::Text(text) => CallOutput::Text(text),
        TextOr::Parts(parts) => CallOutput::Parts(parts),
    }))
}
