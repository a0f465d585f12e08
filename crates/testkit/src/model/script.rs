//! The script and the log of a scripted model.

use std::sync::Arc;

use longhaul_transport::{ErrorCode, ModelError, RetryPolicy};

use super::{Answer, Recorded, StreamEnd};
use crate::check::{Violation, pairing};
use crate::server::Gate;
use crate::sse::{ResponseBuilder, Usage};

/// What the clones of a model share.
#[derive(Default)]
pub(super) struct State {
    entries: Vec<(Vec<Gate>, Entry)>,
    /// Gates for the next entry.
    pub(super) held: Vec<Gate>,
    pub(super) repeat_last: bool,
    pub(super) unchecked_pairing: bool,
    pub(super) usage: Usage,
    pub(super) policy: RetryPolicy,
    pub(super) requests: Vec<Recorded>,
    violations: Vec<(usize, Violation)>,
}

#[derive(Clone)]
pub(super) enum Entry {
    Fixed(Answer),
    Computed(Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>),
}

/// An entry that a request took, with the gates before it.
pub(super) struct Taken {
    gates: Vec<Gate>,
    entry: Entry,
}

impl Taken {
    pub(super) fn answer(self, request: &Recorded) -> Answer {
        let answer = match self.entry {
            Entry::Fixed(answer) => answer,
            Entry::Computed(answer) => answer(request),
        };
        answer.hold_all_before(&self.gates)
    }
}

impl State {
    pub(super) fn push(&mut self, entry: Entry) {
        let gates = std::mem::take(&mut self.held);
        self.entries.push((gates, entry));
    }

    /// The next entry's response, still empty.
    pub(super) fn next_response(&self) -> ResponseBuilder {
        ResponseBuilder::new().id(format!("resp_{}", self.entries.len() + 1)).usage_full(self.usage)
    }

    /// Notes `request`, numbers it, and gives its entry. A request that gets none is over at once.
    pub(super) fn take(&mut self, request: &mut Recorded) -> Result<Taken, ModelError> {
        request.order = self.requests.len();
        let taken = self.check(request).and_then(|()| self.entry(request.order));
        request.end = taken.is_err().then_some(StreamEnd::Read);
        self.requests.push(request.clone());
        taken
    }

    fn entry(&self, order: usize) -> Result<Taken, ModelError> {
        let last = self.entries.last().filter(|_| self.repeat_last);
        let entry = self.entries.get(order).or(last);
        let (gates, entry) = entry.cloned().ok_or_else(|| {
            let (number, scripted) = (order + 1, self.entries.len());
            refusal(format!(
                "The script is exhausted: this is request {number}, it has {scripted} answers."
            ))
        })?;
        Ok(Taken { gates, entry })
    }

    /// As a strict server would, refuses a request whose calls and outputs do not pair up.
    fn check(&mut self, request: &Recorded) -> Result<(), ModelError> {
        if self.unchecked_pairing {
            return Ok(());
        }
        let Err(violations) = pairing(&request.input()) else {
            return Ok(());
        };
        let sentences: Vec<_> = violations.iter().map(ToString::to_string).collect();
        let found = violations.into_iter().map(|found| (request.order, found));
        self.violations.extend(found);
        Err(refusal(sentences.join(" ")))
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .violations
            .iter()
            .map(|(order, violation)| format!("requests()[{order}]: {violation}"))
            .collect();
        let (came, scripted) = (self.requests.len(), self.entries.len());
        if came < scripted {
            let left = scripted - came;
            problems.push(format!("{left} of {scripted} scripted answers were not used."));
        } else if came > scripted && (!self.repeat_last || scripted == 0) {
            problems
                .push(format!("{came} requests came, but only {scripted} answers were scripted."));
        }
        problems
    }
}

/// An error that no retry repeats.
fn refusal(message: String) -> ModelError {
    ModelError::new(ErrorCode::InvalidRequest, message).retryable(false)
}
