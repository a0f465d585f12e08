//! The handle of an accepted input.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use longhaul_state::protocol::{Event, TurnError, TurnResult};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::events::Queue;

/// An accepted input on its way: its events, and what became of its turn.
///
/// Read events with [`next`](Self::next), or not at all: the turn runs to its end either way.
/// Awaiting the handle gives the result. Dropping it does not cancel the turn.
pub struct TurnHandle {
    pub(crate) id: Arc<str>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) result: oneshot::Receiver<Result<TurnResult, TurnError>>,
    pub(crate) cancel: Cancel,
    pub(crate) cancel_on_drop: bool,
}

impl TurnHandle {
    /// The id of the input.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next event; `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        Some(self.queue.next().await?.event)
    }

    /// Ends the turn: the connection is closed and tools are stopped. The result says so.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// From now on, dropping the handle (before its result is there) cancels the turn.
    #[must_use]
    pub fn cancel_on_drop(mut self) -> Self {
        self.cancel_on_drop = true;
        self
    }
}

impl IntoFuture for TurnHandle {
    type Output = Result<TurnResult, TurnError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Waits for the end of the turn. Events that were not read are let go.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is dropping the handle.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut handle = self;
            handle.queue.abandon();
            let result = (&mut handle.result).await;
            handle.cancel_on_drop = false;
            result.unwrap_or(Err(TurnError::Closed))
        })
    }
}

impl Drop for TurnHandle {
    fn drop(&mut self) {
        self.queue.abandon();
        if self.cancel_on_drop {
            self.cancel();
        }
    }
}

/// Cancels whatever an input has become: one that waits, or the turn that took it.
#[derive(Clone, Default)]
pub(crate) struct Cancel(Arc<Mutex<CancellationToken>>);

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.token().cancel();
    }

    pub(crate) fn token(&self) -> CancellationToken {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The input is now part of the turn that `token` ends.
    pub(crate) fn join(&self, token: &CancellationToken) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
    }
}
