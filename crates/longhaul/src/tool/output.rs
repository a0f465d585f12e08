//! What a tool gives back.

use longhaul_history::{CallOutput, OutputPart};
use serde_json::Value;

/// What a tool gives back to the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    pub(crate) content: CallOutput,
    pub(crate) success: bool,
}

impl ToolOutput {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: CallOutput::text(text), success: true }
    }

    /// A JSON value, which the model gets as text.
    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// Texts and images in order.
    pub fn parts(parts: Vec<OutputPart>) -> Self {
        Self { content: CallOutput::Parts(parts), success: true }
    }

    /// An image: a web address or a `data:` URL.
    pub fn image(image_url: impl Into<String>) -> Self {
        Self::parts(vec![OutputPart::InputImage { image_url: image_url.into() }])
    }

    /// What went wrong, for the model.
    pub fn error(message: impl Into<String>) -> Self {
        Self { content: CallOutput::text(message), success: false }
    }

    /// What the model gets.
    pub fn content(&self) -> &CallOutput {
        &self.content
    }

    /// Whether the tool did what it should.
    pub fn is_success(&self) -> bool {
        self.success
    }
}

impl From<String> for ToolOutput {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for ToolOutput {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<Value> for ToolOutput {
    fn from(value: Value) -> Self {
        Self::json(&value)
    }
}

/// An output as [`Event::ToolCallEnd`](longhaul_state::protocol::Event::ToolCallEnd) tells it: its texts,
/// for people.
pub(crate) fn as_text(output: &CallOutput) -> String {
    match output {
        CallOutput::Text(text) => text.clone(),
        CallOutput::Parts(parts) => {
            let texts = parts.iter().filter_map(|part| match part {
                OutputPart::InputText { text } => Some(text.as_str()),
                OutputPart::InputImage { .. } => Some("[image]"),
                _ => None,
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
