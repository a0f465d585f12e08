//! What was seen of a session from outside, in one order.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::{Call, Entry, EventKind, InputEnd, RequestKind};

/// All that was seen of one session, in the order in which it was noted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// Notes a [`Log`]. Clones note into the same one: give one to each tool, to the model, to the reader of events and to
/// whoever gives inputs.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Entry>>>);

impl Recorder {
    /// What was noted until now.
    pub fn log(&self) -> Log {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Log { entries: entries.clone() }
    }

    /// Notes any entry.
    pub fn note(&self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// [`Entry::Accepted`]
    pub fn accepted(&self, input: impl Into<String>, text: impl Into<String>, steers: bool) {
        self.note(Entry::Accepted { input: input.into(), text: text.into(), steers });
    }

    /// [`Entry::Withdrawn`]
    pub fn withdrawn(&self, input: impl Into<String>) {
        self.note(Entry::Withdrawn { input: input.into() });
    }

    /// [`Entry::Settled`]
    pub fn settled(&self, input: impl Into<String>, end: InputEnd) {
        self.note(Entry::Settled { input: input.into(), end });
    }

    /// [`Entry::Request`]
    pub fn request(&self, kind: RequestKind, items: Vec<Value>) {
        self.note(Entry::Request { kind, items });
    }

    /// [`Entry::ResponseCompleted`]
    pub fn response_completed(&self, calls: Vec<Call>) {
        self.note(Entry::ResponseCompleted { calls });
    }

    /// [`Entry::ResponseFailed`]
    pub fn response_failed(&self) {
        self.note(Entry::ResponseFailed);
    }

    /// [`Entry::Asked`]
    pub fn asked(&self, call: Call) {
        self.note(Entry::Asked(call));
    }

    /// [`Entry::Answered`]
    pub fn answered(&self, call_id: impl Into<String>, arguments: impl Into<String>, yes: bool) {
        let (call_id, arguments) = (call_id.into(), arguments.into());
        self.note(Entry::Answered { call_id, arguments, yes });
    }

    /// [`Entry::EffectStart`]
    pub fn effect_start(&self, call: Call) {
        self.note(Entry::EffectStart(call));
    }

    /// [`Entry::EffectEnd`]
    pub fn effect_end(&self, call_id: impl Into<String>) {
        self.note(Entry::EffectEnd { call_id: call_id.into() });
    }

    /// [`Entry::Event`]
    pub fn event(&self, number: u64, turn_id: impl Into<String>, event: EventKind) {
        self.note(Entry::Event { number, turn_id: turn_id.into(), event });
    }

    /// [`Entry::InterruptReturned`]
    pub fn interrupt_returned(&self, turn_id: impl Into<String>) {
        self.note(Entry::InterruptReturned { turn_id: turn_id.into() });
    }

    /// [`Entry::Sample`]
    pub fn sample(&self, name: impl Into<String>, value: u64, cap: u64) {
        self.note(Entry::Sample { name: name.into(), value, cap });
    }

    /// [`Entry::End`]
    pub fn end(&self) {
        self.note(Entry::End);
    }
}
