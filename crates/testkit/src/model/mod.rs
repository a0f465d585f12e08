//! A scripted model in process: no socket, and no time but that of the test's runtime.
//!
//! A [`ScriptedModel`] stands behind the seam that a server's client stands behind, so that an agent under test
//! cannot tell it from one. Each request takes the next [`Answer`] of the script, is kept as a [`Recorded`], and is
//! checked for the pairing of calls and outputs ([`crate::check`]).
//!
//! It spawns nothing, sleeps never, and needs no runtime; under tokio's paused clock the waits of the code under
//! test pass at once.

mod answer;
mod record;
mod script;

use std::fmt::{self, Display};
use std::sync::Arc;

use async_trait::async_trait;
use longhaul_transport::{
    ErrorCode, Model, ModelError, Request, ResponseStream, RetryPolicy, encode,
};
use tokio::sync::watch;

pub use answer::Answer;
pub use record::{Recorded, StreamEnd};

use self::record::Watched;
use self::script::{Entry, State};
use crate::server::Gate;
use crate::sse::{ResponseBuilder, Usage};
use crate::watched::wait_for;

/// A model that answers by a script: the n-th request gets the n-th answer.
///
/// Clones share the script and the log, so that a test keeps a handle on what it gives away. Answers may be added at
/// any time. A request after the last answer fails with an error that no retry repeats, and
/// [`assert_complete`](Self::assert_complete) tells of it.
///
/// ```
/// use std::sync::Arc;
///
/// use futures_util::StreamExt;
/// use longhaul_history::{History, Item, ReasoningFilter};
/// use longhaul_testkit::ScriptedModel;
/// use longhaul_transport::{ErrorCode, ModelError, Request, SampleEvent, sample};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let model = ScriptedModel::new()
///     .fail(ModelError::new(ErrorCode::ServerError, "overloaded"))
///     .text("Two files.");
///
/// let mut history = History::default();
/// history.record(Item::user("How many files?"));
/// let request = Request::new("m", history.prompt(ReasoningFilter::CurrentTurn));
/// let events = sample(Arc::new(model.clone()), Arc::new(request), None);
/// let events: Vec<SampleEvent> = events.map(Result::unwrap).collect().await;
///
/// assert!(matches!(events[0], SampleEvent::Retrying(_)));
/// assert_eq!(model.requests()[1].input()[0]["role"], "user");
/// model.assert_complete();
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ScriptedModel {
    state: Arc<watch::Sender<State>>,
}

impl Default for ScriptedModel {
    fn default() -> Self {
        Self::new()
    }
}

/// The script, in order of the calls.
impl ScriptedModel {
    /// A model without answers.
    pub fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Says `text`.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.build(|response| response.text(text))
    }

    /// Reasons, with a summary and an encrypted form, and then says `text`.
    pub fn reasoned_text(self, summary: &str, text: impl Into<String>) -> Self {
        self.build(|response| response.reasoning(summary, Some(ENCRYPTED)).text(text))
    }

    /// Calls a function tool. `arguments` go out as displayed, so text that is not JSON is possible.
    pub fn call(self, call_id: &str, name: &str, arguments: impl Display) -> Self {
        self.build(|response| response.call(call_id, name, arguments))
    }

    /// Calls function tools in one response: call id, name, arguments.
    pub fn calls<'a, A: Display>(
        self,
        calls: impl IntoIterator<Item = (&'a str, &'a str, A)>,
    ) -> Self {
        self.build(|response| add_calls(response, calls))
    }

    /// Reasons, with a summary and an encrypted form, and then calls function tools.
    pub fn reasoned_calls<'a, A: Display>(
        self,
        summary: &str,
        calls: impl IntoIterator<Item = (&'a str, &'a str, A)>,
    ) -> Self {
        self.build(|response| add_calls(response.reasoning(summary, Some(ENCRYPTED)), calls))
    }

    /// Calls a tool that takes free text.
    pub fn custom_call(self, call_id: &str, name: &str, input: &str) -> Self {
        self.build(|response| response.custom_call(call_id, name, input))
    }

    /// Gives any answer: a [`ResponseBuilder`] (completed), the JSON events that one made, typed events, or an
    /// [`Answer`] made step by step.
    pub fn respond(self, answer: impl Into<Answer>) -> Self {
        self.push(Entry::Fixed(answer.into()))
    }

    /// Gives what `answer` makes of the request.
    pub fn respond_with(
        self,
        answer: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.push(Entry::Computed(Arc::new(answer)))
    }

    /// Gives the same answer to `times` requests.
    pub fn repeat(mut self, times: usize, answer: impl Into<Answer>) -> Self {
        let answer = answer.into();
        for _ in 0..times {
            self = self.respond(answer.clone());
        }
        self
    }

    /// Fails before a response begins.
    pub fn fail(self, error: ModelError) -> Self {
        self.respond(Answer::failure(error))
    }

    /// Breaks in the stream: gives `events` up to a terminal one, and then `error`.
    pub fn break_after(self, events: impl Into<Answer>, error: ModelError) -> Self {
        self.respond(events.into().unfinished().break_with(error))
    }

    /// Never answers. For tests of cancellation and deadlines.
    pub fn hang(self) -> Self {
        self.respond(Answer::never())
    }

    /// Holds the next answer back until the test opens `gate`. The request is in the log by then.
    pub fn hold(self, gate: &Gate) -> Self {
        self.edit(|state| state.held.push(gate.clone()))
    }

    /// Answers all further requests like the last one, so that the script is never exhausted.
    pub fn repeat_last(self) -> Self {
        self.edit(|state| state.repeat_last = true)
    }

    /// What the answers made from here on say they cost, in tokens; [`respond`](Self::respond) sets its own.
    pub fn usage(self, input_tokens: u64, output_tokens: u64) -> Self {
        self.usage_full(Usage { input_tokens, output_tokens, ..Usage::default() })
    }

    /// [`usage`](Self::usage), with the cached and the reasoning tokens.
    pub fn usage_full(self, usage: Usage) -> Self {
        self.edit(|state| state.usage = usage)
    }

    /// How failed attempts are to be repeated. Default: [`RetryPolicy::default`].
    pub fn retry_policy(self, policy: RetryPolicy) -> Self {
        self.edit(|state| state.policy = policy)
    }

    /// Does not check the pairing of calls and outputs.
    pub fn allow_broken_pairing(self) -> Self {
        self.edit(|state| state.unchecked_pairing = true)
    }

    fn edit(self, change: impl FnOnce(&mut State)) -> Self {
        self.state.send_modify(change);
        self
    }

    fn push(self, entry: Entry) -> Self {
        self.edit(|state| state.push(entry))
    }

    /// Adds a completed response, with an id of its own.
    fn build(self, fill: impl FnOnce(ResponseBuilder) -> ResponseBuilder) -> Self {
        let response = self.state.borrow().next_response();
        self.respond(fill(response))
    }
}

/// What the reasoning of a scripted answer is encrypted to.
const ENCRYPTED: &str = "gAAAAtestkit";

fn add_calls<'a, A: Display>(
    response: ResponseBuilder,
    calls: impl IntoIterator<Item = (&'a str, &'a str, A)>,
) -> ResponseBuilder {
    let add = |response: ResponseBuilder, (id, name, arguments)| response.call(id, name, arguments);
    calls.into_iter().fold(response, add)
}

/// The log.
impl ScriptedModel {
    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.borrow().requests.clone()
    }

    /// Waits until at least `count` requests have come, and returns all so far.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Recorded> {
        self.wait_for(|state| (state.requests.len() >= count).then(|| state.requests.clone())).await
    }

    /// Waits until the answer to request `order` (from 0) was read to its end, or dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_until_ended(&self, order: usize) -> StreamEnd {
        self.wait_for(|state| state.requests.get(order)?.end).await
    }

    async fn wait_for<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        wait_for(&self.state, look).await
    }

    /// Everything that [`assert_complete`](Self::assert_complete) would complain about, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        self.state.borrow().problems()
    }

    /// Asserts that the code under test did what the script foresaw.
    ///
    /// # Panics
    ///
    /// If calls and outputs did not pair up in a request, answers are left, or more requests came than answers were
    /// scripted.
    #[track_caller]
    pub fn assert_complete(&self) {
        let problems = self.problems();
        assert!(
            problems.is_empty(),
            "the scripted model saw problems:\n  {}",
            problems.join("\n  ")
        );
    }

    /// Notes a request and decides its answer.
    fn take(&self, request: &Request) -> Result<(usize, Answer), ModelError> {
        let body = encode(request, &longhaul_transport::Provider::neutral())?;
        let mut recorded = Recorded::new(body, request.task_kind);
        let mut entry = Err(ModelError::new(ErrorCode::InvalidRequest, ""));
        self.state.send_modify(|state| entry = state.take(&mut recorded));
        // Outside the lock: a function of the test may look at the model.
        Ok((recorded.order, entry?.answer(&recorded)))
    }
}

#[async_trait]
impl Model for ScriptedModel {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        let (order, answer) = self.take(request)?;
        let watched = Watched::new(&self.state, order);
        answer.start(watched).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.state.borrow().policy.clone()
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedModel")
            .field("requests", &self.state.borrow().requests)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
