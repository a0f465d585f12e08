//! The bridge: the one user-role message that stands for a compacted conversation.

use askama::Template;

use crate::Error;
use crate::truncate::{BYTES_PER_TOKEN, Cut, Truncated, middle};

/// Tokens of user text that a bridge quotes, all messages together.
pub const USER_MESSAGE_BUDGET_TOKENS: usize = 20_000;

/// [`USER_MESSAGE_BUDGET_TOKENS`] in bytes, which is what is measured.
pub const USER_MESSAGE_BUDGET_BYTES: usize = USER_MESSAGE_BUDGET_TOKENS * BYTES_PER_TOKEN;

/// What a bridge is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge<'a> {
    /// The texts of the user's messages, oldest first.
    pub user_messages: &'a [&'a str],
    /// What the summarising model left, as it left it. It is not truncated.
    pub summary: &'a str,
}

/// A rendered bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridged {
    /// The text of the message.
    pub text: String,
    /// What was cut from the user's messages; `None` if they are quoted whole.
    pub cut: Option<Cut>,
}

impl Bridge<'_> {
    /// Renders the message, with at most [`USER_MESSAGE_BUDGET_BYTES`] of user text.
    ///
    /// The user's messages are joined by an empty line and then truncated in the middle as one
    /// text. Without any text they are given as `(none)`, and a blank summary as
    /// `(no summary available)`. Values are inserted as they are: nothing in them is expanded,
    /// escaped or trimmed. The template adds no newline at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Render`]: see there; the conversation must stay as it is.
    pub fn render(&self) -> Result<Bridged, Error> {
        self.render_within(USER_MESSAGE_BUDGET_BYTES)
    }

    /// As [`render`](Self::render), with a budget for the user's messages of `max_bytes`: for
    /// context windows that the usual one would fill.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_within(&self, max_bytes: usize) -> Result<Bridged, Error> {
        let joined = self.user_messages.join("\n\n");
        let Truncated { text, cut } = middle(&joined, max_bytes);
        let slots = Slots {
            user_messages: text_or(&text, "(none)"),
            summary: text_or(self.summary, "(no summary available)"),
        };
        let text = slots.render().map_err(|error| Error::Render(error.into()))?;
        Ok(Bridged { text, cut })
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
