//! Messages in the user's place that the user did not write.
//!
//! Agents tell a model about its surroundings in messages of the user's role. They are known by the
//! tag that their text begins with. The list is what the coding preset writes, and what sessions of
//! codex hold (its `core/src/context`, 0.47 to 0.169), so that an imported session shows and counts
//! the same messages as it did there.

use std::iter::from_fn;

use memchr::memmem;

use crate::json;
use crate::{Item, ItemKind, Role};

/// Tags that make a text context, whatever follows.
const OPENINGS: [&str; 2] = ["<environment_context>", "<user_instructions>"];

/// Elements that make a text context if it is such an element from its first tag to its last. A
/// user who only begins with the tag, to ask about it, is heard.
const ELEMENTS: [&str; 12] = [
    "additional_context",
    "codex_internal_context",
    "extension_context",
    "goal_context",
    "hook_prompt",
    "recommended_plugins",
    "skill",
    "subagent_notification",
    "turn_aborted",
    "user_action",
    "user_shell_command",
    // `external_context`, and `external_` with the name of a source.
    "external_",
];

/// Beginnings and endings of other texts that codex writes; an empty ending is any.
const FRAMES: [(&str, &str); 4] = [
    ("# AGENTS.md instructions", "</INSTRUCTIONS>"),
    ("Warning: The maximum number of unified exec processes you can keep open is", ""),
    ("Warning: Your account was flagged for potentially high-risk cyber activity", ""),
    (
        "Warning: apply_patch was requested via ",
        "Use the apply_patch tool instead of exec_command.",
    ),
];

/// What all of them begin with.
const FIRST: [char; 4] = ['<', '#', 'W', 'w'];

/// Whether `item` is a message in the user's place that is context, not the user's words: one of
/// its texts begins with a tag that says so, white space and case aside, or it is a bridge
/// ([`Item::is_bridge`]).
///
/// Such a message is neither shown nor counted as the user's. An ordinary message costs one pass
/// over its JSON, and no allocation.
///
/// ```
/// use longhaul_history::Item;
/// use longhaul_history::turn_item::is_context;
///
/// assert!(is_context(&Item::user("<environment_context>\n  <cwd>/work</cwd>\n</environment_context>")));
/// assert!(!is_context(&Item::user("What is an <environment_context>?")));
/// ```
pub fn is_context(item: &Item) -> bool {
    item.kind() == ItemKind::Message(Role::User)
        && (item.is_bridge() || (may_hold_context(item.json()) && holds_context(item.json())))
}

/// Whether `item` is a message of the user's own: one that is no context.
pub fn is_user_message(item: &Item) -> bool {
    item.kind() == ItemKind::Message(Role::User) && !is_context(item)
}

/// Whether a text in the message begins as context may. A search for the texts is cheaper than
/// reading the message, and says no of nearly all.
fn may_hold_context(message: &str) -> bool {
    let begins_so = |text: &str| {
        let text = text.trim_start_matches([' ', '\\', 'n', 'r', 't']);
        text.chars().next().is_some_and(|c| !c.is_ascii() || FIRST.contains(&c))
    };
    let texts = |key: &'static str| {
        let keys = memmem::find_iter(message.as_bytes(), key);
        keys.map(move |at| &message[at + key.len()..])
    };
    let is_escaped = memmem::find(message.as_bytes(), b"\\u").is_some();
    is_escaped || texts(r#""text":""#).chain(texts(r#""content":""#)).any(begins_so)
}

fn holds_context(message: &str) -> bool {
    let mut fields = json::fields(message).into_iter().flatten();
    let Some((_, content)) = fields.find(|(key, _)| key == "content") else {
        return false;
    };
    let mut parts = json::elements(content).into_iter().flatten();
    (content.starts_with('"') && is_context_text(content)) || parts.any(is_context_part)
}

fn is_context_part(part: &str) -> bool {
    let (mut is_text, mut is_context) = (false, false);
    for (key, value) in json::fields(part).into_iter().flatten() {
        match &*key {
            "type" => is_text = matches!(value, "\"input_text\"" | "\"output_text\""),
            "text" => is_context = value.starts_with('"') && is_context_text(value),
            _ => {}
        }
    }
    is_text && is_context
}

/// Whether a text, as a JSON string, is context. Only its beginning is read, unless that is one
/// which asks for an ending.
fn is_context_text(json: &str) -> bool {
    let start = unescaped(json).skip_while(|c| c.is_whitespace());
    let begins_with = |opening: &str| begins_with(start.clone(), opening);
    let is_element =
        |name: &&str| begins_with("<") && self::begins_with(start.clone().skip(1), name);
    if OPENINGS.into_iter().any(begins_with) {
        return true;
    }
    if !ELEMENTS.iter().any(is_element) && !FRAMES.iter().any(|(start, _)| begins_with(start)) {
        return false;
    }
    let text: String = start.collect();
    let text = text.trim_end();
    is_known_element(text) || FRAMES.iter().any(|frame| is_framed(text, *frame))
}

fn is_framed(text: &str, (start, end): (&str, &str)) -> bool {
    begins_with(text.chars(), start) && ends_with(text, end)
}

/// Whether the text is one element of a known name, from its first tag to its last.
fn is_known_element(text: &str) -> bool {
    let Some(text) = text.strip_prefix('<') else {
        return false;
    };
    let name_len = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(name_len.unwrap_or(text.len()));
    let is_name = |known: &&str| name.eq_ignore_ascii_case(known);
    let is_known = begins_with(name.chars(), "external_") || ELEMENTS.iter().any(is_name);
    is_known && rest.starts_with(['>', ' ']) && ends_with(rest, &format!("</{name}>"))
}

fn begins_with(mut text: impl Iterator<Item = char>, start: &str) -> bool {
    start.chars().all(|c| text.next().is_some_and(|other| other.eq_ignore_ascii_case(&c)))
}

fn ends_with(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    let tail = start.and_then(|start| text.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// The characters of a JSON string, its quotes aside. Half a surrogate pair is the replacement
/// character, and so is each half of a whole one: no text that is looked for holds any.
fn unescaped(json: &str) -> impl Iterator<Item = char> + Clone {
    let mut chars = json.strip_prefix('"').unwrap_or(json).chars();
    from_fn(move || match chars.next()? {
        '"' => None,
        '\\' => match chars.next()? {
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'u' => {
                let rest = chars.as_str();
                let code = u32::from_str_radix(rest.get(..4)?, 16).ok()?;
                chars = rest.get(4..)?.chars();
                Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            c => Some(c),
        },
        c => Some(c),
    })
}
