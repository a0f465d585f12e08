//! What stands for a JSON document that cannot be kept: still JSON, with the two ends of its text.

use super::room::{Room, shrink};
use super::text::Ends;
use crate::json::quoted;

/// The ends are left out where they would have fewer bytes than this.
const LEAST_ENDS_BYTES: usize = 32;

/// `{"truncated":true,"total_bytes":…,"head":…,"tail":…}`, or as much of that as there is room for.
/// Nothing if there is no room for an object at all.
pub(super) fn of(text: &str, room: &Room) -> String {
    let total_bytes = text.len();
    let without_ends = [
        format!(r#"{{"truncated":true,"total_bytes":{total_bytes}}}"#),
        r#"{"truncated":true}"#.to_owned(),
        "{}".to_owned(),
    ];
    if room.max_lines == 0 {
        return String::new();
    }
    if without_ends[0].len() + LEAST_ENDS_BYTES <= room.max_bytes {
        return with_ends(text, room);
    }
    without_ends.into_iter().find(|json| json.len() <= room.max_bytes).unwrap_or_default()
}

fn with_ends(text: &str, room: &Room) -> String {
    let ends = Ends::of(text, room);
    let render = |max_bytes: usize| {
        let kept = ends.keep(max_bytes, room.max_lines, room);
        let (head, tail) = (quoted(kept.head), quoted(kept.tail));
        let total_bytes = text.len();
        format!(r#"{{"truncated":true,"total_bytes":{total_bytes},"head":{head},"tail":{tail}}}"#)
    };
    shrink(room.max_bytes, room.max_bytes as u64, render, |json| json.len() as u64)
}
