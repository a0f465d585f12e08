//! The form of an item that goes to a model.

use std::borrow::Cow;

use memchr::memmem;

use super::image::{ImageEdit, encode_without_images};
use super::{Item, ItemKind, Role, is_own};
use crate::json::{self, RawObject};

/// What a provider wants to see of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WireFormat {
    /// Whether the ids that the server gave are sent back. Only for providers that store
    /// responses. Default: no.
    pub item_ids: bool,
    /// Whether the model takes images. Where it does not, a text stands in the place of each.
    /// Default: yes.
    pub images: bool,
}

impl Default for WireFormat {
    fn default() -> Self {
        Self { item_ids: false, images: true }
    }
}

impl WireFormat {
    /// How many formats there are.
    pub(crate) const COUNT: usize = 4;

    /// Ids are sent back: the form for providers that store responses.
    pub fn with_item_ids() -> Self {
        Self { item_ids: true, ..Self::default() }
    }

    /// Images are replaced by a text: the form for models that take none.
    pub fn without_images() -> Self {
        Self { images: false, ..Self::default() }
    }

    /// The number of this format among all.
    pub(crate) fn number(self) -> usize {
        usize::from(self.item_ids) + 2 * usize::from(self.images)
    }
}

/// In the place of an image that the model cannot take.
const NO_IMAGES: &str = "[image left out: this model takes no images]";

/// What stands for each image that is left out.
pub(super) fn no_images() -> ImageEdit {
    ImageEdit::replace(NO_IMAGES)
}

pub(super) fn encode(item: &Item, format: WireFormat, out: &mut Vec<u8>) -> bool {
    if item.kind() == ItemKind::GhostSnapshot || item.is_incomplete() {
        return false;
    }
    let json = item.text();
    if item.kind() != ItemKind::Other {
        encode_known(item, &json, format, out);
    } else if item.has_own_fields() {
        out.extend_from_slice(json::without_fields(&json, is_own).as_bytes());
    } else {
        out.extend_from_slice(json.as_bytes());
    }
    true
}

fn encode_known(item: &Item, json: &str, format: WireFormat, out: &mut Vec<u8>) {
    let mut writer = ObjectWriter::open(out);
    for (key, value) in json::fields(json).into_iter().flatten() {
        encode_field(item, format, &key, value, &mut writer);
    }
    let kind = item.kind();
    let has_call_id = || RawObject::parse(json).is_some_and(|object| object.has("call_id"));
    if kind == ItemKind::LocalShellCall && !has_call_id() {
        let id = item.call_id().unwrap_or_default();
        writer.field_with("call_id", |out| json::push_string(out, id));
    }
    writer.close();
}

fn encode_field(
    item: &Item,
    format: WireFormat,
    key: &str,
    value: &str,
    writer: &mut ObjectWriter<'_>,
) {
    let kind = item.kind();
    match (key, value) {
        (_, "null") | ("call_id", "\"\"") => {}
        (own, _) if is_own(own) => {}
        ("id", _) if !keeps_id(item, format) => {}
        ("status", _) if !keeps_status(kind) => {}
        ("success", _) if kind.is_output() => {}
        ("content", parts) if matches!(kind, ItemKind::Message(_)) => {
            let parts = shown_parts(item, format, parts);
            writer.field_with(key, |out| encode_parts(&parts, out));
        }
        ("output", parts) if kind.is_output() => {
            writer.field(key, &shown_parts(item, format, parts));
        }
        ("content", parts) if kind == ItemKind::Reasoning => {
            if has_reasoning_text(parts) {
                writer.field(key, parts);
            }
        }
        ("action", action) if kind == ItemKind::LocalShellCall => {
            writer.field_with(key, |out| encode_object(action, |_, value| value != "null", out));
        }
        (_, raw) => writer.field(key, raw),
    }
}

/// Own ids of user messages mean nothing to a server; those that it gave do, where it stores.
fn keeps_id(item: &Item, format: WireFormat) -> bool {
    match item.kind() {
        ItemKind::LocalShellCallOutput => true,
        kind if kind.is_output() => false,
        ItemKind::Message(role) => {
            format.item_ids && item.id().is_some() && role == Role::Assistant
        }
        _ => format.item_ids && item.id().is_some(),
    }
}

fn keeps_status(kind: ItemKind) -> bool {
    matches!(
        kind,
        ItemKind::CustomToolCall
            | ItemKind::LocalShellCall
            | ItemKind::WebSearchCall
            | ItemKind::Compaction
    )
}

/// A server shows raw reasoning as `reasoning_text`; anything else it does not take back.
fn has_reasoning_text(parts: &str) -> bool {
    let is_reasoning_text = |part: &str| {
        RawObject::parse(part).is_some_and(|part| part.field("type") == Some("\"reasoning_text\""))
    };
    json::elements(parts).is_some_and(|mut parts| parts.any(is_reasoning_text))
}

/// The parts of a message or an output, without images where the model takes none.
fn shown_parts<'a>(item: &Item, format: WireFormat, parts: &'a str) -> Cow<'a, str> {
    if format.images || !item.has_images() {
        return Cow::Borrowed(parts);
    }
    let without = encode_without_images(parts, &no_images(), |_| true);
    without.map_or(Cow::Borrowed(parts), Cow::Owned)
}

/// What only a response holds of a part.
const LEFT_OUT: [&str; 2] = ["annotations", "logprobs"];

/// The parts of a message, without what only a response holds.
fn encode_parts(parts: &str, out: &mut Vec<u8>) {
    let is_found = |word: &&str| memmem::find(parts.as_bytes(), word.as_bytes()).is_some();
    let listed = json::elements(parts).filter(|_| LEFT_OUT.iter().chain(&[":null"]).any(is_found));
    let Some(parts) = listed else {
        out.extend_from_slice(parts.as_bytes());
        return;
    };
    out.push(b'[');
    for (i, part) in parts.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        encode_part(part, out);
    }
    out.push(b']');
}

fn encode_part(part: &str, out: &mut Vec<u8>) {
    let type_name = RawObject::parse(part).and_then(|part| part.field("type"));
    let is_text = type_name == Some("\"output_text\"");
    let is_sent = |key: &str, value: &str| value != "null" && !(is_text && LEFT_OUT.contains(&key));
    encode_object(part, is_sent, out);
}

/// An object without the fields that are not to be sent; any other value as it is.
fn encode_object(value: &str, is_sent: impl Fn(&str, &str) -> bool, out: &mut Vec<u8>) {
    let Some(fields) = json::fields(value) else {
        out.extend_from_slice(value.as_bytes());
        return;
    };
    let mut writer = ObjectWriter::open(out);
    for (key, value) in fields.filter(|(key, value)| is_sent(key, value)) {
        writer.field(&key, value);
    }
    writer.close();
}

/// Writes the fields of one object with the commas between them.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> ObjectWriter<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn field(&mut self, key: &str, raw: &str) {
        self.field_with(key, |out| out.extend_from_slice(raw.as_bytes()));
    }

    fn field_with(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        json::push_string(self.out, key);
        self.out.push(b':');
        value(self.out);
    }

    fn close(self) {
        self.out.push(b'}');
    }
}
