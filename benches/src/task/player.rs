//! A model that plays the assistant's part in the conversation, and sums it up.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use longhaul_history::tokens::Estimator;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::request::TaskKind;
use longhaul_transport::{Model, ModelError, Request, ResponseStream};
use serde_json::json;

use super::{Summariser, Turn};

/// The name of the tool that it calls, with the arguments `turn` and `call`.
pub const TOOL: &str = "look";

/// What any answer is said to take.
const ANSWER_TOKENS: u64 = 100;

/// A model that plays the assistant's part, and sums up.
pub struct Player {
    summariser: Summariser,
    state: Mutex<Playing>,
}

#[derive(Default)]
struct Playing {
    answers: VecDeque<ResponseBuilder>,
    asked: usize,
}

impl Player {
    /// A player that has nothing to say yet.
    pub fn new(summariser: Summariser) -> Self {
        Self { summariser, state: Mutex::default() }
    }

    /// The next turn is this one, number `index`: first come its calls, then its answer.
    pub fn expect(&self, index: usize, turn: &Turn) {
        let call = |call| {
            let arguments = json!({"turn": index, "call": call});
            ResponseBuilder::new().call(&format!("call_{index}_{call}"), TOOL, arguments)
        };
        let calls = (0..turn.outputs.len()).map(call);
        let answer = ResponseBuilder::new().text(&turn.answer);
        self.change(|playing| playing.answers = calls.chain([answer]).collect());
    }

    /// How often it was asked for a summary.
    pub fn asked(&self) -> usize {
        self.change(|playing| playing.asked)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Playing) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, request: &Request) -> ResponseBuilder {
        if request.task_kind != TaskKind::Compact {
            let next = self.change(|playing| playing.answers.pop_front());
            return next.unwrap_or_default();
        }
        let asked = self.change(|playing| {
            playing.asked += 1;
            playing.asked - 1
        });
        let summary = self.summariser.summary(&request.input.to_json(), asked);
        ResponseBuilder::new().text(summary)
    }
}

#[async_trait]
impl Model for Player {
    /// Each request has a scripted model of its own: one for all would keep all of them.
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        let input_tokens = request.estimate_tokens(&Estimator::default());
        let answer = self.answer(request).usage(input_tokens, ANSWER_TOKENS);
        ScriptedModel::new().respond(answer).stream(request).await
    }
}
