//! Turns that end with a value.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use longhaul_history::turn_item::TurnItemKind;
use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};
use longhaul_transport::ErrorCode;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::repair::{NoAnswer, Repairing, Said};
use super::{AnswerError, read, strict_schema_of};
use crate::{Input, Session, TurnHandle};

/// An accepted input whose answer is a `T`. Awaiting it gives the value; events can be read as of any
/// [turn](TurnHandle). Dropping it does not cancel the turn.
pub struct TypedTurn<T> {
    turn: TurnHandle,
    /// What streamed of the last message.
    said: String,
    no_answer: Said,
    of: PhantomData<fn() -> T>,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The turn failed.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The turn was cut off, or its input taken back.
    #[error("the turn was cut off before it had an answer")]
    Interrupted,
    /// The model does not want to answer. Ask for something else.
    #[error("the model refuses: {refusal}")]
    Refused {
        /// What it says.
        refusal: String,
    },
    /// The response ended early, mostly because it became too long: raise `max_output_tokens`, or ask
    /// for less.
    #[error("the answer was cut short: {error}")]
    Truncated {
        /// What there is of it.
        raw: String,
        /// How the response ended.
        error: TurnError,
    },
    /// What the model said is no `T`, and it could not be asked again.
    #[error("the answer cannot be read, and asking again failed: {error}")]
    NotAskedAgain {
        /// What it said.
        raw: String,
        /// Why.
        error: TurnError,
    },
    /// What the model said is no `T`, also when it was asked again. If it is no JSON at all, the server
    /// does not hold the model to the schema.
    #[error("{error}")]
    Unreadable {
        /// What it said.
        raw: String,
        /// What is wrong with it.
        error: AnswerError,
    },
}

impl OutputError {
    /// What the model said, if anything.
    pub fn raw(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal } => Some(refusal),
            Self::Truncated { raw, .. }
            | Self::Unreadable { raw, .. }
            | Self::NotAskedAgain { raw, .. } => Some(raw),
            _ => None,
        }
    }
}

impl Session {
    /// Accepts input whose answer is to be a `T`: the server is given its schema, and what the model
    /// says is read. Where that fails, the model is told why and answers once more, in the same turn.
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Weather {
    ///     degrees: f64,
    ///     rain: bool,
    /// }
    ///
    /// # async fn run(session: &longhaul::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let weather: Weather = session.prompt_as("How is it in Oslo?").await?.await?;
    /// println!("{} degrees", weather.degrees);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if the type has no schema that a strict server takes, with the place
    /// at fault; else as [`prompt`](Self::prompt).
    ///
    /// # Cancel safety
    ///
    /// As [`prompt`](Self::prompt).
    pub async fn prompt_as<T: DeserializeOwned + JsonSchema + 'static>(
        &self,
        input: impl Into<Input>,
    ) -> Result<TypedTurn<T>, TurnError> {
        self.prompt_as_with(input, 1).await
    }

    /// The same, where the model may answer `repairs` times more.
    ///
    /// # Errors
    ///
    /// As [`prompt_as`](Self::prompt_as).
    ///
    /// # Cancel safety
    ///
    /// As [`prompt`](Self::prompt).
    pub async fn prompt_as_with<T: DeserializeOwned + JsonSchema + 'static>(
        &self,
        input: impl Into<Input>,
        repairs: u32,
    ) -> Result<TypedTurn<T>, TurnError> {
        TypedTurn::accept(self, input.into(), repairs).await
    }
}

impl<T: DeserializeOwned + JsonSchema + 'static> TypedTurn<T> {
    async fn accept(session: &Session, input: Input, repairs: u32) -> Result<Self, TurnError> {
        let schema = strict_schema_of::<T>()
            .map_err(|error| TurnError::InvalidInput(format!("the output type: {error}")))?;
        let no_answer = Said::default();
        let task = Repairing {
            task: input.task.clone().unwrap_or_else(|| session.task()),
            check: Box::new(|answer| Some(read::<T>(answer).err()?.to_string())),
            repairs,
            said: no_answer.clone(),
        };
        let turn = session.prompt(input.output_schema(schema).task(task)).await?;
        Ok(Self { turn, said: String::new(), no_answer, of: PhantomData })
    }

    /// The next event; `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.turn.next().await?;
        match &event {
            Event::TextDelta(text) => self.said.push_str(text),
            Event::StreamError { .. } => self.said.clear(),
            Event::ItemStarted(item) if matches!(item.kind, TurnItemKind::AgentMessage { .. }) => {
                self.said.clear();
            }
            _ => {}
        }
        Some(event)
    }

    /// The turn.
    pub fn turn(&self) -> &TurnHandle {
        &self.turn
    }

    /// The value, and what its turn used.
    ///
    /// # Errors
    ///
    /// [`OutputError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is dropping the turn's handle: the turn goes on.
    pub async fn result(mut self) -> Result<(T, TurnResult), OutputError> {
        // What streams is all that there will be of an answer that is cut short.
        while self.next().await.is_some() {}
        let Self { turn, said, no_answer, .. } = self;
        let result = turn.await;
        let NoAnswer { refusal, unreadable } = no_answer.take();
        let result = result.map_err(|error| failed(said, unreadable, error))?;
        if result.end != TurnEnd::Complete {
            return Err(OutputError::Interrupted);
        }
        if let Some(refusal) = refusal {
            return Err(OutputError::Refused { refusal });
        }
        let raw = result.last_message.clone().unwrap_or_default();
        match read(&raw) {
            Ok(value) => Ok((value, result)),
            Err(error) => Err(OutputError::Unreadable { raw, error }),
        }
    }
}

fn failed(said: String, unreadable: Option<String>, error: TurnError) -> OutputError {
    if error.code() == ErrorCode::ResponseIncomplete.as_str() {
        return OutputError::Truncated { raw: said, error };
    }
    match unreadable {
        Some(raw) => OutputError::NotAskedAgain { raw, error },
        None => error.into(),
    }
}

impl<T: DeserializeOwned + JsonSchema + 'static> IntoFuture for TypedTurn<T> {
    type Output = Result<T, OutputError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The value.
    ///
    /// # Cancel safety
    ///
    /// As [`result`](Self::result).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.result().await?.0) })
    }
}

impl<T> std::fmt::Debug for TypedTurn<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedTurn").field("turn", &self.turn).finish_non_exhaustive()
    }
}
