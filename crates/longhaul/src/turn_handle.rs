//! The handle of an accepted input.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Input;
use crate::events::CourseEvents;
use crate::session::Inner;

/// An accepted input on its way: its events, and what became of its turn.
///
/// Read events with [`next`](Self::next), or not at all: the turn runs to its end either way.
/// Awaiting the handle gives the result. Dropping it does not cancel the turn.
pub struct TurnHandle {
    pub(crate) control: TurnControl,
    pub(crate) events: CourseEvents,
    pub(crate) result: oneshot::Receiver<Result<TurnResult, TurnError>>,
    pub(crate) cancel_on_drop: bool,
    pub(crate) steers: Option<String>,
}

impl TurnHandle {
    /// The id of the input.
    pub fn id(&self) -> &str {
        &self.control.id
    }

    /// The turn that was running when the input was accepted, if it was to steer one: that turn takes
    /// it, unless it ends first. `None`: the input starts a turn of its own.
    pub fn steers(&self) -> Option<&str> {
        self.steers.as_deref()
    }

    /// What steers and ends the turn. It can be cloned, and given to whoever is to.
    pub fn control(&self) -> TurnControl {
        self.control.clone()
    }

    /// The next event; `None` after the last. Whoever reads more slowly than the session lets events
    /// go gets an [`Event::Missed`] in their place.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        Some(self.events.next().await?.event)
    }

    /// Ends the turn: the connection is closed and tools are stopped. Input that still waits is
    /// taken back, and reaches no model. The result says that it was interrupted, or taken back, and comes
    /// when that is kept.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// From now on, dropping the handle (before its result is there) cancels the turn.
    #[must_use]
    pub fn cancel_on_drop(mut self) -> Self {
        self.cancel_on_drop = true;
        self
    }

    /// Completes when the result is there, which it then still is.
    pub(crate) async fn settled(&mut self) {
        let result = (&mut self.result).await;
        let (sender, receiver) = oneshot::channel();
        self.result = receiver;
        // Where nobody settled it, nobody does this time.
        let _ = result.map(|result| sender.send(result));
    }

    /// That no turn takes the input holds once the log knows: else it would wait again after a crash. What
    /// a turn did is kept before its result is here.
    async fn once_kept(
        &self,
        result: Result<TurnResult, TurnError>,
    ) -> Result<TurnResult, TurnError> {
        match result {
            Ok(TurnResult { end: TurnEnd::Withdrawn, .. }) => {
                self.control.session.kept().await?;
            }
            // The end of the session says what could not be kept.
            Err(TurnError::Closed) => drop(self.control.session.kept().await),
            _ => {}
        }
        result
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
            let result = (&mut handle.result).await;
            handle.cancel_on_drop = false;
            match result {
                Ok(result) => handle.once_kept(result).await,
                Err(_) => Err(TurnError::Closed),
            }
        })
    }
}

impl Drop for TurnHandle {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.cancel();
        }
    }
}

/// Steers and ends the turn of an accepted input. Cloning gives another of the same.
#[derive(Clone)]
pub struct TurnControl {
    pub(crate) id: Arc<str>,
    pub(crate) cancel: Cancel,
    pub(crate) session: Arc<Inner>,
}

impl TurnControl {
    /// The id of the input.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives the turn further input, as [`Session::steer`](crate::Session::steer) does: the next
    /// request of the turn that runs carries it; [`TurnHandle::steers`] says which turn that is. If
    /// this turn is over, that is another one, or a new one.
    ///
    /// # Errors
    ///
    /// As [`Session::prompt`](crate::Session::prompt).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready accepts nothing.
    pub async fn steer(&self, input: impl Into<Input>) -> Result<TurnHandle, TurnError> {
        self.session.steer(input.into()).await
    }

    /// As [`TurnHandle::cancel`].
    pub fn cancel(&self) {
        self.cancel.cancel();
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
        f.debug_struct("TurnHandle").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TurnControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnControl").field("id", &self.id).finish_non_exhaustive()
    }
}
