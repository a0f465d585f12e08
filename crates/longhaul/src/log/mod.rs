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
mod keeping;
mod open_turn;
mod payload;
mod records;
mod restore;
mod step;
mod surface;
mod went_on;

use std::path::Path;
use std::sync::Arc;

use longhaul_rollout::{LogRef, LogWriter, Replay, ReplayConfig, Store};
use longhaul_state::protocol::TurnError;
use longhaul_state::{Changes, PastCompaction, Place, SessionState};
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
use self::keeping::Keeping;
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
            given_up: None,
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

    /// The same where the last attempt failed: that is tried once more. Where nothing failed, nobody waits.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if the log is behind still.
    pub(crate) async fn caught_up(&self) -> Result<(), TurnError> {
        let is_behind = self.progress.borrow().is_behind();
        if is_behind { self.kept().await } else { Ok(()) }
    }

    /// Completes when the changes up to this number are kept, however often that fails before; where they
    /// never are, it does not.
    pub(crate) async fn kept_at_last(&self, count: u64) {
        let mut progress = self.progress.clone();
        if progress.wait_for(|progress| progress.kept >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What has become of the changes up to this number.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if they are not kept.
    pub(crate) fn outcome_of(&self, count: u64) -> Result<(), TurnError> {
        self.progress.borrow().of(count)
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
        self.outcome_of(self.state.change_count())
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
