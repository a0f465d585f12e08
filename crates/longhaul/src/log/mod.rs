//! The session log: what a session changes, kept by a store before anybody is told of it.
//!
//! One task a session takes the changes in their order, makes records of them and appends all that
//! there are at once, so that they share a write and a sync. Whoever has to wait until what was done is
//! on disk waits for the number of the last change: a request, a tool, the result of a turn; events wait
//! by themselves. If the log cannot be written, the changes stay in memory and are written with the next.

mod begin;
mod breaker;
mod differences;
mod export;
mod fork;
mod import;
mod open_turn;
mod payload;
mod records;
mod restore;
mod step;
mod surface;
mod went_on;

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::Timestamp;
use longhaul_rollout::{LogRef, LogWriter, Record, Replay, ReplayConfig, Store};
use longhaul_state::protocol::TurnError;
use longhaul_state::{Change, Changes, PastCompaction, Place, SessionState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::events::EventLog;

pub(crate) use self::begin::{begin, meta};
pub(crate) use self::differences::Left;
pub(crate) use self::export::export;
pub use self::fork::ForkPoint;
pub(crate) use self::fork::fork;
pub use self::import::Imported;
pub(crate) use self::import::import;
pub(crate) use self::open_turn::OpenTurn;
pub use self::restore::Resumed;
pub(crate) use self::restore::{Check, Reopened, open};
pub(crate) use self::surface::surface;

/// Keeps the changes of a session.
pub(crate) struct Keeper {
    state: Arc<SessionState>,
    store: Arc<dyn Store>,
    progress: watch::Receiver<Progress>,
    which: LogRef,
    ended: CancellationToken,
}

/// How far the log is.
#[derive(Debug, Default)]
struct Progress {
    /// The changes up to this number are kept.
    kept: u64,
    /// The changes up to this number could not be, and why.
    failed: Option<(u64, TurnError)>,
    /// The ordinal of the newest record that is kept.
    ordinal: u64,
}

impl Keeper {
    /// Begins to keep what `state` changes from now on, in a log that may end in an open turn.
    pub(crate) fn start(
        state: Arc<SessionState>,
        events: Arc<EventLog>,
        store: Arc<dyn Store>,
        writer: Box<dyn LogWriter>,
        open_turn: Option<&OpenTurn>,
    ) -> Self {
        let known = open_turn.map_or(&[][..], |turn| &turn.records);
        let ordinal = writer.next_ordinal().saturating_sub(1);
        let (sender, progress) = watch::channel(Progress { ordinal, ..Progress::default() });
        let which = match writer.path() {
            Some(path) => LogRef::Path(path.to_owned()),
            None => LogRef::Id(writer.session_id().to_owned()),
        };
        let ended = CancellationToken::new();
        let keeping = Keeping {
            state: Arc::clone(&state),
            events,
            writer,
            pending: Changes::default(),
            // As the log has been read or begun, it says what the session knows.
            records: records::Writer::behind(state.known().models, known),
            progress: sender,
            _ended: ended.clone().drop_guard(),
        };
        tokio::spawn(keeping.run());
        Self { state, store, progress, which, ended }
    }

    /// Completes when all changes so far are kept.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if they could not be.
    pub(crate) async fn kept(&self) -> Result<(), TurnError> {
        // What could not be kept may be kept by now: that is tried once more for whoever asks.
        let retried =
            if self.progress.borrow().is_behind() { self.state.note_place() } else { None };
        let count = retried.map_or_else(|| self.state.change_count(), |place| place.number());
        self.kept_to(count).await
    }

    /// The ordinal of the newest record at a place, once all changes up to there are kept. `None` is
    /// the place where the log has ended.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if they could not be kept.
    pub(crate) async fn ordinal_at(&self, place: Option<&Place>) -> Result<u64, TurnError> {
        match place {
            Some(place) => self.kept_to(place.number()).await?,
            None => self.ended.cancelled().await,
        }
        Ok(place.and_then(Place::ordinal).unwrap_or_else(|| self.ordinal()))
    }

    /// The ordinal of the newest record that is kept.
    pub(crate) fn ordinal(&self) -> u64 {
        self.progress.borrow().ordinal
    }

    async fn kept_to(&self, count: u64) -> Result<(), TurnError> {
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

    /// The last compaction as the log has it, if that can be taken back.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if the log could not be written to its end, or not be read.
    pub(crate) async fn past_compaction(&self) -> Result<Option<PastCompaction>, TurnError> {
        self.kept().await?;
        let mut config = ReplayConfig::default();
        config.exchanged = true;
        let replay = self.store.read(&self.which, config).await;
        let replay = replay.map_err(|error| TurnError::Storage(error.to_string()))?;
        Ok(restore::compaction(replay))
    }

    /// What the log says now; `None` if it cannot be read.
    pub(crate) async fn said(&self) -> Option<Replay> {
        // What cannot be kept is not in it.
        let _ = self.kept().await;
        let mut config = ReplayConfig::default();
        config.times = true;
        self.store.read(&self.which, config).await.ok()
    }

    /// Completes when the log is written to its end and closed.
    pub(crate) async fn finish(&self) {
        self.state.close_journal();
        self.ended.cancelled().await;
    }

    /// The file of the log, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.which {
            LogRef::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Where the log is, and which it is there.
    pub(crate) fn log(&self) -> (&Arc<dyn Store>, &LogRef) {
        (&self.store, &self.which)
    }
}

impl Progress {
    /// The last attempt failed.
    fn is_behind(&self) -> bool {
        self.failed.as_ref().is_some_and(|(failed, _)| *failed > self.kept)
    }

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
    /// Not kept yet.
    pending: Changes,
    records: records::Writer,
    progress: watch::Sender<Progress>,
    _ended: tokio_util::sync::DropGuard,
}

impl Keeping {
    async fn run(mut self) {
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
                tracing::warn!(%error, "the session log cannot be written");
                let error = TurnError::Storage(error);
                self.events.fail();
                self.progress.send_modify(|progress| progress.failed = Some((count, error)));
            }
        }
    }

    async fn append(&mut self) -> Result<(), String> {
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
            records.extend(made.map_err(|error| error.to_string())?);
        }
        self.writer.append(records).await.map_err(|error| error.to_string())?;
        self.records = writer;
        // Each says what the next record's would be.
        for (place, next) in places {
            place.found(next.saturating_sub(1));
        }
        Ok(())
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
