//! The session log: what a session changes, kept by a store before anybody is told of it.
//!
//! One task a session takes the changes in their order, makes records of them and appends all that
//! there are at once, so that they share a write and a sync. Whoever has to wait until what was done is
//! on disk waits for the number of the last change: a request, a tool, the result of a turn; events wait
//! by themselves. If the log cannot be written, the changes stay in memory and are written with the next.

mod payload;
mod records;
mod restore;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::Timestamp;
use longhaul_rollout::{LogWriter, Record};
use longhaul_state::protocol::TurnError;
use longhaul_state::{Change, SessionState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::events::EventLog;

pub use self::restore::Resumed;
pub(crate) use self::restore::{OpenTurn, Reopened, create, fork, open};

/// Keeps the changes of a session.
pub(crate) struct Keeper {
    state: Arc<SessionState>,
    progress: watch::Receiver<Progress>,
    path: Option<PathBuf>,
    ended: CancellationToken,
}

/// How far the log is.
#[derive(Debug, Default)]
struct Progress {
    /// The changes up to this number are kept.
    kept: u64,
    /// The changes up to this number could not be, and why.
    failed: Option<(u64, TurnError)>,
}

impl Keeper {
    /// Begins to keep what `state` changes from now on.
    pub(crate) fn start(
        state: Arc<SessionState>,
        events: Arc<EventLog>,
        writer: Box<dyn LogWriter>,
    ) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let (path, ended) = (writer.path().map(Path::to_owned), CancellationToken::new());
        let keeping = Keeping {
            state: Arc::clone(&state),
            events,
            writer,
            pending: Vec::new(),
            records: records::Writer::default(),
            progress: sender,
            _ended: ended.clone().drop_guard(),
        };
        tokio::spawn(keeping.run());
        Self { state, progress, path, ended }
    }

    /// Completes when all changes so far are kept.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if they could not be.
    pub(crate) async fn kept(&self) -> Result<(), TurnError> {
        let count = self.state.change_count();
        let mut progress = self.progress.clone();
        let is_known = |progress: &Progress| {
            progress.kept >= count
                || progress.failed.as_ref().is_some_and(|(failed, _)| *failed >= count)
        };
        match progress.wait_for(is_known).await {
            Ok(progress) => progress.of(count),
            Err(_) => Err(gone()),
        }
    }

    /// What became of all changes, once the log is [finished](Self::finish).
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if some are not kept.
    pub(crate) fn outcome(&self) -> Result<(), TurnError> {
        self.progress.borrow().of(self.state.change_count())
    }

    /// Completes when the log is written to its end and closed.
    pub(crate) async fn finish(&self) {
        self.state.close_journal();
        self.ended.cancelled().await;
    }

    /// The file of the log, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl Progress {
    /// What became of so many changes.
    fn of(&self, count: u64) -> Result<(), TurnError> {
        if self.kept >= count {
            return Ok(());
        }
        Err(self.failed.as_ref().map_or_else(gone, |(_, error)| error.clone()))
    }
}

fn gone() -> TurnError {
    TurnError::Storage("it is closed".into())
}

struct Keeping {
    state: Arc<SessionState>,
    events: Arc<EventLog>,
    writer: Box<dyn LogWriter>,
    /// Not kept yet, oldest first.
    pending: Vec<Change>,
    records: records::Writer,
    progress: watch::Sender<Progress>,
    _ended: tokio_util::sync::DropGuard,
}

impl Keeping {
    async fn run(mut self) {
        while let Some((changes, count)) = changes(&self.state).await {
            self.pending.extend(changes);
            settle(&mut self.pending);
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
                self.progress.send_modify(|progress| progress.kept = count);
                self.events.release(count);
            }
            Err(error) => {
                tracing::warn!(%error, "the session log cannot be written");
                let error = TurnError::Storage(error);
                self.events.fail();
                self.progress.send_modify(|progress| progress.failed = Some((count, error)));
            }
        }
    }

    async fn append(&mut self) -> Result<(), String> {
        let now = Timestamp::now();
        let mut records: Vec<Record> = Vec::with_capacity(self.pending.len());
        for change in &self.pending {
            let made = self.records.records(change, now);
            records.extend(made.map_err(|error| error.to_string())?);
        }
        self.writer.append(records).await.map_err(|error| error.to_string())
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

/// An input that a turn took before anything of it was kept never waited, as far as the log is
/// concerned.
fn settle(changes: &mut Vec<Change>) {
    let accepted = |change: &Change| match change {
        Change::InputAccepted(input) => Some(Arc::clone(&input.id)),
        _ => None,
    };
    let accepted: BTreeSet<Arc<str>> = changes.iter().filter_map(accepted).collect();
    if accepted.is_empty() {
        return;
    }
    let mut settled = BTreeSet::new();
    for change in &mut *changes {
        match change {
            Change::Recorded { input, .. } => {
                settled.extend(input.take_if(|id| accepted.contains(id)));
            }
            Change::InputGone(id) if accepted.contains(id) => drop(settled.insert(Arc::clone(id))),
            _ => {}
        }
    }
    changes.retain(|change| match change {
        Change::InputAccepted(input) => !settled.contains(&input.id),
        Change::InputGone(id) => !settled.contains(id),
        _ => true,
    });
}
