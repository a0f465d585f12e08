//! Single items, changed as a server wants them.

use std::borrow::Cow;

use crate::json::{self, RawObject};
use crate::remedy::Step;
use crate::truncate::middle;
use crate::{Item, ItemKind};

/// In the place of the last part of an output.
const LEFT_OUT: &str = "\"[left out]\"";

/// What becomes of a value.
enum Change {
    Gone,
    To(String),
}

/// The item with another value in one field, or without it. A new field comes last.
pub(super) fn set(item: &Item, name: &str, value: Option<&str>) -> Option<Item> {
    let text = json::mend(item.json());
    let mut is_there = false;
    let mut fields = Vec::new();
    for (key, old) in json::fields(&text)? {
        let is_meant = key == name;
        is_there |= is_meant;
        if let Some(value) = if is_meant { value } else { Some(old) } {
            fields.push(field(&key, value));
        }
    }
    fields.extend(value.filter(|_| !is_there).map(|value| field(name, value)));
    read(&object(&fields))
}

fn field(key: &str, value: &str) -> String {
    format!("{}:{value}", serde_json::Value::from(key))
}

fn object(fields: &[String]) -> String {
    format!("{{{}}}", fields.join(","))
}

fn read(json: &str) -> Option<Item> {
    Item::from_json(json).ok()
}

/// The item without the `id` that its server gave it. What pairs by it does so by its `call_id`
/// then. The id stays as the client's, except in an item of unknown type, which is sent whole.
pub(super) fn without_id(item: &Item) -> Option<Item> {
    let mut anonymous = set(item, "id", None)?;
    if item.call_id().is_some() && item.call_id() != anonymous.call_id() {
        let call_id = item.call_id().map(|id| serde_json::Value::from(id).to_string());
        anonymous = set(&anonymous, "call_id", call_id.as_deref())?;
    }
    Some(match item.id().filter(|_| item.kind() != ItemKind::Other) {
        Some(id) => anonymous.with_client_id(id),
        None => anonymous,
    })
}

/// Whether an item holds something encrypted.
pub(super) fn is_sealed(item: &Item) -> bool {
    let fields = RawObject::parse(item.json());
    let sealed = fields.and_then(|fields| fields.field("encrypted_content"));
    !matches!(sealed, None | Some("null" | "\"\""))
}

/// Whether an item names its type.
pub(super) fn has_type(item: &Item) -> bool {
    RawObject::parse(item.json()).is_some_and(|fields| fields.field("type").is_some())
}

/// The model's message that says what a compaction item does, if that holds it in plain text:
/// in `summary` or `content`, as one text or as parts.
pub(super) fn in_clear(item: &Item) -> Option<Item> {
    let text = json::mend(item.json());
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
    let text = json::mend(item.json());
    let Some(change) = change_at(&text, steps, &|_| Some(Change::Gone)) else {
        return Some(item.clone());
    };
    let Change::To(json) = change else {
        return None;
    };
    let changed = read(&json)?;
    let emptied = |name| {
        let is_led_into = matches!(steps, [Step::Name(list), Step::Position(_)] if list == name);
        let fields = RawObject::parse(changed.json()).filter(|_| is_led_into);
        fields.is_some_and(|fields| fields.field(name) == Some("[]"))
    };
    match item.kind() {
        // No server takes an empty message.
        ItemKind::Message(_) if emptied("content") => None,
        kind if kind.is_output() && emptied("output") => set(&changed, "output", Some(LEFT_OUT)),
        _ => Some(changed),
    }
}

/// The item with at most `max_bytes` of the text at `steps`.
pub(super) fn shortened(item: &Item, steps: &[Step], max_bytes: usize) -> Option<Item> {
    let text = json::mend(item.json());
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
            "name" => Cow::Borrowed(head(&text, max_bytes)),
            _ => middle(&text, max_bytes).text,
        };
        Some(Change::To(serde_json::Value::from(&*cut).to_string()))
    };
    match change_at(&text, steps, &cut) {
        Some(Change::To(json)) => read(&json),
        _ => Some(item.clone()),
    }
}

fn head(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
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
    let mut is_changed = false;
    let mut visit = |value: &str| match change_at(value, steps, change) {
        Some(change) => {
            is_changed = true;
            match change {
                Change::Gone => None,
                Change::To(value) => Some(value),
            }
        }
        None => Some(value.to_owned()),
    };
    let changed = match step {
        Step::Name(name) => {
            let visited = json::fields(value)?.filter_map(|(key, value)| {
                let value = if key == *name { visit(value)? } else { value.to_owned() };
                Some(field(&key, &value))
            });
            object(&visited.collect::<Vec<_>>())
        }
        Step::Position(wanted) => {
            let visited = json::elements(value)?.enumerate().filter_map(|(position, value)| {
                if position == *wanted { visit(value) } else { Some(value.to_owned()) }
            });
            format!("[{}]", visited.collect::<Vec<_>>().join(","))
        }
    };
    is_changed.then_some(Change::To(changed))
}
