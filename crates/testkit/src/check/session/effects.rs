//! I2 to I7 and I25: a tool runs what the model asked for and somebody allowed, once, when it may.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::history::continues;
use super::items::{output_text, outputs};
use super::view::{Answer, Exchange, View};
use super::{Call, Entry, Found, RequestKind, Rules};

/// How the output of a call that was cut off begins.
const ABORTED: &str = "aborted";
/// What such an output says of a call whose tool never started.
const NOT_STARTED: &str = "not started";

pub(super) fn check(view: &View, rules: &Rules, found: &mut Found) {
    let mut ledger =
        Ledger { rules, found, courses: HashMap::new(), interrupted: HashSet::new(), last: None };
    let mut exchanges = view.exchanges.iter();
    let mut current = None;
    for entry in view.entries {
        match entry {
            Entry::Request { .. } => {
                current = exchanges.next();
                if let Some(exchange) = current {
                    ledger.request(exchange);
                }
            }
            Entry::ResponseCompleted { calls } => {
                ledger.response(calls, current.and_then(|exchange| exchange.turn));
            }
            Entry::Answered { call_id, arguments, yes } => ledger.answer(call_id, arguments, *yes),
            Entry::EffectStart(call) => ledger.start(call),
            Entry::EffectEnd { call_id } => ledger.end(call_id),
            Entry::InterruptReturned { turn_id } => {
                ledger.interrupted.insert(turn_id);
            }
            _ => {}
        }
    }
}

/// The newest calls of each id, and what became of them.
struct Ledger<'v, 'a> {
    rules: &'v Rules,
    found: &'v mut Found,
    courses: HashMap<&'a str, Course<'a>>,
    interrupted: HashSet<&'a str>,
    /// The last request of the conversation.
    last: Option<&'v Exchange<'a>>,
}

/// The calls of one id in one response.
#[derive(Default)]
struct Course<'a> {
    calls: Vec<&'a Call>,
    turn: Option<&'a str>,
    starts: usize,
    ends: usize,
    /// A request has told the model what became of them.
    is_told: bool,
    /// What they may run with, as answered.
    allowed: HashSet<&'a str>,
    is_asked: bool,
    is_denied: bool,
}

impl<'v, 'a> Ledger<'v, 'a> {
    /// Calls of ids that were used before begin a course of their own.
    fn response(&mut self, calls: &'a [Call], turn: Option<&'a str>) {
        for call in calls {
            self.courses.insert(&call.call_id, Course { turn, ..Course::default() });
        }
        for call in calls {
            self.courses.entry(&call.call_id).or_default().calls.push(call);
        }
    }

    fn answer(&mut self, call_id: &'a str, arguments: &'a str, yes: bool) {
        let Some(course) = self.courses.get_mut(call_id) else {
            return;
        };
        course.is_asked = true;
        course.is_denied |= !yes;
        if yes {
            course.allowed.insert(arguments);
        }
    }

    fn start(&mut self, started: &'a Call) {
        let Call { call_id, name, arguments } = started;
        if serde_json::from_str::<Value>(arguments).is_err() {
            let what = format!(
                "The tool of call `{call_id}` started with `{arguments}`, which is not JSON."
            );
            self.found.add("I6", what);
        }
        let Some(course) = self.courses.get_mut(call_id.as_str()) else {
            let what = format!(
                "The tool of call `{call_id}` started before a response with this call was complete."
            );
            self.found.add("I6", what);
            return;
        };
        course.starts += 1;
        if course.starts > course.calls.len() {
            self.found.add("I3", format!("The tool of call `{call_id}` started once more."));
        }
        if course.is_told {
            let what = format!("The tool of call `{call_id}` started after its output was sent.");
            self.found.add("I4", what);
        }
        if !course.is_of(started) {
            let what = format!(
                "The tool of call `{call_id}` started as {name} {arguments}, which nobody asked for."
            );
            self.found.add("I2", what);
        }
        if let Some(reason) = course.forbids(started, self.rules) {
            self.found.add("I7", format!("The tool of call `{call_id}` started {reason}."));
        }
        self.not_interrupted(call_id, "started");
    }

    fn end(&mut self, call_id: &'a str) {
        let course = self.courses.entry(call_id).or_default();
        course.ends += 1;
        if course.ends > course.starts {
            self.found
                .add("I4", format!("The tool of call `{call_id}` ended and had not started."));
        }
        if course.is_told {
            let what = format!("The tool of call `{call_id}` ended after its output was sent.");
            self.found.add("I4", what);
        }
        self.not_interrupted(call_id, "ended");
    }

    fn not_interrupted(&mut self, call_id: &str, did: &str) {
        let turn = self.courses.get(call_id).and_then(|course| course.turn);
        if turn.is_some_and(|turn| self.interrupted.contains(turn)) {
            let what =
                format!("The tool of call `{call_id}` {did} after the interrupt of its turn.");
            self.found.add("I25", what);
        }
    }

    /// The request after a response tells what became of its calls.
    fn request(&mut self, later: &'v Exchange<'a>) {
        if later.kind != RequestKind::Turn {
            return;
        }
        let Some(earlier) = self.last.replace(later) else {
            return;
        };
        let Answer::Completed { calls, .. } = earlier.answer else {
            return;
        };
        if !continues(earlier.items, later.items) {
            return;
        }
        let ids: BTreeSet<&str> = calls.iter().map(|call| call.call_id.as_str()).collect();
        for call_id in ids {
            let before = outputs(earlier.items, call_id).len();
            let fresh = outputs(later.items, call_id).into_iter().skip(before);
            let texts: Vec<String> = fresh.map(output_text).collect();
            if !texts.is_empty() {
                self.tell(call_id, &texts);
            }
        }
    }

    /// Outputs that do not say `aborted` are of calls whose tool has ended, or was never started.
    fn tell(&mut self, call_id: &str, outputs: &[String]) {
        let Some(course) = self.courses.get_mut(call_id) else {
            return;
        };
        course.is_told = true;
        let (aborted, results): (Vec<_>, Vec<_>) =
            outputs.iter().partition(|text| text.starts_with(ABORTED));
        let idle = course.calls.len().saturating_sub(course.starts);
        if results.len() > course.ends + idle {
            let what =
                format!("The output of call `{call_id}` was sent before its tool had ended.");
            self.found.add("I4", what);
        }
        if aborted.iter().filter(|text| text.contains(NOT_STARTED)).count() > idle {
            let what =
                format!("The output of call `{call_id}` says that it had not started, and it had.");
            self.found.add("I5", what);
        }
    }
}

impl Course<'_> {
    /// The tool is the model's choice, and the arguments are the model's or what somebody said yes to.
    fn is_of(&self, started: &Call) -> bool {
        let is_allowed = self.allowed.contains(started.arguments.as_str());
        self.calls.iter().any(|call| {
            call.name == started.name && (is_allowed || call.arguments == started.arguments)
        })
    }

    fn forbids(&self, started: &Call, rules: &Rules) -> Option<&'static str> {
        if !self.is_asked && !rules.asks.contains(&started.name) {
            None
        } else if self.is_denied && self.calls.len() == 1 {
            Some("after a no")
        } else if !self.is_asked {
            Some("without the yes that it needs")
        } else if !self.allowed.contains(started.arguments.as_str()) {
            Some("with arguments that nobody said yes to")
        } else {
            None
        }
    }
}
