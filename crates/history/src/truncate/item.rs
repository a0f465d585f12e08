//! Cutting the output in an item.

use std::ops::Range;

use serde::Deserialize;

use super::budget::Budget;
use super::room::{Room, largest};
use super::{OutputLimits, line, output};
use crate::Item;
use crate::json::{self, RawObject, quoted};

/// Texts in the middle of a list are dropped where those that stay would have less than this each.
const LEAST_PART_BYTES: usize = 64;

/// Lines that a text has more when it is cut: those of header and marker, and a line cut in two.
const ADDED_LINES: usize = 6;

/// The item with its output made to fit the limits; `None` if it fits, or if the item is no output of
/// a call.
///
/// An output that is a text is cut as [`output`](super::output()) does it. Of one that is a list, all
/// texts (`input_text`) together are held to the limits: short ones stay whole, the longest give way
/// first, each cut as a text of its own; of very many, those in the middle are dropped, and the text
/// `[... omitted {k} of {n} texts ...]` takes their place. Images and parts that this crate does not
/// know are not touched, and count nothing. Neither are other fields, of the item and of its parts.
///
/// The item given is not changed, and sharing it costs nothing: keep it for the log and for events,
/// which show what the tool said in full. Cutting the result again gives `None`.
///
/// Besides what [`output`](super::output()) costs, the item's JSON is read once, unless it is too
/// short to hold an output over the limits.
///
/// ```
/// use longhaul_history::truncate::{OutputLimits, estimate_tokens, output_item};
/// use longhaul_history::{CallOutput, Item, ItemView};
///
/// let by_bytes = |text: &str| estimate_tokens(text.len()) as u64;
/// let full = Item::function_call_output("call_1", CallOutput::text("a line\n".repeat(5_000)));
///
/// let short = output_item(&full, &OutputLimits::default(), &by_bytes).unwrap();
/// let ItemView::Output(CallOutput::Text(text)) = short.view() else { unreachable!() };
/// assert!(text.starts_with("Total output lines: 5000\n\na line\n"));
/// assert_eq!(output_item(&short, &OutputLimits::default(), &by_bytes), None);
/// ```
pub fn output_item(
    item: &Item,
    limits: &OutputLimits,
    count_tokens: &dyn Fn(&str) -> u64,
) -> Option<Item> {
    if !item.kind().is_output() || surely_fits(item.json(), limits) {
        return None;
    }
    let json = item.text();
    let object = RawObject::parse(&json)?;
    let output = object.field("output")?;
    let short = match output.as_bytes().first() {
        Some(b'"') => one_text(output, limits, count_tokens)?,
        Some(b'[') => parts(output, &Budget::new(limits, count_tokens))?,
        _ => return None,
    };
    item.with_field("output", |_| Some(short.clone()))
}

/// Whether no output in `json` can be over the limits. A line of a text takes a backslash, or the
/// brace of a part.
fn surely_fits(json: &str, limits: &OutputLimits) -> bool {
    let room = Room::new(limits);
    let lines = || json.bytes().filter(|byte| matches!(byte, b'\\' | b'{')).count();
    limits.max_tokens.is_none()
        && json.len() <= room.max_bytes.min(room.max_line_bytes)
        && lines() <= room.max_lines
}

fn one_text(
    json: &str,
    limits: &OutputLimits,
    count_tokens: &dyn Fn(&str) -> u64,
) -> Option<String> {
    let text = json::string(json)?;
    let short = output::output(&text, limits, count_tokens);
    short.cut.map(|_| quoted(&short.text))
}

/// A part of an output; `text` if it is one.
struct Part<'a> {
    json: &'a str,
    text: Option<String>,
}

impl<'a> Part<'a> {
    fn read(json: &'a str) -> Self {
        #[derive(Deserialize)]
        struct TextPart {
            r#type: String,
            text: String,
        }
        let part = serde_json::from_str::<TextPart>(json).ok();
        let text = part.filter(|part| part.r#type == "input_text").map(|part| part.text);
        Self { json, text }
    }

    fn with_text(&self, text: &str) -> String {
        let is_other = self.text.as_deref() != Some(text);
        let edited = json::with_field(self.json, "text", |_| is_other.then(|| quoted(text)));
        edited.unwrap_or_else(|| self.json.to_owned())
    }
}

fn parts(json: &str, budget: &Budget<'_>) -> Option<String> {
    let parts: Vec<_> = json::elements(json)?.map(Part::read).collect();
    let texts: Vec<_> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
    let mut short = shortened(&texts, budget)?.into_iter();
    let parts = parts.iter().filter_map(|part| match part.text {
        Some(_) => short.next().flatten().map(|text| part.with_text(&text)),
        None => Some(part.json.to_owned()),
    });
    Some(format!("[{}]", parts.collect::<Vec<_>>().join(",")))
}

/// What each text becomes, `None` where it goes. `None` for all if they fit.
fn shortened(texts: &[&str], budget: &Budget<'_>) -> Option<Vec<Option<String>>> {
    let room = &budget.room;
    let bytes = texts.iter().map(|text| text.len()).fold(0, usize::saturating_add);
    let lines = || texts.iter().map(|text| line::count(text)).sum::<usize>();
    let fits = bytes <= room.max_bytes
        && lines() <= room.max_lines
        && texts.iter().all(|text| room.holds(text))
        && budget.allows(budget.tokens(texts.iter().copied()));
    let tokens = |texts: &Vec<_>| budget.tokens(texts.iter().flatten().map(String::as_str));
    (!fits).then(|| budget.fit(bytes, |room| shared_out(texts, room), tokens))
}

/// The texts with the room shared out among them: none is cut that is shorter than its share.
fn shared_out(texts: &[&str], room: &Room) -> Vec<Option<String>> {
    let (marker, dropped) = without_middle(texts, room);
    let text_at = |i: usize| match i {
        i if i == dropped.start && !dropped.is_empty() => Some(&*marker),
        i if dropped.contains(&i) => None,
        i => Some(texts[i]),
    };
    let kept: Vec<_> = (0..texts.len()).filter_map(text_at).collect();
    let bytes: Vec<_> = kept.iter().map(|text| text.len()).collect();
    let max_bytes = share(room.max_bytes, &bytes);
    let needed_lines = |text: &&str| {
        let added = if text.len() > max_bytes { ADDED_LINES } else { 0 };
        line::count(text) + added
    };
    let lines: Vec<_> = kept.iter().map(needed_lines).collect();
    let max_lines = share(room.max_lines, &lines);
    let shortened = |text: &str| {
        let room = Room { max_bytes: max_bytes.min(text.len()), max_lines, ..*room };
        if room.holds(text) { text.to_owned() } else { output::shortened(text, &room).text }
    };
    (0..texts.len()).map(|i| text_at(i).map(shortened)).collect()
}

/// Which texts to drop so that the others have room, and what to say in their place.
fn without_middle(texts: &[&str], room: &Room) -> (String, Range<usize>) {
    let places = (room.max_bytes / LEAST_PART_BYTES).min(room.max_lines).max(1);
    if texts.len() <= places {
        return (String::new(), 0..0);
    }
    let kept = places - 1;
    let head = room.head_share(kept).min(kept.saturating_sub(1));
    let dropped = texts.len() - kept;
    let marker = format!("[... omitted {dropped} of {} texts ...]", texts.len());
    (marker, head..head + dropped)
}

/// The largest share of `whole` for each, if none takes more than it needs.
fn share(whole: usize, needs: &[usize]) -> usize {
    let taken =
        |share: usize| needs.iter().map(|need| *need.min(&share)).fold(0, usize::saturating_add);
    largest(0, whole, |share| taken(share) <= whole)
}
