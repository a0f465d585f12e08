//! Replacements of which items are lost.

use std::ops::Range;

use longhaul_history::Item;
use serde_json::value::RawValue;

use super::payload::{Replacement, read};
use super::text::put_back;
use crate::{Blobs, Record};

/// What stands in the place of an item that is lost.
pub(super) const LOST: &str = "null";

/// A `compacted` or `edited` in which of those new items that cannot be read any more the places alone
/// are left; `None` if it is no such record.
pub(crate) fn without_lost(record: &Record, blobs: &dyn Blobs) -> Option<Record> {
    let payload = record.payload.get();
    let made: Replacement<'_> = read(payload.as_bytes()).ok()?;
    let places = record.blobs();
    let is_lost = |item: &Range<usize>| {
        let own = places.iter().filter(|at| item.contains(at)).map(|at| at - item.start);
        let whole = put_back(&payload[item.clone()], &own.collect::<Vec<_>>(), blobs);
        !whole.is_ok_and(|whole| Item::from_json(&whole).is_ok())
    };
    let range = |item: &str| {
        let start = item.as_ptr().addr() - payload.as_ptr().addr();
        start..start + item.len()
    };
    let lost: Vec<Range<usize>> = made.new_items().map(range).filter(is_lost).collect();
    let mut mended = record.clone();
    mended.payload = RawValue::from_string(without(payload, &lost)).ok()?;
    let moved = |at: usize| {
        let before = lost.iter().filter(|it| it.end <= at);
        before.fold(at, |at, it| at + LOST.len() - it.len())
    };
    let left = places.iter().filter(|at| !lost.iter().any(|it| it.contains(at)));
    Some(mended.with_blobs(&left.map(|at| moved(*at)).collect::<Vec<_>>()))
}

fn without(payload: &str, lost: &[Range<usize>]) -> String {
    let (mut text, mut taken) = (String::with_capacity(payload.len()), 0);
    for Range { start, end } in lost {
        text.push_str(&payload[taken..*start]);
        text.push_str(LOST);
        taken = *end;
    }
    text + &payload[taken..]
}
