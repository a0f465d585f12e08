//! Does a request continue the one before it, so that the provider's prompt cache hits?
//!
//! Providers cache the beginning of a prompt, and find it again only if it is the same from its
//! first byte (OpenAI's guide "Prompt caching": exact prefix matches, tools, images and the schema
//! of structured outputs included). So two requests of one conversation are compared as they were
//! sent: the fields of [`FIELDS`], in the order in which prompts are laid out, then the items of
//! `input`, one by one, as text. Nothing is decoded or encoded again.
//!
//! Other fields do not matter: they steer the answer, or the connection (`tool_choice`,
//! `max_output_tokens`, `temperature`, `stream`, `include`, `metadata` …).

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::truncate::{boundary_after, boundary_before};

/// The fields of a request, beside `input`, that a cached prompt depends on, in the order in which
/// they are compared. A field that is null is one that is missing.
///
/// Another `model` has another cache, and another `prompt_cache_key` may lead to a machine that has
/// none. What `previous_response_id`, `conversation` and `prompt` name stands before the input. The
/// schema of `text.format` stands before the instructions, and `reasoning.effort` is told to models
/// in their system message (OpenAI's harmony format), before all else.
pub const FIELDS: [&str; 9] = [
    "model",
    "prompt_cache_key",
    "previous_response_id",
    "conversation",
    "prompt",
    "reasoning.effort",
    "text.format",
    "tools",
    "instructions",
];

/// Bytes of context that an excerpt shows, at most: half before the difference, half after it.
const EXCERPT_BYTES: usize = 80;

/// How a request relates to the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuation {
    /// The earlier request's prompt is the beginning of the later one's.
    Extends {
        /// Items of `input` that both have.
        shared_items: usize,
        /// Items that the later request adds behind them.
        added_items: usize,
        /// Bytes of the shared items, as they stand in the body.
        shared_bytes: usize,
    },
    /// It is not: a cache can help with what stands before the break only.
    Breaks(Break),
}

/// Where a prompt stops being the one before. `Display` is one sentence for a failed test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Break {
    /// The field or item that differs, the first in the order of the prompt.
    pub place: Place,
    /// The first byte in which the two texts differ, counted from 0 in the text of the field or
    /// item. If one text is the beginning of the other, its length.
    pub offset: usize,
    /// The earlier text around `offset`, at most 80 bytes; empty if it ends there, or is missing.
    pub earlier: String,
    /// The later text around `offset`, in the same way.
    pub later: String,
}

/// A place in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// One of [`FIELDS`].
    Field(&'static str),
    /// An item of `input`, from 0. An `input` that is a text is one item.
    Item(usize),
}

/// A body that is no request, so that nothing can be said. Whoever wrote it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The earlier body is not a JSON object with an `input` of items or of text.
    #[error("the earlier body is no request: {0}")]
    Earlier(String),
    /// The later body is not one.
    #[error("the later body is no request: {0}")]
    Later(String),
}

/// Compares two request bodies of one conversation.
///
/// Costs one pass over each body.
///
/// # Errors
///
/// [`PrefixError`] if a body is not a request: not JSON, not an object, or one whose `input`,
/// `text` or `reasoning` is of a type that none has.
///
/// ```
/// use longhaul_history::prefix::{Continuation, Place, compare};
///
/// let first = r#"{"model":"m","input":[{"role":"user","content":"one"}]}"#;
/// let second = r#"{"model":"m","input":[{"role":"user","content":"one"},{"role":"user","content":"two"}]}"#;
/// let extends = Continuation::Extends { shared_items: 1, added_items: 1, shared_bytes: 31 };
/// assert_eq!(compare(first.as_bytes(), second.as_bytes()), Ok(extends));
///
/// let edited = second.replace("one", "won");
/// let Ok(Continuation::Breaks(found)) = compare(first.as_bytes(), edited.as_bytes()) else {
///     return;
/// };
/// assert_eq!((found.place, found.offset), (Place::Item(0), 26));
/// assert_eq!(
///     found.to_string(),
///     r#"input[0] differs from byte 26 on: it was `{"role":"user","content":"one"}`, it is `{"role":"user","content":"won"}`"#
/// );
/// ```
pub fn compare(earlier: &[u8], later: &[u8]) -> Result<Continuation, PrefixError> {
    let earlier = Prompt::read(earlier).map_err(PrefixError::Earlier)?;
    let later = Prompt::read(later).map_err(PrefixError::Later)?;
    Ok(earlier.compare(&later))
}

/// What of a body is compared, as text.
struct Prompt<'a> {
    fields: [Option<&'a RawValue>; FIELDS.len()],
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_key: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_response_id: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<Reasoning<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    effort: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

impl<'a> Prompt<'a> {
    fn read(body: &'a [u8]) -> Result<Self, String> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let items = match body.input {
            None => Vec::new(),
            Some(text) if text.get().starts_with('"') => vec![text],
            Some(items) => serde_json::from_str(items.get())
                .map_err(|_| "its input is neither a list nor a text".to_owned())?,
        };
        let fields = [
            body.model,
            body.prompt_cache_key,
            body.previous_response_id,
            body.conversation,
            body.prompt,
            body.reasoning.and_then(|reasoning| reasoning.effort),
            body.text.and_then(|text| text.format),
            body.tools,
            body.instructions,
        ];
        Ok(Self { fields, items })
    }

    fn compare(&self, later: &Self) -> Continuation {
        let text = |value: Option<&'a RawValue>| value.map_or("", RawValue::get);
        let fields = FIELDS.into_iter().map(Place::Field);
        let fields = fields.zip(self.fields.iter().zip(&later.fields));
        let fields = fields.map(|(place, (earlier, later))| (place, *earlier, *later));
        let items = self.items.iter().enumerate().map(|(index, earlier)| {
            (Place::Item(index), Some(*earlier), later.items.get(index).copied())
        });
        let mut pairs = fields.chain(items);
        match pairs
            .find_map(|(place, earlier, later)| difference(place, text(earlier), text(later)))
        {
            Some(found) => Continuation::Breaks(found),
            None => Continuation::Extends {
                shared_items: self.items.len(),
                added_items: later.items.len() - self.items.len(),
                shared_bytes: self.items.iter().map(|item| item.get().len()).sum(),
            },
        }
    }
}

fn difference(place: Place, earlier: &str, later: &str) -> Option<Break> {
    if earlier == later {
        return None;
    }
    let mut pairs = earlier.bytes().zip(later.bytes());
    let shorter = earlier.len().min(later.len());
    let offset = pairs.position(|(earlier, later)| earlier != later).unwrap_or(shorter);
    let excerpt = |text| excerpt(text, offset).to_owned();
    Some(Break { place, offset, earlier: excerpt(earlier), later: excerpt(later) })
}

/// At most [`EXCERPT_BYTES`] of whole characters around `offset`.
fn excerpt(text: &str, offset: usize) -> &str {
    let start = boundary_after(text, offset.saturating_sub(EXCERPT_BYTES / 2));
    let end = boundary_before(text, offset.saturating_add(EXCERPT_BYTES / 2));
    &text[start..end.max(start)]
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Item(index) => write!(f, "input[{index}]"),
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, offset, earlier, later } = self;
        match (earlier.as_str(), later.as_str()) {
            ("", later) if *offset == 0 => write!(f, "{place} is new: it is `{later}`"),
            (earlier, "") if *offset == 0 => write!(f, "{place} is gone: it was `{earlier}`"),
            (earlier, later) => write!(
                f,
                "{place} differs from byte {offset} on: it was `{earlier}`, it is `{later}`"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
