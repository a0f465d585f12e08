//! The session log: what a session changes, kept by a store before anybody is told of it.
//!
//! One task a session takes the changes in their order, makes records of them and appends all that
//! there are at once, so that they share a write and a sync. Whoever has to wait until what was done is
//! on disk waits for the number of the last change: a request, a tool, the result of a turn; events wait
//! by themselves. If the log cannot be written, the changes stay in memory and are written with the next.

mod payload;
mod records;
mod restore;

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
            Ok(progress) if progress.kept >= count => Ok(()),
            Ok(progress) => Err(progress.failed.as_ref().map_or_else(gone, |it| it.1.clone())),
            Err(_) => Err(gone()),
        }
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
        while let Some((changes, count)) = poll_fn(|context| self.state.poll_changes(context)).await
        {
            self.pending.extend(changes);
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
        if let Err(error) = self.writer.close().await {
            tracing::warn!(%error, "the session log could not be closed");
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
