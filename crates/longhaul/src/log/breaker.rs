//! What the breaker of compactions remembers, as records of a log.

use std::borrow::Cow;
use std::fmt::Write;

use longhaul_compaction::{BreakerMemory, Stopped};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Hexadecimal digits of a hash.
const DIGITS: usize = 16;

const UNREAD: &str = "what is remembered of automatic compactions cannot all be read; \
                      some that led nowhere may be tried again";

/// Of a `breaker`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct BreakerPayload<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stalls: Vec<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    open: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "is_default")]
    turns_left: u64,
    #[serde(skip_serializing_if = "is_default")]
    told: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    responses: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    untested: bool,
    #[serde(skip_serializing_if = "is_default")]
    anew: bool,
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    seen: Cow<'a, str>,
}

impl BreakerPayload<'_> {
    pub(super) fn of(memory: &BreakerMemory) -> Self {
        let open = memory.open.map(|why| match why {
            Stopped::Circle => "circle".into(),
            _ => "failures".into(),
        });
        Self {
            stalls: memory.stalls.clone(),
            open,
            turns_left: memory.turns_left,
            told: memory.is_told,
            responses: memory.responses,
            untested: memory.is_untested,
            anew: memory.is_anew,
            seen: hexadecimal(&memory.seen).into(),
        }
    }

    /// All but what was seen.
    fn into_memory(self) -> BreakerMemory {
        let mut memory = BreakerMemory::default();
        memory.stalls = self.stalls;
        memory.open = self.open.map(|why| match &*why {
            "circle" => Stopped::Circle,
            _ => Stopped::Failures,
        });
        (memory.turns_left, memory.is_told) = (self.turns_left, self.told);
        (memory.responses, memory.is_untested) = (self.responses, self.untested);
        memory
    }
}

/// What these records come to: of the last all that it says, and of each what was seen. One that cannot be
/// read says that nothing is remembered but what was seen, which is told.
pub(super) fn memory(records: &[Box<RawValue>], unread: &mut Vec<String>) -> BreakerMemory {
    let mut memory = BreakerMemory::default();
    let mut seen = Vec::new();
    let mut is_whole = true;
    for record in records {
        let read = serde_json::from_str::<BreakerPayload<'_>>(record.get());
        is_whole &= read.is_ok();
        let payload = read.unwrap_or_default();
        seen.extend(hashes(&payload.seen));
        memory = payload.into_memory();
    }
    if !is_whole {
        unread.push(UNREAD.to_owned());
    }
    memory.seen = seen;
    memory
}

fn hexadecimal(hashes: &[u64]) -> String {
    let mut text = String::with_capacity(hashes.len() * DIGITS);
    for hash in hashes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{hash:016x}");
    }
    text
}

fn hashes(text: &str) -> impl Iterator<Item = u64> {
    let digits = text.as_bytes().chunks_exact(DIGITS);
    digits.filter_map(|digits| u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn where_the_newest_cannot_be_read_what_was_seen_is_all_that_is_left() {
        let open = json!({"open": "circle", "turns_left": 3, "seen": "0000000000000007"});
        let other = json!({"stalls": 1, "seen": "0000000000000008"});
        let left = |records: &[&Value]| {
            let records: Vec<_> = records.iter().map(|it| to_raw_value(it).unwrap()).collect();
            let mut unread = Vec::new();
            let memory = memory(&records, &mut unread);
            (memory.open.is_some(), memory.turns_left, memory.seen, unread.len())
        };
        assert_eq!(left(&[&open]), (true, 3, vec![7], 0));
        assert_eq!(left(&[&open, &other]), (false, 0, vec![7], 1));
        assert_eq!(left(&[&other, &open]), (true, 3, vec![7], 1));
    }
}
