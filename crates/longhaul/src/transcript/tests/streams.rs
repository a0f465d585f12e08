//! Sessions made at random, followed whole, in pieces and with gaps.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_history::turn_item::TurnItemKind;
use longhaul_state::protocol::Event;
use proptest::collection::vec;
use proptest::prelude::*;

use super::plan::turn;
use super::play::Play;
use super::support::*;
use crate::events::SessionEvent;
use crate::transcript::*;

fn fold(events: &[SessionEvent]) -> Transcript {
    let mut transcript = Transcript::new();
    for event in events {
        transcript.apply(event);
    }
    transcript
}

/// The cells as a user interface has them that draws what it is told to, and nothing else.
fn draw(drawn: &mut Vec<Cell>, changes: Changes, cells: &[Cell]) {
    match changes {
        Changes::Nothing => {}
        Changes::Cell(index) if index < drawn.len() => drawn[index] = cells[index].clone(),
        Changes::Cell(index) | Changes::From(index) => {
            drawn.truncate(index);
            drawn.extend_from_slice(&cells[index..]);
        }
    }
}

/// Deltas that follow each other are one.
fn joined(events: &[SessionEvent]) -> Vec<SessionEvent> {
    let mut joined: Vec<SessionEvent> = Vec::new();
    for event in events {
        match (joined.last_mut().map(|last| &mut last.event), &event.event) {
            (Some(Event::TextDelta(text)), Event::TextDelta(more))
            | (Some(Event::ReasoningDelta(text)), Event::ReasoningDelta(more)) => {
                text.push_str(more);
            }
            _ => {
                let number = joined.len() as u64 + 1;
                joined.push(SessionEvent { number, ..event.clone() });
            }
        }
    }
    joined
}

/// The events with a gap in the place of those at `first..last`, and with a last turn.
fn torn(events: &[SessionEvent], first: usize, last: usize) -> Vec<SessionEvent> {
    let mut torn = events[..first].to_vec();
    let (from, to) = (first as u64 + 1, last as u64);
    if first < last {
        let event = Event::Missed { first: from, last: to };
        let (submission_id, turn_id) = (Arc::default(), Arc::default());
        torn.push(SessionEvent { number: to, submission_id, turn_id, event });
    }
    torn.extend_from_slice(&events[last..]);
    for (number, event) in (events.len() as u64 + 1..).zip([begin(), complete()]) {
        let (submission_id, turn_id): (Arc<str>, Arc<str>) = ("last".into(), "last".into());
        torn.push(SessionEvent { number, submission_id, turn_id, event });
    }
    torn
}

/// What is known for certain from events: whole items, outputs, and what is said.
fn facts(events: &[SessionEvent]) -> BTreeMap<String, usize> {
    let mut facts = BTreeMap::new();
    let mut users = Vec::new();
    // An ended search is told twice, unless one of the two is missed.
    let mut is_told_again = false;
    for event in events {
        let fact = match &event.event {
            Event::ItemStarted(item) | Event::ItemCompleted(item)
                if matches!(item.kind, TurnItemKind::UserMessage { .. }) =>
            {
                let text = item.kind.message_text().unwrap();
                if users.contains(&item.id) {
                    continue;
                }
                users.push(item.id.clone());
                format!("user {}: {text}", users.len() - 1)
            }
            Event::ItemCompleted(item) => match &item.kind {
                TurnItemKind::AgentMessage { .. } => {
                    format!("agent {}", item.kind.message_text().unwrap())
                }
                TurnItemKind::Reasoning { summary_text, .. } => {
                    format!("reasoning {}", summary_text[0])
                }
                TurnItemKind::WebSearch { query } => {
                    is_told_again = true;
                    format!("search {query}")
                }
                _ => continue,
            },
            Event::WebSearchEnd { .. } if std::mem::take(&mut is_told_again) => continue,
            Event::WebSearchEnd { query, .. } => format!("search {query}"),
            Event::ToolCallEnd { success: true, output, .. } => format!("ok {output}"),
            Event::ToolCallEnd { output, .. } => format!("failed {output}"),
            Event::ToolCallDenied { reason, .. } => format!("denied {reason}"),
            Event::ContextCompacted(report) => format!("done {}", report.strategy),
            Event::Error(error) => format!("error {}", error.code()),
            Event::TurnAborted { reason } => format!("aborted {}", reason.as_str()),
            Event::Missed { first, last } => {
                is_told_again = false;
                format!("gap {first}-{last}")
            }
            _ => continue,
        };
        *facts.entry(fact).or_default() += 1;
    }
    facts
}

/// What cells show of that.
fn shown(transcript: &Transcript) -> BTreeMap<String, usize> {
    let mut shown = BTreeMap::new();
    for cell in transcript.cells() {
        let line = line(&cell.kind);
        let fact = match &cell.kind {
            CellKind::Agent { state, .. }
            | CellKind::Reasoning { state, .. }
            | CellKind::WebSearch { state, .. }
                if *state != ItemState::Complete =>
            {
                continue;
            }
            CellKind::Tool { state, .. } => match state {
                ToolState::Denied { .. } | ToolState::Ended { .. } => {
                    line.split_once(": ").unwrap().1.to_owned()
                }
                _ => continue,
            },
            CellKind::Compaction { state: CompactionState::Done { report: Some(_) }, .. } => {
                line.split_once(": ").unwrap().1.to_owned()
            }
            CellKind::Compaction { .. } | CellKind::Warning(_) => continue,
            _ => line,
        };
        *shown.entry(fact).or_default() += 1;
    }
    shown
}

fn is_closed(transcript: &Transcript) -> bool {
    transcript.activity() == Activity::Idle
        && transcript.running == Running::default()
        && transcript.cells().iter().all(|cell| !cell.kind.is_open())
}

proptest! {
    /// What a session comes to is what was meant, however it came about; and who draws what changes
    /// has drawn all.
    #[test]
    fn a_session_comes_to_what_was_meant(turns in vec(turn(), 1..5)) {
        let play = Play::of(turns);
        let (mut transcript, mut drawn) = (Transcript::new(), Vec::new());
        for event in &play.events {
            let changes = transcript.apply(event);
            draw(&mut drawn, changes, transcript.cells());
            prop_assert_eq!(&*drawn, transcript.cells(), "{:?}", event);
            let latest = transcript.cells().iter().map(|cell| cell.changed).max();
            prop_assert!(latest.is_none_or(|latest| latest <= event.number));
        }
        prop_assert_eq!(lines(&transcript), play.lines);
        prop_assert!(is_closed(&transcript));
        prop_assert!(transcript.cells().is_sorted_by(|a, b| a.id < b.id));
    }

    /// Live or replayed, in pieces, with deltas joined: it is the same.
    #[test]
    fn it_is_the_same_however_it_is_read(
        turns in vec(turn(), 1..4),
        cut in any::<prop::sample::Index>(),
        back in 0..20_usize,
    ) {
        let play = Play::of(turns);
        let whole = fold(&play.events);
        let cut = cut.index(play.events.len() + 1);
        let mut halves = fold(&play.events[..cut]);
        for event in &play.events[cut.saturating_sub(back)..] {
            halves.apply(event);
        }
        prop_assert_eq!(&halves, &whole);
        prop_assert_eq!(lines(&fold(&joined(&play.events))), lines(&whole));
    }

    /// Of what is told, nothing is lost behind a gap or for who begins late, and no end is made up.
    #[test]
    fn a_gap_hides_what_was_in_it_and_nothing_else(
        turns in vec(turn(), 1..4),
        ends in any::<[prop::sample::Index; 2]>(),
        is_told in any::<bool>(),
    ) {
        let turns = turns.into_iter().filter(|turn| !turn.is_review());
        let play = Play::of(turns.collect());
        let mut ends = ends.map(|end| end.index(play.events.len() + 1));
        ends.sort_unstable();
        let mut events = torn(&play.events, ends[0], ends[1]);
        if !is_told {
            events.drain(..events.iter().position(|e| e.number > ends[1] as u64).unwrap());
        }
        let transcript = fold(&events);
        prop_assert_eq!(shown(&transcript), facts(&events));
        prop_assert!(is_closed(&transcript), "{:?}", lines(&transcript));
    }

    /// A fork before a message shows what was before it, and nothing that is still going on.
    #[test]
    fn a_trimmed_transcript_is_its_beginning(
        turns in vec(turn(), 1..4),
        cut in any::<prop::sample::Index>(),
        n in 0..6_usize,
    ) {
        let play = Play::of(turns);
        let whole = fold(&play.events[..cut.index(play.events.len() + 1)]);
        let mut trimmed = whole.clone();
        let is_user = |cell: &Cell| matches!(&cell.kind, CellKind::User { nth, .. } if *nth == n);
        let place = whole.cells().iter().position(is_user);
        prop_assert_eq!(trimmed.trim(n), place.is_some());
        let Some(place) = place else {
            prop_assert_eq!(trimmed, whole);
            return Ok(());
        };
        prop_assert!(is_closed(&trimmed));
        prop_assert_eq!(trimmed.cells().len(), place);
        for (cell, before) in trimmed.cells().iter().zip(whole.cells()) {
            prop_assert!(cell == before || before.kind.is_open());
        }
    }
}
