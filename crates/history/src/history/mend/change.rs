//! Single items, changed as a server wants them.

use std::borrow::Cow;

use crate::json::{self, Change, RawObject};
use crate::remedy::Step;
use crate::truncate::{boundary_before, middle};
use crate::{Item, ItemKind};

/// In the place of the last part of an output.
const LEFT_OUT: &str = "\"[left out]\"";

/// The item without the `id` that its server gave it. What pairs by it does so by its `call_id`
/// then. The id stays as the client's, except in an item of unknown type, which is sent whole.
pub(super) fn without_id(item: &Item) -> Option<Item> {
    let mut anonymous = without_field(item, &[Step::Name("id".to_owned())])?;
    if let Some(call_id) = item.call_id().filter(|id| anonymous.call_id() != Some(id)) {
        anonymous = anonymous.set_field("call_id", &json::quoted(call_id));
    }
    Some(match item.id().filter(|_| item.kind() != ItemKind::Other) {
        Some(id) => anonymous.with_client_id(id),
        None => anonymous,
    })
}

/// Whether an item holds something encrypted.
pub(super) fn is_sealed(item: &Item) -> bool {
    RawObject::parse(item.json()).is_some_and(|fields| fields.has("encrypted_content"))
}

/// Whether an item names its type.
pub(super) fn has_type(item: &Item) -> bool {
    RawObject::parse(item.json()).is_some_and(|fields| fields.field("type").is_some())
}

/// The model's message that says what a compaction item does, if that holds it in plain text:
/// in `summary` or `content`, as one text or as parts.
pub(super) fn in_clear(item: &Item) -> Option<Item> {
    let text = item.text();
    let fields = RawObject::parse(&text).filter(|_| item.kind() == ItemKind::Compaction)?;
    let texts = ["summary", "content"].into_iter().filter_map(|name| plain(fields.field(name)?));
    let text = texts.into_iter().find(|text| !text.is_empty())?;
    Some(Item::assistant(text))
}

/// A text, or the texts of parts, one below the other.
fn plain(value: &str) -> Option<String> {
    if let Some(text) = json::string(value) {
        return Some(text.into_owned());
    }
    let parts = json::elements(value)?;
    let texts = parts.filter_map(|part| json::string(RawObject::parse(part)?.field("text")?));
    Some(texts.collect::<Vec<_>>().join("\n"))
}

/// The item without what is at `steps`; nothing if that is all of it.
pub(super) fn without_field(item: &Item, steps: &[Step]) -> Option<Item> {
    let text = item.text();
    let Some(change) = change_at(&text, steps, &|_| Some(Change::Gone)) else {
        return Some(item.clone());
    };
    let Change::To(json) = change else {
        return None;
    };
    let changed = Item::from_json(&json).ok()?;
    let emptied = |name| {
        let is_led_into = matches!(steps, [Step::Name(list), Step::Position(_)] if list == name);
        let fields = RawObject::parse(changed.json()).filter(|_| is_led_into);
        fields.is_some_and(|fields| fields.field(name) == Some("[]"))
    };
    match item.kind() {
        // No server takes an empty message.
        ItemKind::Message(_) if emptied("content") => None,
        kind if kind.is_output() && emptied("output") => {
            Some(changed.set_field("output", LEFT_OUT))
        }
        _ => Some(changed),
    }
}

/// The item with at most `max_bytes` of the text at `steps`.
pub(super) fn shortened(item: &Item, steps: &[Step], max_bytes: usize) -> Option<Item> {
    let text = item.text();
    let name = match steps {
        [.., Step::Name(name)] => name,
        _ => "",
    };
    let is_arguments = steps.len() == 1 && name == "arguments" && item.kind().call().is_some();
    let cut = |value: &str| {
        let text = json::string(value).filter(|text| text.len() > max_bytes)?;
        let cut = match name {
            _ if is_arguments => Cow::Borrowed("{}"),
            // A name with a marker in it would be of no form that servers take.
            "name" => Cow::Borrowed(&text[..boundary_before(&text, max_bytes)]),
            _ => middle(&text, max_bytes).text,
        };
        Some(Change::To(json::quoted(&cut)))
    };
    match change_at(&text, steps, &cut) {
        Some(Change::To(json)) => Item::from_json(&json).ok(),
        _ => Some(item.clone()),
    }
}

/// What becomes of `value` if what is at `steps` in it changes; `None` if nothing is there, or it
/// does not change.
fn change_at(
    value: &str,
    steps: &[Step],
    change: &dyn Fn(&str) -> Option<Change>,
) -> Option<Change> {
    let Some((step, steps)) = steps.split_first() else {
        return change(value);
    };
    let change = |value: &str| change_at(value, steps, change);
    let changed = match step {
        Step::Name(name) => json::change_field(value, name, change),
        Step::Position(position) => json::change_element(value, *position, change),
    };
    changed.map(Change::To)
}
