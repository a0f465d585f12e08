//! The task that keeps what a session changes.

use std::future::poll_fn;
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::Timestamp;
use longhaul_rollout::{LogWriter, Record, StoreError};
use longhaul_state::protocol::TurnError;
use longhaul_state::{Change, Changes, SessionState};
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::{Progress, records};
use crate::events::EventLog;

/// Keeps the changes of a session, in their order, and says how far it is.
pub(super) struct Keeping {
    pub(super) state: Arc<SessionState>,
    pub(super) events: Arc<EventLog>,
    pub(super) writer: Box<dyn LogWriter>,
    /// Not kept yet.
    pub(super) pending: Changes,
    /// Why this writer appends nothing any more.
    pub(super) given_up: Option<TurnError>,
    pub(super) records: records::Writer,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) _ended: DropGuard,
}

impl Keeping {
    pub(super) async fn run(mut self) {
        while let Some((changes, count)) = changes(&self.state).await {
            self.pending.extend(changes);
            self.keep(count).await;
        }
        if !self.pending.is_empty() {
            // There may be space again.
            self.keep(self.state.change_count()).await;
        }
        if let Err(error) = self.writer.close().await {
            tracing::warn!(%error, "the session log could not be closed");
        }
    }

    /// Keeps what is pending, the changes up to the number `count`.
    async fn keep(&mut self, count: u64) {
        match self.append().await {
            Ok(()) => {
                self.pending.clear();
                let ordinal = self.writer.next_ordinal().saturating_sub(1);
                self.progress.send_modify(|progress| {
                    (progress.kept, progress.ordinal) = (count, ordinal);
                });
                self.events.release(count);
            }
            Err(error) => {
                self.events.fail();
                self.progress.send_modify(|progress| progress.failed = Some((count, error)));
            }
        }
    }

    /// Where nothing will ever be appended again, nothing waits to be.
    async fn append(&mut self) -> Result<(), TurnError> {
        if let Some(error) = &self.given_up {
            self.pending.clear();
            return Err(error.clone());
        }
        let appended = self.append_pending().await;
        appended.map_err(|error| {
            tracing::warn!(%error, "the session log cannot be written");
            let told = TurnError::Storage(error.to_string());
            // A record that is too long would be so each time.
            if matches!(
                error,
                StoreError::Poisoned { .. }
                    | StoreError::Superseded { .. }
                    | StoreError::TooLong { .. }
            ) {
                self.given_up = Some(told.clone());
                self.pending.clear();
            }
            told
        })
    }

    async fn append_pending(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let first = self.writer.next_ordinal();
        let mut records: Vec<Record> = Vec::new();
        let mut places = Vec::new();
        // What is refused is made again, from where this began.
        let mut writer = self.records.clone();
        for change in self.pending.iter() {
            if let Change::Place(place) = change {
                places.push((place, first + records.len() as u64));
            }
            let made = writer.records(change, now);
            records.extend(made.map_err(|error| self.unsayable(error))?);
        }
        self.writer.append(records).await?;
        self.records = writer;
        // Each says what the next record's would be.
        for (place, next) in places {
            place.found(next.saturating_sub(1));
        }
        Ok(())
    }

    fn unsayable(&self, error: serde_json::Error) -> StoreError {
        let (path, operation) = (self.writer.session_id().to_owned(), "making records for");
        StoreError::Io { path, operation, source: error.into() }
    }
}

/// What was changed, and how many changes there were ever.
async fn changes(state: &SessionState) -> Option<(Vec<Change>, u64)> {
    let next = || poll_fn(|context| state.poll_changes(context));
    let (mut changes, mut count) = next().await?;
    // Whoever changes something is often about to change more: that shares the sync.
    tokio::task::yield_now().await;
    if let Some(Some((more, newest))) = next().now_or_never() {
        changes.extend(more);
        count = newest;
    }
    Some((changes, count))
}
