//! The handle of an accepted input.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_state::protocol::{Event, TurnError, TurnResult};
use tokio::sync::{Notify, oneshot};
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

    /// Ends the turn: the connection is closed and tools are stopped. Input that still waits is
    /// taken back, and reaches no model. The result says that it was interrupted.
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
#[derive(Clone)]
pub(crate) struct Cancel {
    token: Arc<Mutex<CancellationToken>>,
    /// Wakes the session's runner, which settles inputs that wait.
    wake: Arc<Notify>,
}

impl Cancel {
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        Self { token: Arc::default(), wake }
    }

    fn lock(&self) -> MutexGuard<'_, CancellationToken> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cancel(&self) {
        // Under the lock, so that it cannot fall between the chairs of `join`.
        self.lock().cancel();
        self.wake.notify_one();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled()
    }

    pub(crate) fn token(&self) -> CancellationToken {
        self.lock().clone()
    }

    /// The input is now part of the turn that `token` ends.
    pub(crate) fn join(&self, token: &CancellationToken) {
        let before = std::mem::replace(&mut *self.lock(), token.clone());
        if before.is_cancelled() {
            token.cancel();
        }
    }
}

impl std::fmt::Debug for TurnHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnHandle").field("id", &self.id).finish_non_exhaustive()
    }
}
