//! Does what was seen of a session from outside keep the session's promises?
//!
//! A test notes what it sees in a [`Recorder`]: the inputs that it gave, the requests that a model got, the tools that
//! ran, the events that a reader read. [`check`] then holds sixteen invariants against the [`Log`]:
//!
//! | | holds if | file |
//! |---|---|---|
//! | I1 | calls and outputs of each request pair up, and each call of the last response is answered in the next | `history` |
//! | I2 | a call has the tool and the arguments that the model gave it, in each request and in its tool | `history`, `effects` |
//! | I3 | a call starts its tool at most once | `effects` |
//! | I4 | a tool starts before it ends, and ends before a request tells its result | `effects` |
//! | I5 | no output says that a call had not started if it had | `effects` |
//! | I6 | a tool starts after its response is complete, with arguments that are JSON | `effects` |
//! | I7 | a call that needs a yes starts with it, for the same arguments, and never after a no | `effects` |
//! | I8 | a turn has one end, and all of its events lie between its start and that end | `events` |
//! | I9 | a turn that ended well ended in a complete response, and its input says the same | `outcome` |
//! | I10 | the deltas of a message are its text, and text of a void attempt is sent nowhere | `events` |
//! | I11 | each request continues the one before it | `history` |
//! | I12 | each input is sent once, in order, unless it was taken back; then nowhere | `inputs` |
//! | I25 | after an interrupt has returned, no tool of the turn starts or ends, and the turn asks nothing | `effects`, `outcome` |
//! | I26 | events are numbered without a gap, or the gap is told | `events` |
//! | I27 | no measure is over its cap | `bounds` |
//! | I28 | at the end no turn is open and no input unsettled | `events`, `inputs` |
//!
//! A reader may lag behind. So an event is compared with other events only, never by its place among requests and
//! effects. A reader that missed events is believed about what it saw.
//!
//! What the checker takes for granted: each turn whose requests are of kind [`RequestKind::Turn`] begins with an
//! accepted input and goes by its id; each input has a text of its own, which is the whole text of a part of a message;
//! outputs of calls that were cut off begin with `aborted`, and say `not started` if that is so.
//!
//! # Example
//!
//! The events of a session of `longhaul` become entries like this:
//!
//! ```ignore
//! let kind = match &event.event {
//!     Event::TurnStarted { .. } => EventKind::TurnStarted,
//!     Event::Error(_) => { failed = true; EventKind::Other("error".into()) }
//!     Event::TurnComplete { .. } => EventKind::TurnComplete { failed: std::mem::take(&mut failed) },
//!     Event::TurnAborted { .. } => EventKind::TurnAborted,
//!     Event::TextDelta(text) => EventKind::TextDelta(text.clone()),
//!     Event::ItemCompleted(TurnItem::AgentMessage(message)) => message_of_the_model(message),
//!     Event::StreamError { .. } => EventKind::StreamError,
//!     Event::ContextCompacted(_) => EventKind::Compacted,
//!     Event::Missed { first, last } => EventKind::Missed { first: *first, last: *last },
//!     other => EventKind::Other(format!("{other:?}")),
//! };
//! recorder.event(event.number, &*event.turn_id, kind);
//! ```
//!
//! And a log is checked like this:
//!
//! ```
//! use longhaul_testkit::check::session::{self, Call, EventKind, Recorder, RequestKind, Rules};
//!
//! let recorder = Recorder::default();
//! recorder.request(RequestKind::Turn, Vec::new());
//! recorder.effect_start(Call::new("call_1", "shell", "{}"));
//!
//! let rules = Rules { asks: ["shell".to_owned()].into() };
//! let found = session::check(&recorder.log(), &rules).unwrap_err();
//! let found: Vec<_> = found.iter().map(ToString::to_string).collect();
//! assert_eq!(found, ["I6: The tool of call `call_1` started before a response with this call was complete."]);
//! ```

mod bounds;
mod effects;
mod entry;
mod events;
mod history;
mod inputs;
mod items;
mod log;
mod outcome;
mod view;

use std::collections::BTreeSet;

use self::view::View;
pub use entry::{Call, Entry, EventKind, InputEnd, RequestKind};
pub use log::{Log, Recorder};

/// What the session was told, as far as its promises depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The tools whose calls need somebody's yes. Default: none.
    pub asks: BTreeSet<String>,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
#[non_exhaustive]
pub struct Violation {
    /// Which promise, `I1` to `I28`.
    pub invariant: &'static str,
    /// What happened, in one sentence.
    pub what: String,
}

/// How much there was to check, so that a run in which nothing happened is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Turns that began.
    pub turns: usize,
    /// Requests, repeated ones included.
    pub requests: usize,
    /// Calls of complete responses.
    pub calls: usize,
    /// Tools that started.
    pub effects: usize,
    /// Inputs that were accepted.
    pub inputs: usize,
}

/// Holds all invariants against `log`.
///
/// # Errors
///
/// All violations, by invariant.
pub fn check(log: &Log, rules: &Rules) -> Result<Summary, Vec<Violation>> {
    let view = View::new(log);
    let mut found = Found::default();
    history::check(&view, &mut found);
    effects::check(&view, rules, &mut found);
    events::check(&view, &mut found);
    outcome::check(&view, &mut found);
    inputs::check(&view, &mut found);
    bounds::check(log, &mut found);
    found.into_result(summary(log))
}

fn summary(log: &Log) -> Summary {
    let mut summary = Summary::default();
    for entry in &log.entries {
        match entry {
            Entry::Event { event: EventKind::TurnStarted, .. } => summary.turns += 1,
            Entry::Request { .. } => summary.requests += 1,
            Entry::ResponseCompleted { calls } => summary.calls += calls.len(),
            Entry::EffectStart(_) => summary.effects += 1,
            Entry::Accepted { .. } => summary.inputs += 1,
            _ => {}
        }
    }
    summary
}

/// The violations until now.
#[derive(Default)]
pub(super) struct Found(Vec<Violation>);

impl Found {
    pub(super) fn add(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.0.push(Violation { invariant, what: what.into() });
    }

    pub(super) fn into_result<T>(mut self, sound: T) -> Result<T, Vec<Violation>> {
        self.0.sort_by_key(|violation| (violation.invariant.len(), violation.invariant));
        if self.0.is_empty() { Ok(sound) } else { Err(self.0) }
    }
}
