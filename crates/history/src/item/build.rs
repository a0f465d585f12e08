//! Items that a client makes.

use serde::Serialize;
use serde_json::json;

use super::{CallKind, ContentPart, Item, OutputPart, Role};

/// What a call gave back.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CallOutput {
    /// A text.
    Text(String),
    /// Texts and images, in order.
    Parts(Vec<OutputPart>),
}

impl CallOutput {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl Serialize for CallOutput {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

/// The fields of items that are built here, in the order in which they are written.
#[derive(Serialize)]
struct Fields<'a, T: Serialize> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    #[serde(flatten)]
    rest: T,
}

fn build(fields: &Fields<'_, impl Serialize>) -> Item {
    // Strings, numbers and lists of them always serialise; the empty object is unreachable.
    let json = serde_json::to_string(fields).unwrap_or_else(|_| "{}".into());
    Item::from_object(&json)
}

fn without_id<T: Serialize>(r#type: &'static str, call_id: Option<&str>, rest: T) -> Item {
    build(&Fields { r#type, id: None, call_id, rest })
}

#[derive(Serialize)]
struct MessageFields<'a> {
    role: Role,
    content: &'a [ContentPart],
}

impl Item {
    /// A message of the user with one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::message(Role::User, &[ContentPart::InputText { text: text.into() }])
    }

    /// A message of the model with one text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::message(Role::Assistant, &[ContentPart::OutputText { text: text.into() }])
    }

    /// A message.
    pub fn message(role: Role, content: &[ContentPart]) -> Self {
        without_id("message", None, MessageFields { role, content })
    }

    /// A message with an id of the caller's, which shows in events and logs, never on the wire.
    pub fn message_with_id(id: &str, role: Role, content: &[ContentPart]) -> Self {
        build(&Fields {
            r#type: "message",
            id: Some(id),
            call_id: None,
            rest: MessageFields { role, content },
        })
    }

    /// A call of a function tool; `arguments` is JSON as the model wrote it.
    pub fn function_call(call_id: &str, name: &str, arguments: &str) -> Self {
        let rest = json!({"name": name, "arguments": arguments});
        without_id("function_call", Some(call_id), rest)
    }

    /// The output of a function tool or of a local shell call.
    pub fn function_call_output(call_id: &str, output: CallOutput) -> Self {
        Self::output(CallKind::Function, call_id, output)
    }

    /// A call of a free-form tool.
    pub fn custom_tool_call(call_id: &str, name: &str, input: &str) -> Self {
        let rest = json!({"name": name, "input": input});
        without_id("custom_tool_call", Some(call_id), rest)
    }

    /// The output of a free-form tool.
    pub fn custom_tool_call_output(call_id: &str, output: CallOutput) -> Self {
        Self::output(CallKind::Custom, call_id, output)
    }

    /// The output that answers a call of `kind`.
    #[expect(clippy::needless_pass_by_value, reason = "an output is made for its item")]
    pub fn output(kind: CallKind, call_id: &str, output: CallOutput) -> Self {
        #[derive(Serialize)]
        struct Output<'a> {
            output: &'a CallOutput,
        }
        let r#type = match kind {
            CallKind::Function | CallKind::LocalShell => "function_call_output",
            CallKind::Custom => "custom_tool_call_output",
        };
        without_id(r#type, Some(call_id), Output { output: &output })
    }

    /// Reasoning with summary texts, and the encrypted form if there is one.
    pub fn reasoning(summary: &[&str], encrypted_content: Option<&str>) -> Self {
        #[derive(Serialize)]
        struct Reasoning<'a> {
            summary: Vec<serde_json::Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            encrypted_content: Option<&'a str>,
        }
        let summary =
            summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
        let rest = Reasoning { summary, encrypted_content };
        without_id("reasoning", None, rest)
    }
}
