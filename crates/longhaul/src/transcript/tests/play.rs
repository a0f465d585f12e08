//! Sessions by plan: what they tell, and the lines of the cells that this comes to.
//!
//! The lines are made of what was meant, not of the events: whole items, what became of calls. Of the
//! events they follow only what was cut off, piece by piece.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_history::turn_item::TurnItem;
use longhaul_state::protocol::Event;

use super::plan::{Before, Call, End, Kind, Part, Response, Step, Turn};
use super::support::*;
use crate::events::SessionEvent;

/// What a session tells, and what is to be seen of it.
#[derive(Debug, Default)]
pub(super) struct Play {
    pub(super) events: Vec<SessionEvent>,
    pub(super) lines: Vec<String>,
    turn: Arc<str>,
    users: usize,
    made: usize,
    is_review: bool,
}

impl Play {
    pub(super) fn of(turns: Vec<Turn>) -> Self {
        let mut play = Self::default();
        for turn in turns {
            play.turn(turn);
        }
        play
    }

    fn tell(&mut self, event: Event) {
        let number = self.events.len() as u64 + 1;
        let (submission_id, turn_id) = (Arc::clone(&self.turn), Arc::clone(&self.turn));
        self.events.push(SessionEvent { number, submission_id, turn_id, event });
    }

    fn tell_all(&mut self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|event| self.tell(event));
    }

    /// Something that a review keeps to itself.
    fn see(&mut self, line: String) {
        if !self.is_review {
            self.lines.push(line);
        }
    }

    fn fresh(&mut self) -> usize {
        self.made += 1;
        self.made
    }

    fn turn(&mut self, turn: Turn) {
        self.turn = format!("t{}", turn.id).into();
        self.tell(begin());
        self.say(&turn.text);
        let review = turn.review.map(|found| (self.lines.len(), found));
        if review.is_some() {
            self.tell(reviewing("it"));
            self.lines.push("review/ it: -".into());
            self.is_review = true;
        }
        let last = turn.steps.len() - 1;
        for (index, step) in turn.steps.into_iter().enumerate() {
            self.step(step, Some(&turn.end).filter(|_| index == last));
        }
        self.is_review = false;
        if let Some((place, found)) = review {
            if found {
                self.lines[place] = "review it: fine".into();
                self.tell(reviewed(Some("fine")));
            } else if self.made.is_multiple_of(2) {
                self.tell(reviewed(None));
            }
        }
        self.end(&turn.end);
    }

    fn end(&mut self, end: &End) {
        match end {
            End::Complete => self.tell(complete()),
            End::Failed => {
                self.tell_all([Event::Error(failed()), complete()]);
                self.lines.push("error too_many_model_calls".into());
            }
            End::InResponse(_) | End::InCalls(..) => {
                self.tell(abort());
                self.lines.push("aborted interrupted".into());
            }
        }
    }

    fn say(&mut self, text: &str) {
        let id = format!("u{}", self.fresh());
        self.tell_all(said(&id, text));
        self.lines.push(format!("user {}: {text}", self.users));
        self.users += 1;
    }

    fn step(&mut self, step: Step, end: Option<&End>) {
        self.before(step.before);
        for (response, cut) in step.broken {
            let mut events = self.stream(&response).0;
            events.truncate(cut);
            self.tell_all(events);
            if cut == 7 {
                // It was too long, and is no more.
                self.before(Before::Compaction(cut % 2 == 1, 0));
            } else {
                self.tell(retry(1));
                self.tell_all((cut % 2 == 0).then(recovered));
            }
        }
        let (mut events, items) = self.stream(&step.response);
        if let Some(End::InResponse(cut)) = end {
            events.truncate(*cut);
            for line in cut_off(&events) {
                self.see(line);
            }
            return self.tell_all(events);
        }
        self.tell_all(events);
        self.commit(&step.response, items);
        let abort = match end {
            Some(End::InCalls(cut, told)) => Some((*cut, *told)),
            _ => None,
        };
        self.calls(&step.calls, step.is_parallel, abort);
    }

    fn before(&mut self, before: Before) {
        match before {
            Before::Nothing => {}
            Before::Steer(_) if self.is_review => {}
            Before::Steer(text) => self.say(&text),
            Before::Compaction(asks, end) => {
                self.tell_all(asks.then(compacting));
                let line = match (asks, end) {
                    (_, 0 | 1) => Some("compaction manual: done x"),
                    (true, 2) => Some("compaction manual: failed too_many_model_calls"),
                    (true, _) => Some("compaction manual: given up"),
                    (false, _) => None,
                };
                if let Some(line) = line {
                    self.see(line.into());
                }
                match end {
                    0 => self.tell_all([started(bridge("b")), completed(bridge("b"))]),
                    2 => self.tell(Event::Warning(failed())),
                    _ => {}
                }
                if end == 2 && (!asks || self.is_review) {
                    self.lines.push("warning too_many_model_calls".into());
                }
                self.tell_all((end < 2).then(|| [compacted("x"), tokens()]).into_iter().flatten());
            }
        }
    }

    /// What is streamed of a response, and its items.
    fn stream(&mut self, response: &Response) -> (Vec<Event>, Vec<TurnItem>) {
        let base = self.fresh();
        let id = |index: usize| match response.ids {
            0 => format!("m{base}.{index}"),
            1 => format!("m{index}"),
            _ => "m".into(),
        };
        let item = |part: &Part, id: String, text: &str| match part.kind {
            Kind::Agent => agent(&id, text),
            Kind::Reasoning => reasoning(&id, &[text]),
            Kind::Search => search(&id, text),
            Kind::Compaction => bridge(&id),
        };
        let (mut starts, mut pieces, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for (index, part) in response.parts.iter().enumerate() {
            let mut announced = vec![started(item(part, id(index), ""))];
            if part.kind == Kind::Search {
                announced.push(Event::WebSearchBegin { call_id: id(index) });
            }
            starts.push(if response.is_announced { announced } else { Vec::new() });
            pieces.push(match part.kind {
                Kind::Agent => part.pieces.iter().map(|piece| text(piece)).collect(),
                Kind::Reasoning => part.pieces.iter().map(|piece| think(piece)).collect(),
                _ => Vec::new(),
            });
            items.push(item(part, id(index), &part.text));
        }
        let mut events: Vec<Event> = if response.is_announced_first {
            starts.into_iter().chain(pieces).flatten().collect()
        } else {
            starts
                .into_iter()
                .zip(pieces)
                .flat_map(|(start, pieces)| [start, pieces])
                .flatten()
                .collect()
        };
        if response.has_orphan {
            events.extend([started(agent("orphan", "")), text("nothing")]);
        }
        (events, items)
    }

    fn commit(&mut self, response: &Response, items: Vec<TurnItem>) {
        for (part, item) in response.parts.iter().zip(items) {
            let begins = !response.is_announced;
            self.tell_all(begins.then(|| started(item.clone())));
            let call_id = item.id.clone();
            self.tell(completed(item));
            if part.kind == Kind::Search {
                self.tell(Event::WebSearchEnd { call_id, query: part.text.clone() });
            }
            self.see(match part.kind {
                Kind::Agent => format!("agent {}", part.text),
                Kind::Reasoning => format!("reasoning {}", part.text),
                Kind::Search => format!("search {}", part.text),
                Kind::Compaction => "compaction -: done -".into(),
            });
        }
        self.tell(tokens());
    }

    fn calls(&mut self, calls: &[Call], is_parallel: bool, abort: Option<(usize, bool)>) {
        let base = self.fresh();
        // Each response numbers its calls anew.
        let id = |position: usize| format!("c{position}");
        let arguments = |position: usize| format!("{base}.{position}");
        let mut told: Vec<(usize, Event, String)> = Vec::new();
        let mut tell = |position, event, state: String| told.push((position, event, state));
        for (position, _) in calls.iter().enumerate().filter(|(_, call)| call.is_asked) {
            tell(position, ask(&id(position), &arguments(position)), "not run".into());
        }
        for (position, call) in calls.iter().enumerate().rev().filter(|(_, call)| call.is_asked) {
            let event = answered(&id(position), &arguments(position), !call.is_denied);
            tell(position, event, "not run".into());
        }
        let begins =
            |position| (position, run(&id(position), &arguments(position)), "stopped".to_owned());
        let runs = |(_, call): &(usize, &Call)| !call.is_denied;
        if is_parallel {
            let all = calls.iter().enumerate().filter(runs).map(|(position, _)| begins(position));
            all.for_each(|(position, event, state)| tell(position, event, state));
        }
        for (position, call) in calls.iter().enumerate() {
            if call.is_denied {
                tell(position, denied(&id(position), &arguments(position)), "denied no".into());
                continue;
            }
            if !is_parallel {
                let (position, event, state) = begins(position);
                tell(position, event, state);
            }
            if let Some(message) = &call.progress {
                tell(position, progress(&id(position), message), "stopped".into());
            }
            let output = arguments(position);
            let state = format!("{} {output}", if call.success { "ok" } else { "failed" });
            tell(position, end(&id(position), call.success, &output), state);
        }
        told.truncate(abort.map_or(usize::MAX, |(cut, _)| cut));
        let mut shown: Vec<usize> = Vec::new();
        let mut states = BTreeMap::new();
        for (position, event, state) in told {
            self.tell(event);
            shown.extend((!shown.contains(&position)).then_some(position));
            states.insert(position, state);
        }
        for (position, state) in &mut states {
            if state == "stopped" && abort.is_some_and(|(_, is_told)| is_told) {
                *state = "failed aborted".into();
                self.tell(end(&id(*position), false, "aborted"));
            }
        }
        for position in shown {
            let (id, arguments) = (id(position), arguments(position));
            self.lines.push(format!("tool {id} tool {arguments}: {}", states[&position]));
        }
    }
}

/// What is left of a response that was cut off.
fn cut_off(events: &[Event]) -> Vec<String> {
    let mut cells: Vec<(&str, String)> = Vec::new();
    for event in events {
        let (kind, delta) = match event {
            Event::TextDelta(delta) => ("agent/", delta),
            Event::ReasoningDelta(delta) => ("reasoning/", delta),
            Event::ItemStarted(item) => {
                let name = ["agent/", "reasoning/", "search/", "compaction -:"];
                let kind = [agent("", ""), reasoning("", &[""]), search("", ""), bridge("")];
                let at = kind.iter().position(|it| {
                    std::mem::discriminant(&it.kind) == std::mem::discriminant(&item.kind)
                });
                let at = at.unwrap();
                cells.push((name[at], if at == 3 { "given up".into() } else { String::new() }));
                continue;
            }
            _ => continue,
        };
        match cells.iter_mut().rfind(|(name, _)| *name == kind) {
            Some((_, text)) => text.push_str(delta),
            None => cells.push((kind, delta.clone())),
        }
    }
    cells.into_iter().map(|(name, text)| format!("{name} {text}")).collect()
}
