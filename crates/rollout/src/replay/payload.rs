//! The payloads that the fold reads.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::conversation::Piece;
use super::lost::LOST;
use super::text::{Entry, Text};
use crate::Flaw;

/// Of a `turn_context`: whose it is, and whether the model is told.
#[derive(Deserialize)]
pub(super) struct TurnContext {
    pub(super) turn_id: String,
    #[serde(default)]
    pub(super) told: bool,
}

/// Of a `compacted` or `edited`.
#[derive(Deserialize)]
pub(super) struct Replacement<'a> {
    pub(super) replaced: usize,
    #[serde(borrow)]
    parts: Vec<Part<'a>>,
    #[serde(borrow, default)]
    pub(super) told: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) report: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) turns: Option<Turns>,
}

/// Of a `compaction_undone`.
#[derive(Default, Deserialize)]
pub(super) struct Undone {
    #[serde(default)]
    pub(super) turns: Option<Turns>,
}

/// Of a `salvaged`.
#[derive(Deserialize)]
pub(super) struct Salvaged {
    /// The name of the damaged log; earlier ones do not say it.
    #[serde(default)]
    pub(super) from: Option<String>,
}

/// Where turns start after an edit, as its writer saw it. Where it says nothing, the rule does.
#[derive(Deserialize)]
pub(super) struct Turns {
    pub(super) items: Vec<usize>,
    pub(super) next: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part<'a> {
    Keep(usize, usize),
    New(#[serde(borrow)] &'a RawValue),
}

/// Of a `breaker`.
#[derive(Deserialize)]
pub(super) struct Breaker<'a> {
    #[serde(default)]
    pub(super) anew: bool,
    #[serde(borrow, default)]
    pub(super) seen: Option<&'a RawValue>,
}

/// Of a `grant`.
#[derive(Deserialize)]
pub(super) struct Grant {
    #[serde(default)]
    pub(super) digest: Option<String>,
    #[serde(default)]
    pub(super) cleared: bool,
}

/// Of an `input`.
#[derive(Deserialize)]
pub(super) struct Input<'a> {
    pub(super) id: String,
    pub(super) state: String,
    #[serde(borrow, default)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) output_schema: Option<&'a RawValue>,
}

/// Of a `call`; the rest is for those who go on with a turn.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) turn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) state: Cow<'a, str>,
}

/// Of an `event_msg`, whoever wrote it.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    /// Of a `thread_rolled_back`, which codex writes: how many messages of the user went.
    #[serde(default)]
    pub(super) num_turns: usize,
}

/// Of a `compacted` of another program.
#[derive(Deserialize)]
pub(super) struct ForeignCompaction<'a> {
    #[serde(borrow, default)]
    pub(super) message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) replacement_history: Option<Vec<&'a RawValue>>,
}

/// The type of an event of ours. Nearly all begin with it, and are not parsed.
pub(super) fn event_type(payload: &[u8]) -> Result<Cow<'_, str>, Flaw> {
    let text = payload.strip_prefix(b"{\"type\":\"").unwrap_or_default();
    let name = text.split(|b| matches!(b, b'"' | b'\\')).next().unwrap_or_default();
    match str::from_utf8(name) {
        Ok(name) if text[name.len()..].starts_with(b"\"") => Ok(Cow::Borrowed(name)),
        _ => read(payload).map(|event: Event<'_>| event.r#type),
    }
}

/// The state of a `call` that says of its turn that a salvage has left out lines of it.
pub(crate) const LOST_LINES: &str = "lost_lines";

pub(super) fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Flaw> {
    serde_json::from_slice(payload).map_err(|error| Flaw::Payload(error.to_string()))
}

impl<'a> Replacement<'a> {
    /// The JSON of the items that are new.
    pub(super) fn new_items(&self) -> impl Iterator<Item = &'a str> {
        self.parts.iter().filter_map(|part| match part {
            Part::New(item) => Some(item.get()),
            Part::Keep(..) => None,
        })
    }

    /// What takes the place, by where it stands. `text` is the payload, `whole` what was read of it.
    pub(super) fn pieces(&self, text: &Text, whole: &[u8]) -> Vec<Piece<Entry>> {
        let pieces = self.parts.iter().map(|part| match part {
            Part::Keep(start, end) => Piece::Keep(*start..*end),
            Part::New(item) if item.get() == LOST => Piece::New(Entry::Lost),
            Part::New(item) => Piece::New(Entry::Stored(text.part(whole, item.get()))),
        });
        pieces.collect()
    }

    /// The `pieces`, of new items only those whose JSON `is_meant`.
    pub(super) fn pieces_of(
        &self,
        pieces: &[Piece<Entry>],
        is_meant: impl Fn(&[u8]) -> bool,
    ) -> Vec<Piece<Entry>> {
        let both = pieces.iter().zip(&self.parts);
        let meant = both.filter(|(_, part)| match part {
            Part::Keep(..) => true,
            Part::New(item) => is_meant(item.get().as_bytes()),
        });
        meant.map(|(piece, _)| piece.clone()).collect()
    }

    /// The elements that go, last first.
    pub(super) fn removed(&self) -> Vec<usize> {
        let is_kept = |index: &usize| {
            let keeps = |part: &Part<'_>| matches!(part, Part::Keep(start, end) if (start..end).contains(&index));
            self.parts.iter().any(keeps)
        };
        (0..self.replaced).rev().filter(|index| !is_kept(index)).collect()
    }
}

/// Settings that the model was told. They are equal if they say the same, whichever turn's they
/// were.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) text: Text,
    /// An object.
    json: Box<[u8]>,
}

impl Settings {
    pub(super) fn read(text: Text, json: &[u8]) -> Result<Self, Flaw> {
        read::<Map<String, Value>>(json).map(|_| Self::of_object(text, json))
    }

    pub(super) fn of_object(text: Text, json: &[u8]) -> Self {
        Self { text, json: json.into() }
    }

    fn value(&self) -> Option<Map<String, Value>> {
        let mut value: Map<String, Value> = read(&self.json).ok()?;
        value.retain(|field, _| field != "turn_id" && field != "told");
        Some(value)
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        // They are asked at each turn, and nearly always are the same bytes.
        said(&self.json) == said(&other.json) || self.value() == other.value()
    }
}

/// The fields of the settings, where the turn's id comes before them and that they are told behind them, as
/// we write it; of others, all that there is.
fn said(json: &[u8]) -> &[u8] {
    let id = json.strip_prefix(b"{\"turn_id\":\"").unwrap_or_default();
    let end = id.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    let rest = end.and_then(|end| id[end..].strip_prefix(b"\","));
    let rest = rest.or_else(|| json.strip_prefix(b"{")).unwrap_or(json);
    rest.strip_suffix(b",\"told\":true}").or_else(|| rest.strip_suffix(b"}")).unwrap_or(rest)
}
