//! One entry of a conversation.

mod bridge;
mod build;
mod edit;
mod image;
mod kind;
mod mark;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json;

pub use bridge::BridgeParts;
pub use build::CallOutput;
pub use image::ImageEdit;
pub use kind::{CallKind, ItemKind, Role};
pub use view::{ContentPart, ItemView, OutputPart};
pub use wire::WireFormat;

pub(crate) use kind::CallRole;
pub(crate) use mark::is_own;

/// One item of a conversation: its JSON, whole, and what it is.
///
/// Nothing that the JSON holds is lost: types and fields that this crate does not know stay in it,
/// numbers keep their digits, and [`Item::json`] gives the same text back (without white space
/// between tokens). Cloning shares.
///
/// ```
/// use longhaul_history::{Item, ItemKind};
///
/// let item = Item::from_json(r#"{"type":"hologram","depth":1e400}"#)?;
/// assert_eq!(item.kind(), ItemKind::Other);
/// assert_eq!(item.json(), r#"{"type":"hologram","depth":1e400}"#);
/// # Ok::<(), longhaul_history::ItemError>(())
/// ```
#[derive(Clone)]
pub struct Item(Arc<Inner>);

struct Inner {
    json: Box<str>,
    head: kind::Head,
    /// Whether an escape in it is half a surrogate pair, which is no text.
    is_torn: bool,
    has_images: bool,
    /// `None` if no field of it is our own.
    marks: Option<mark::Marks>,
}

/// Why a text is not an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The text is not a JSON object. Whoever wrote it is at fault; it cannot be recorded.
    #[error("an item must be a JSON object: {0}")]
    NotAnObject(String),
}

impl Item {
    /// Takes an item as JSON.
    ///
    /// Only the outline is read: an object whose type is unknown, or which lacks what its type
    /// should have, is kept as [`ItemKind::Other`].
    ///
    /// # Errors
    ///
    /// [`ItemError::NotAnObject`] if `json` is not one JSON object.
    pub fn from_json(json: &str) -> Result<Self, ItemError> {
        let raw: &RawValue =
            serde_json::from_str(json).map_err(|e| ItemError::NotAnObject(e.to_string()))?;
        if !raw.get().starts_with('{') {
            return Err(ItemError::NotAnObject("it is another JSON value".into()));
        }
        Ok(Self::from_object(&json::compact(raw.get())))
    }

    /// `json` is one object without white space between its tokens.
    fn from_object(json: &str) -> Self {
        let text = json::mend(json);
        let head = kind::Head::read(&text);
        let has_images = image::has_images(head.kind, &text);
        let marks = mark::Marks::read(head.kind, &text);
        let is_torn = matches!(text, Cow::Owned(_));
        Self(Arc::new(Inner { json: json.into(), head, is_torn, has_images, marks }))
    }

    /// The item's JSON, with the replacement character for what is no text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        if self.0.is_torn { json::mend(self.json()) } else { Cow::Borrowed(self.json()) }
    }

    /// The whole item as JSON, on one line.
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// What the item is.
    pub fn kind(&self) -> ItemKind {
        self.0.head.kind
    }

    /// The id that its server gave the item; `None` if it has none or an empty one.
    pub fn id(&self) -> Option<&str> {
        self.0.head.id(self.json())
    }

    /// The id under which the item is shown: the server's, else the one that its client gave it with
    /// [`Item::with_client_id`].
    pub fn shown_id(&self) -> Option<Cow<'_, str>> {
        match self.id() {
            Some(id) => Some(Cow::Borrowed(id)),
            None => self.own(mark::ID).and_then(json::string),
        }
    }

    /// The item with an id of the client's in the field `longhaul_id`, which no model ever sees: so
    /// that an item which its server gave no id is shown under the same id for as long as it is
    /// kept, also after it was read back from a log.
    #[must_use]
    pub fn with_client_id(&self, id: &str) -> Self {
        self.with_own(mark::ID, &json::quoted(id))
    }

    /// Whether the item shows images to the model.
    pub fn has_images(&self) -> bool {
        self.0.has_images
    }

    /// The id that pairs a call with its output; `None` if the item is neither or the id is empty.
    ///
    /// A local shell call that has no `call_id` is known by its `id`.
    pub fn call_id(&self) -> Option<&str> {
        self.0.head.call_id(self.json())
    }

    /// Whether the item calls itself a call but cannot be answered: it lacks an id, or another part
    /// that a call must have. Such a call has no wire form.
    pub fn is_broken_call(&self) -> bool {
        match self.kind() {
            ItemKind::Other => kind::calls_itself_a_call(self.json()),
            kind => kind.call().is_some() && self.call_id().is_none(),
        }
    }

    /// Whether the item has no type, or is of a known one and lacks an id or another part that it must
    /// have: no server could make sense of it, so it has no wire form.
    pub(crate) fn is_incomplete(&self) -> bool {
        match self.kind() {
            ItemKind::Other => kind::is_nameless_or_known(&self.text()),
            kind => (kind.call().is_some() || kind.is_output()) && self.call_id().is_none(),
        }
    }

    /// The item as a model is to see it that gets `format`, if that differs in what it says.
    pub(crate) fn shown_in(&self, format: WireFormat) -> Option<Self> {
        let left_out = (!format.images && self.has_images()).then(wire::no_images)?;
        self.edit_images(&left_out).map(|(item, _)| item)
    }

    /// What is in the item, read anew at each call.
    pub fn view(&self) -> ItemView {
        view::read(self)
    }

    /// Appends the form that goes to a model, and says whether there is one.
    ///
    /// Known types lose their `id` (unless `format` keeps ids), null fields, images
    /// (unless `format` takes them; a text stands in their place), and what a server
    /// reports but does not take back (`status` of messages, reasoning and functions, `annotations`
    /// and `logprobs` of texts). Unknown fields stay, and unknown types stay whole. Fields of our own
    /// (`longhaul_id`, `longhaul_pinned`, `longhaul_failed`, `longhaul_bridge`) go with no type; other
    /// names that begin so are unknown fields. A ghost snapshot,
    /// and a call or an output without an id or another part that it must have, have no wire form: no
    /// server could make sense of them. Half a surrogate pair, which strict servers refuse, becomes
    /// the replacement character.
    pub fn encode_wire(&self, format: WireFormat, out: &mut Vec<u8>) -> bool {
        wire::encode(self, format, out)
    }

    /// Tells items apart that are equal, and not clones of each other.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn call_role(&self) -> Option<CallRole<'_>> {
        self.0.head.call_role(self.json())
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Item").field(&self.json()).finish()
    }
}

/// Two items are equal if their JSON text is.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.json() == other.json()
    }
}

impl Eq for Item {}

impl Serialize for Item {
    /// Writes the JSON as it is. Works with `serde_json` only.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_str(self.json()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Item {
    /// Takes the JSON as it is. Works with `serde_json` only.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Item::from_json(raw.get()).map_err(serde::de::Error::custom)
    }
}
