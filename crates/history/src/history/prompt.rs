//! What a model is to see, as pieces of shared segments.

use std::ops::Range;
use std::sync::Arc;

use super::History;
use super::segment::{Segment, Segments};
use crate::{Item, WireFormat};

/// Which reasoning items are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ReasoningFilter {
    /// Those since the user message that started the current turn; without
    /// [`History::begin_turn`], since the last user message. The default: servers want the
    /// reasoning behind the calls of a running turn, and none from before.
    #[default]
    CurrentTurn,
    /// All.
    KeepAll,
    /// None.
    DropAll,
}

/// The input of one request: a snapshot that later records do not change. Cloning shares.
#[derive(Clone, Default)]
pub struct Prompt {
    runs: Vec<Run>,
    /// The length of all runs, commas included.
    run_bytes: usize,
    items: usize,
}

#[derive(Clone)]
struct Run {
    segment: Arc<Segment>,
    range: Range<usize>,
}

impl Prompt {
    /// Number of items that are sent.
    pub fn item_count(&self) -> usize {
        self.items
    }

    /// Length in bytes of what [`write_json`](Self::write_json) appends.
    pub fn byte_len(&self) -> usize {
        // Two brackets; the last item's comma is not written.
        self.run_bytes.saturating_sub(1) + 2
    }

    /// Puts an item behind the others, in this prompt alone. What it answers or leaves open is not
    /// looked at.
    pub fn push(&mut self, item: Item, format: WireFormat) {
        let mut tail = Segments::default();
        tail.push(item, format);
        for placed in tail.placed() {
            self.push_runs(&placed.segment, 0);
        }
    }

    /// Puts the items of a segment behind the others, but for the reasoning among the first
    /// `reasoning_from`.
    fn push_runs(&mut self, segment: &Arc<Segment>, reasoning_from: usize) {
        let (ranges, items) = segment.without_reasoning(reasoning_from);
        self.items += items;
        for range in ranges {
            self.run_bytes += range.len();
            self.runs.push(Run { segment: Arc::clone(segment), range });
        }
    }

    /// Appends the items as a JSON array.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.reserve(self.byte_len() + 1);
        out.push(b'[');
        for run in &self.runs {
            out.extend_from_slice(run.segment.wire(run.range.clone()));
        }
        if !self.runs.is_empty() {
            out.pop();
        }
        out.push(b']');
    }

    /// The items as a JSON array.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// Two prompts are equal if their bytes are.
impl PartialEq for Prompt {
    fn eq(&self, other: &Self) -> bool {
        self.run_bytes == other.run_bytes && self.to_json() == other.to_json()
    }
}

impl Eq for Prompt {}

/// The view of a history whose calls are all answered.
pub(super) fn view(history: &History, filter: ReasoningFilter) -> Prompt {
    let reasoning_from = match filter {
        ReasoningFilter::CurrentTurn => history.reasoning_start(),
        ReasoningFilter::KeepAll => 0,
        ReasoningFilter::DropAll => history.len(),
    };
    let mut prompt = Prompt::default();
    for placed in history.segments.placed() {
        prompt.push_runs(&placed.segment, reasoning_from.saturating_sub(placed.first));
    }
    prompt
}
