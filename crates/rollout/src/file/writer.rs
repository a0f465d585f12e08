//! The writer of a log file: the tail, and the thread that is at work on it.

use std::mem;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::task::{JoinHandle, spawn_blocking};

use super::tail::{Position, Tail};
use crate::Record;
use crate::store::{LogWriter, StoreError, shown};

/// What became of a tail that a thread took.
type Work = JoinHandle<(Box<Tail>, Result<(), StoreError>)>;

/// Owns the tail, except while a thread appends to it.
#[derive(Debug)]
pub(super) struct FileWriter {
    session_id: String,
    path: PathBuf,
    epoch: u64,
    next_ordinal: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle(Box<Tail>),
    /// A thread has the tail. It gives it back also if nobody waits.
    Busy(Work),
    /// The thread is gone and the tail with it, as when the runtime shuts down.
    Lost,
}

impl FileWriter {
    pub(super) fn new(session_id: String, tail: Tail) -> Self {
        let path = tail.path().to_owned();
        let Position { epoch, ordinal: next_ordinal, .. } = tail.position();
        Self { session_id, path, epoch, next_ordinal, state: State::Idle(Box::new(tail)) }
    }

    /// Waits for the thread, if there is one, and says what became of its records.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let State::Busy(work) = &mut self.state else { return Ok(()) };
        let ended = work.await;
        self.state = State::Lost;
        let (tail, result) = ended.map_err(|_| self.lost())?;
        self.next_ordinal = tail.position().ordinal;
        self.state = State::Idle(tail);
        result
    }

    fn lost(&self) -> StoreError {
        let cause = "its thread ended before its work".into();
        StoreError::Poisoned { path: shown(&self.path), cause }
    }
}

#[async_trait]
impl LogWriter for FileWriter {
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        self.settle().await?;
        let State::Idle(mut tail) = mem::replace(&mut self.state, State::Lost) else {
            return Err(self.lost());
        };
        self.state = State::Busy(spawn_blocking(move || {
            let result = tail.append(&records);
            (tail, result)
        }));
        self.settle().await
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn session_id(&self) -> &str {
        &self.session_id
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn next_ordinal(&self) -> u64 {
        self.next_ordinal
    }

    async fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        let settled = self.settle().await;
        if let State::Idle(tail) = self.state {
            // A thread that does not run has dropped the tail as well.
            let _ = spawn_blocking(move || drop(tail)).await;
        }
        settled
    }
}
