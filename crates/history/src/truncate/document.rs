//! JSON that stays JSON: its longest strings are cut first, then elements in the middle of its
//! lists, so that keys and structure survive.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::room::{Room, largest, shrink};
use super::{stub, text};
use crate::json::{self, RawObject, quoted};

/// Values nested deeper than this are kept as they are, or go with what holds them. It bounds the
/// recursion, and the cost: each level is read once more.
const MAX_DEPTH: usize = 10;

/// Strings are cut down to the first of these before list elements are dropped, to the second if
/// that does not help.
const STRING_FLOORS: [usize; 2] = [256, 64];

/// Lists whose JSON is shorter than this keep all elements: a marker would gain nothing.
const SMALL_LIST_BYTES: usize = 128;

/// What a header and a marker may add to a string that has few bytes but too many lines.
const FRAME_BYTES: usize = 160;

/// Makes a JSON object or list fit the room; `None` if `text` is neither.
///
/// White space between tokens goes first. A text that is too long to be read whole, and a document
/// that does not fit without losing keys, become a stub.
pub(super) fn shorten(text: &str, room: &Room) -> Option<String> {
    if !looks_like_json(text) {
        return None;
    }
    if text.len() > room.readable_bytes() {
        return Some(stub::of(text, room));
    }
    let json: &RawValue = serde_json::from_str(text).ok()?;
    let json = json::compact(json.get());
    let document = Node::read(&json, MAX_DEPTH, room);
    Some(fitted(&document, room).unwrap_or_else(|| stub::of(text, room)))
}

/// Whether the strings of a JSON object or list have few and short enough lines; `None` if `text` is
/// neither.
pub(super) fn holds_strings(text: &str, room: &Room) -> Option<bool> {
    if !looks_like_json(text) {
        return None;
    }
    let json: &RawValue = serde_json::from_str(text).ok()?;
    let holds = || !Node::read(&json::compact(json.get()), MAX_DEPTH, room).has_overlong();
    Some(room.surely_holds_lines_in(json.get()) || holds())
}

/// By its first and last char, as far as white space is no more than usual.
fn looks_like_json(text: &str) -> bool {
    let is_token = |byte: &u8| !byte.is_ascii_whitespace();
    let first = text.bytes().take(1024).find(is_token);
    let last = text.bytes().rev().take(1024).find(is_token);
    matches!((first, last), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}

/// A JSON value as far as it can be cut.
enum Node<'a> {
    /// A number, a literal, or what is nested too deep.
    Opaque(&'a str),
    Text {
        json: &'a str,
        /// Whether its lines are too many or too long.
        overlong: bool,
    },
    List {
        bytes: usize,
        elements: Vec<Node<'a>>,
    },
    /// Keys as JSON strings.
    Object(Vec<(String, Node<'a>)>),
}

/// What strings and lists are cut to.
#[derive(Clone, Copy)]
struct Caps<'a> {
    string_bytes: usize,
    elements: usize,
    room: &'a Room,
}

impl<'a> Node<'a> {
    fn read(json: &'a str, depth: usize, room: &Room) -> Self {
        let read = |value: &'a str| Self::read(value, depth - 1, room);
        let node = match json.as_bytes().first() {
            Some(b'"') => Some(Self::Text { json, overlong: is_overlong(json, room) }),
            Some(b'[') if depth > 0 => json::elements(json).map(|elements| Self::List {
                bytes: json.len(),
                elements: elements.map(read).collect(),
            }),
            Some(b'{') if depth > 0 => RawObject::parse(json).map(|RawObject(fields)| {
                let fields = fields.into_iter();
                Self::Object(fields.map(|(key, value)| (quoted(&key), read(value))).collect())
            }),
            _ => None,
        };
        node.unwrap_or(Self::Opaque(json))
    }

    fn has_overlong(&self) -> bool {
        match self {
            Self::Opaque(_) => false,
            Self::Text { overlong, .. } => *overlong,
            Self::List { elements, .. } => elements.iter().any(Self::has_overlong),
            Self::Object(fields) => fields.iter().any(|(_, value)| value.has_overlong()),
        }
    }

    /// The most bytes that [`Node::write`] writes.
    fn size(&self, caps: Caps<'_>) -> usize {
        match self {
            Self::Opaque(json) => json.len(),
            Self::Text { json, overlong } => string_budget(json, *overlong, caps),
            Self::List { bytes, elements } => {
                let (head, dropped, tail) = split(*bytes, elements, caps);
                let kept: usize = head.iter().chain(tail).map(|node| node.size(caps) + 1).sum();
                kept + marker(dropped, elements.len(), caps).map_or(0, |marker| marker.len() + 1)
                    + 2
            }
            Self::Object(fields) => {
                let field = |(key, value): &(String, Self)| key.len() + value.size(caps) + 2;
                fields.iter().map(field).sum::<usize>() + 2
            }
        }
    }

    fn write(&self, caps: Caps<'_>, out: &mut String) {
        match self {
            Self::Opaque(json) => out.push_str(json),
            Self::Text { json, overlong } => {
                out.push_str(&string(json, *overlong, caps));
            }
            Self::List { bytes, elements } => {
                let (head, dropped, tail) = split(*bytes, elements, caps);
                out.push('[');
                write_separated(head, out, |node, out| node.write(caps, out));
                if let Some(marker) = marker(dropped, elements.len(), caps) {
                    out.push(',');
                    out.push_str(&marker);
                    out.push(',');
                }
                write_separated(tail, out, |node, out| node.write(caps, out));
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                write_separated(fields, out, |(key, value), out| {
                    out.push_str(key);
                    out.push(':');
                    value.write(caps, out);
                });
                out.push('}');
            }
        }
    }
}

fn write_separated<T>(values: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(value, out);
    }
}

/// The document with its longest strings cut, and lists if they must be. `None` if that is not enough.
fn fitted(document: &Node<'_>, room: &Room) -> Option<String> {
    let fits = |caps: Caps<'_>| room.max_lines > 0 && document.size(caps) <= room.max_bytes;
    let uncut = Caps { string_bytes: usize::MAX, elements: usize::MAX, room };
    let floored = |floor: usize| {
        let strings = Caps { string_bytes: floor, ..uncut };
        let lists = Caps { elements: 2, ..strings };
        let of = |elements: usize| Caps { elements, ..strings };
        match (fits(strings), fits(lists)) {
            (true, _) => Some(strings),
            (_, true) => Some(of(largest(2, room.max_bytes, |n| fits(of(n))))),
            _ => None,
        }
    };
    let caps = STRING_FLOORS.into_iter().find_map(floored)?;
    let of = |string_bytes: usize| Caps { string_bytes, ..caps };
    let string_bytes = largest(caps.string_bytes, room.max_bytes, |bytes| fits(of(bytes)));
    let mut json = String::with_capacity(room.max_bytes.min(document.size(of(string_bytes))));
    document.write(of(string_bytes), &mut json);
    Some(json)
}

/// Head, number of dropped elements, and tail of a list.
fn split<'n, 'a>(
    bytes: usize,
    elements: &'n [Node<'a>],
    caps: Caps<'_>,
) -> (&'n [Node<'a>], usize, &'n [Node<'a>]) {
    if elements.len() <= caps.elements || bytes < SMALL_LIST_BYTES {
        return (elements, 0, &[]);
    }
    let head = caps.room.head_share(caps.elements);
    let dropped = elements.len() - caps.elements;
    (&elements[..head], dropped, &elements[head + dropped..])
}

fn marker(dropped: usize, total: usize, caps: Caps<'_>) -> Option<String> {
    let marker = format!("[... omitted {dropped} of {total} elements ...]");
    let is_short = marker.len() <= caps.room.max_line_bytes;
    (dropped > 0).then(|| quoted(if is_short { &marker } else { "" }))
}

fn string_budget(json: &str, overlong: bool, caps: Caps<'_>) -> usize {
    let frame = if overlong { FRAME_BYTES } else { 0 };
    caps.string_bytes.min(json.len() + frame)
}

/// A string cut to its budget, which the quotes and escapes of the result are part of.
fn string<'a>(json: &'a str, overlong: bool, caps: Caps<'_>) -> Cow<'a, str> {
    let budget = string_budget(json, overlong, caps);
    if json.len() <= budget && !overlong {
        return Cow::Borrowed(json);
    }
    let text = json::mended_string(json).unwrap_or_default();
    let room = budget.saturating_sub(2).min(text.len() + FRAME_BYTES);
    let render = |max_bytes| {
        let room = Room { max_bytes, ..*caps.room };
        quoted(&text::shorten(&text, &room).text)
    };
    Cow::Owned(shrink(room, budget as u64, render, |json| json.len() as u64))
}

fn is_overlong(json: &str, room: &Room) -> bool {
    !room.surely_holds_lines_in(json)
        && !room.holds_lines(&json::mended_string(json).unwrap_or_default())
}
