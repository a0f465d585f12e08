//! One answer of a scripted model, step by step.

use std::future::pending;

use futures_util::StreamExt;
use futures_util::stream;
use longhaul_transport::event::decode;
use longhaul_transport::{ModelError, ResponseEvent, ResponseStream};
use serde_json::Value;

use super::record::{StreamEnd, Watched};
use crate::server::Gate;
use crate::sse::ResponseBuilder;

/// An answer: waits, then events, waits and perhaps a failure, in the order in which they were added.
///
/// ```
/// use longhaul_testkit::model::{Answer, ScriptedModel};
/// use longhaul_testkit::server::Gate;
/// use longhaul_testkit::sse::ResponseBuilder;
///
/// // The text streams, then the test decides when the response completes.
/// let gate = Gate::new("before the end");
/// let text = || Answer::from(ResponseBuilder::new().text("hello"));
/// let answer = text().unfinished().hold(&gate).then(text().terminal());
/// let model = ScriptedModel::new().respond(answer);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Answer {
    before: Vec<Gate>,
    /// What keeps the response from starting.
    refusal: Option<Refusal>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Refusal {
    Failure(ModelError),
    Silence,
}

#[derive(Clone, Debug)]
enum Step {
    Event(ResponseEvent),
    Gate(Gate),
    Break(ModelError),
    Hang,
}

impl Answer {
    /// A failure before the response begins.
    pub fn failure(error: ModelError) -> Self {
        Self { refusal: Some(Refusal::Failure(error)), ..Self::default() }
    }

    /// No answer, ever.
    pub fn never() -> Self {
        Self { refusal: Some(Refusal::Silence), ..Self::default() }
    }

    /// Adds the events and waits of another answer.
    pub fn then(mut self, more: impl Into<Answer>) -> Self {
        self.steps.extend(more.into().steps);
        self
    }

    /// Waits here until the test opens `gate`.
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(Step::Gate(gate.clone()))
    }

    /// Breaks here, within the response.
    pub fn break_with(self, error: ModelError) -> Self {
        self.step(Step::Break(error.in_stream()))
    }

    /// Nothing comes after this, and the stream does not end.
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// The same answer up to its terminal event or failure, without that.
    pub fn unfinished(mut self) -> Self {
        self.steps.truncate(self.end());
        self
    }

    /// What [`unfinished`](Self::unfinished) leaves out.
    pub fn terminal(mut self) -> Self {
        self.steps.drain(..self.end());
        self
    }

    fn end(&self) -> usize {
        let ends = |step: &Step| match step {
            Step::Event(event) => event.is_terminal(),
            Step::Break(_) => true,
            Step::Gate(_) | Step::Hang => false,
        };
        self.steps.iter().position(ends).unwrap_or(self.steps.len())
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Waits at `gates` before anything else.
    pub(super) fn hold_all_before(mut self, gates: &[Gate]) -> Self {
        self.before.extend_from_slice(gates);
        self
    }

    /// Answers; tells `watched` how that ends.
    pub(super) async fn start(self, mut watched: Watched) -> Result<ResponseStream, ModelError> {
        for gate in &self.before {
            gate.pass().await;
        }
        match self.refusal {
            Some(Refusal::Failure(error)) => {
                watched.end(StreamEnd::Read);
                return Err(error);
            }
            Some(Refusal::Silence) => pending().await,
            None => {}
        }
        let steps = (self.steps.into_iter(), watched);
        let events = stream::unfold(steps, |(mut steps, mut watched)| async move {
            let Some(event) = next(&mut steps).await else {
                watched.end(StreamEnd::Read);
                return None;
            };
            if !event.as_ref().is_ok_and(|event| !event.is_terminal()) {
                watched.end(StreamEnd::Read);
            }
            Some((event, (steps, watched)))
        });
        Ok(events.boxed())
    }
}

async fn next(steps: &mut std::vec::IntoIter<Step>) -> Option<Result<ResponseEvent, ModelError>> {
    loop {
        match steps.next()? {
            Step::Event(event) => return Some(Ok(event)),
            Step::Break(error) => return Some(Err(error)),
            Step::Gate(gate) => gate.pass().await,
            Step::Hang => pending().await,
        }
    }
}

impl From<ResponseBuilder> for Answer {
    /// The response, completed.
    fn from(response: ResponseBuilder) -> Self {
        response.completed().into()
    }
}

impl From<Vec<Value>> for Answer {
    /// JSON events, read as a client reads them: `response.failed` and the like become the error that they are.
    fn from(events: Vec<Value>) -> Self {
        let events = events.iter().map(|event| decode(&event.to_string()));
        let steps = events.filter_map(|event| match event {
            Ok(event) => event.map(Step::Event),
            Err(error) => Some(Step::Break(error)),
        });
        Self { steps: steps.collect(), ..Self::default() }
    }
}

impl From<Vec<ResponseEvent>> for Answer {
    fn from(events: Vec<ResponseEvent>) -> Self {
        Self { steps: events.into_iter().map(Step::Event).collect(), ..Self::default() }
    }
}
