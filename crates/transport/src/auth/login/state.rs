//! The login of a process: what it holds, and the one refresh that may be under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::LoginOptions;
use super::endpoint::transient;
use super::error::{LoginError, shown};
use super::held::Held;
use super::lock::Lock;
use super::renew::{Found, blocking, renew, store_over};
use super::store::Store;
use crate::ModelError;
use crate::exchange::Exchange;

/// A file that is not understood may be in the middle of being written by a program that does not
/// replace it as a whole: it is read again so often, with so much time between.
const REREADS: usize = 5;
const REREAD_PAUSE: Duration = Duration::from_millis(20);

type Flight = Shared<BoxFuture<'static, Result<(), ModelError>>>;

/// What all clones of a login share.
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) exchange: Arc<dyn Exchange>,
    pub(super) options: LoginOptions,
    state: Mutex<State>,
}

struct State {
    held: Arc<Held>,
    /// The refresh that is under way.
    flight: Option<Flight>,
    /// Why and when the last refresh of what is held failed.
    failure: Option<(ModelError, Instant)>,
}

impl Inner {
    pub(super) fn new(
        store: Store,
        exchange: Arc<dyn Exchange>,
        options: LoginOptions,
        held: Held,
    ) -> Self {
        let state = State { held: Arc::new(held), flight: None, failure: None };
        Self { store, exchange, options, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held now.
    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.lock().held)
    }

    /// Notices a file that another program has changed or deleted: one look at its metadata, and
    /// a reading if that differs.
    pub(super) async fn reload(&self) -> Result<(), LoginError> {
        let held = self.held();
        if held.seen.is_some() && self.store.seen() == held.seen {
            return Ok(());
        }
        let found = self.read().await?;
        let base = held.unsaved_over.as_ref();
        let found = if base.is_some_and(|base| found.stored.is(base)) {
            // Only the file's date has changed; what is held is newer.
            Held { seen: found.seen, ..held.copy() }
        } else {
            found
        };
        self.replace(&held, found);
        Ok(())
    }

    async fn read(&self) -> Result<Held, LoginError> {
        for _ in 0..REREADS {
            match self.store.read() {
                Err(LoginError::File { .. }) => sleep(REREAD_PAUSE).await,
                found => return found.map(Held::read),
            }
        }
        self.store.read().map(Held::read)
    }

    /// Puts `next` in the place of `before`, unless something else is there by now.
    fn replace(&self, before: &Arc<Held>, next: Held) {
        let mut state = self.lock();
        if Arc::ptr_eq(&state.held, before) {
            state.hold(next);
        }
    }

    /// Tries again to store what could not be stored, if nobody holds the lock.
    pub(super) async fn save(self: &Arc<Self>) {
        let held = self.held();
        if held.unsaved_over.is_none() {
            return;
        }
        let (inner, before) = (Arc::clone(self), Arc::clone(&held));
        let saved = blocking(move || inner.try_save(&before)).await;
        match saved {
            Ok(Ok(Some(next))) => {
                tracing::info!(path = %shown(self.store.path()), "the login could be stored after all");
                self.replace(&held, next);
            }
            Ok(Err(error)) => {
                tracing::error!(path = %shown(self.store.path()), %error, "the refreshed login still cannot be stored");
            }
            Ok(Ok(None)) | Err(_) => {}
        }
    }

    fn try_save(&self, held: &Held) -> Result<Option<Held>, LoginError> {
        let (Some(base), Some(tokens)) = (&held.unsaved_over, held.stored.tokens()) else {
            return Ok(None);
        };
        let Some(_lock) = Lock::try_acquire(&self.store.lock_path())? else { return Ok(None) };
        let (disk, seen) = self.store.read()?;
        if !disk.is(base) {
            return Ok(Some(Held::read((disk, seen))));
        }
        let at = held.stored.last_refresh.unwrap_or(std::time::SystemTime::UNIX_EPOCH);
        Ok(Some(match store_over(&self.store, &disk, tokens, at)? {
            Found::Ours(stored, seen) => {
                Held { stored: Arc::new(stored), seen, unsaved_over: None, ..held.copy() }
            }
            Found::Other(other) => other,
        }))
    }

    /// Sees to a login newer than `generation`. All that ask meanwhile get the outcome of one
    /// refresh, which goes on if they stop waiting.
    ///
    /// `strikes` is for the login that comes of it.
    pub(super) async fn renewed(
        self: &Arc<Self>,
        generation: u64,
        strikes: u32,
    ) -> Result<(), ModelError> {
        let flight = {
            let mut state = self.lock();
            if state.held.generation != generation {
                return Ok(());
            }
            if let Some(flight) = state.under_way() {
                flight
            } else {
                state.may_try(self.options.cool_down)?;
                let flight = self.start(Arc::clone(&state.held), strikes)?;
                state.flight = Some(flight.clone());
                flight
            }
        };
        flight.await
    }

    /// Begins a refresh in a task of its own.
    fn start(self: &Arc<Self>, held: Arc<Held>, strikes: u32) -> Result<Flight, ModelError> {
        let Ok(runtime) = Handle::try_current() else {
            let message = "a login can be refreshed only within a tokio runtime".to_owned();
            return Err(transient(message).retryable(false));
        };
        let inner = Arc::clone(self);
        let task = runtime.spawn(async move { inner.refresh(held, strikes).await });
        let ended = "the refresh of the login was given up: its runtime ended";
        let outcome =
            task.map(move |ended_as| ended_as.unwrap_or_else(|_| Err(transient(ended.to_owned()))));
        Ok(outcome.boxed().shared())
    }

    async fn refresh(self: Arc<Self>, held: Arc<Held>, strikes: u32) -> Result<(), ModelError> {
        let path = shown(self.store.path());
        tracing::debug!(path, generation = held.generation, "refreshing the stored login");
        let (store, exchange) = (self.store.clone(), Arc::clone(&self.exchange));
        let renewed = renew(store, exchange, &self.options, held).await;
        let mut state = self.lock();
        state.flight = None;
        if let Some(next) = renewed.held {
            state.hold(Held { strikes, ..next });
        }
        let failure = renewed.result.as_ref().err().cloned();
        state.failure = failure.map(|error| (error, Instant::now()));
        let generation = state.held.generation;
        drop(state);
        match &renewed.result {
            Ok(()) => tracing::debug!(path, generation, "the stored login is new"),
            Err(error) => tracing::warn!(path, %error, "the stored login was not refreshed"),
        }
        renewed.result
    }
}

impl State {
    fn hold(&mut self, next: Held) {
        let next = next.after(&self.held);
        if !next.stored.is(&self.held.stored) {
            self.failure = None;
        }
        self.held = Arc::new(next);
    }

    /// The refresh that has not ended. One whose task died has.
    fn under_way(&self) -> Option<Flight> {
        self.flight.clone().filter(|flight| flight.peek().is_none())
    }

    /// The last failure again, unless the cool-down has passed. Whether a refresh token may be sent
    /// once more is noted on disk and decided under the lock.
    fn may_try(&self, cool_down: Duration) -> Result<(), ModelError> {
        let Some((error, at)) = &self.failure else { return Ok(()) };
        let left = cool_down.saturating_sub(at.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        let wait = left.max(error.retry_after().unwrap_or_default());
        Err(error.clone().with_retry_after(error.is_retryable().then_some(wait)))
    }
}
