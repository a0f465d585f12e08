//! The bridge: the one user-role message that stands for a compacted conversation.

use askama::Template;

use crate::Error;

/// What a bridge is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge<'a> {
    /// The texts of the user's messages, oldest first.
    pub user_messages: &'a [String],
    /// What the summarising model left, as it left it.
    pub summary: &'a str,
}

impl Bridge<'_> {
    /// Renders the message.
    ///
    /// The user's messages are joined by an empty line. Without any text they are given as
    /// `(none)`, and a blank summary as `(no summary available)`. Values are inserted as they are:
    /// nothing in them is expanded, escaped, trimmed or cut. The template adds no newline at the
    /// end.
    ///
    /// # Errors
    ///
    /// [`Error::Render`]: see there; the conversation must stay as it is.
    pub fn render(&self) -> Result<String, Error> {
        let user_messages = self.user_messages.join("\n\n");
        let slots = Slots {
            user_messages: text_or(&user_messages, "(none)"),
            summary: text_or(self.summary, "(no summary available)"),
        };
        slots.render().map_err(|error| Error::Render(error.to_string()))
    }
}

#[derive(Template)]
#[template(path = "bridge.md", escape = "none")]
struct Slots<'a> {
    user_messages: &'a str,
    summary: &'a str,
}

fn text_or<'a>(text: &'a str, placeholder: &'a str) -> &'a str {
    if text.trim().is_empty() { placeholder } else { text }
}
