//! Lists of sessions: what is asked, what is answered.

mod head;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub(crate) use head::{HEAD_BYTES, Head, Owner};

use crate::error::excerpt;
use crate::store::StoreError;

/// What to list. All sessions by default, 25 a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// Only sessions that were started in this folder; compared as the text that it is.
    pub cwd: Option<PathBuf>,
    /// Only sessions with this provider of models.
    pub model_provider: Option<String>,
    /// Only sessions from this source, such as `cli` or `exec`.
    pub source: Option<String>,
    /// Only sessions that were started at this time or later; whole seconds count.
    pub since: Option<Timestamp>,
    /// How many sessions a page has at most; at least 1.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        let (cwd, model_provider, source) = (None, None, None);
        Self { cwd, model_provider, source, since: None, limit: 25, cursor: None }
    }
}

impl Query {
    /// The same, started in this folder only.
    #[must_use]
    pub fn cwd(self, cwd: impl Into<PathBuf>) -> Self {
        Self { cwd: Some(cwd.into()), ..self }
    }

    /// The same, with this provider of models only.
    #[must_use]
    pub fn model_provider(self, provider: impl Into<String>) -> Self {
        Self { model_provider: Some(provider.into()), ..self }
    }

    /// The same, from this source only.
    #[must_use]
    pub fn source(self, source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The same, started at this time or later only.
    #[must_use]
    pub fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }

    /// The same with so many sessions a page at most.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The page behind this cursor.
    #[must_use]
    pub fn after(self, cursor: Cursor) -> Self {
        Self { cursor: Some(cursor), ..self }
    }

    /// Whether a session is asked for.
    pub(crate) fn takes(&self, session: &Summary) -> bool {
        fn is<T: PartialEq + ?Sized>(asked: Option<&T>, found: Option<&T>) -> bool {
            asked.is_none() || asked == found
        }
        is(self.cwd.as_deref(), session.cwd.as_deref().map(Path::new))
            && is(self.model_provider.as_deref(), session.model_provider.as_deref())
            && is(self.source.as_deref(), session.source.as_deref())
            && self.since.is_none_or(|since| since.as_second() <= session.started_at.as_second())
    }
}

/// Where a page ended. Its text may be stored and given back; what it says is the store's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor with this text. A store refuses one that is not its own.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The error of a cursor that is not the store's.
    pub(crate) fn refused(&self) -> StoreError {
        StoreError::BadCursor { cursor: excerpt(self.0.as_bytes()) }
    }
}

/// One page of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Page {
    /// The sessions, newest first by the time of their start, then by id.
    pub sessions: Vec<Summary>,
    /// What was passed over because it could not be read, in the same order, each on one page.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// What the head of a log says of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The session's id.
    pub id: String,
    /// Where the log is, if it is a file.
    pub path: Option<PathBuf>,
    /// When the session was started.
    pub started_at: Timestamp,
    /// When the log was last written to, if the store knows.
    pub updated_at: Option<Timestamp>,
    /// The folder that it works in.
    pub cwd: Option<String>,
    /// The program that started it.
    pub originator: Option<String>,
    /// The kind of program that started it.
    pub source: Option<String>,
    /// Who serves its model.
    pub model_provider: Option<String>,
    /// The session that it was forked from.
    pub forked_from: Option<String>,
    /// The beginning of the first user message, on one line; `None` if it does not stand in the
    /// first 64 KiB of the log. A text that is so long that a blob has it is passed over.
    pub title: Option<String>,
}

/// A log, or a folder of logs, that a list passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// Where it is, or the session's id where logs have no path.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl Page {
    /// Adds one more log that was looked at.
    pub(crate) fn add(&mut self, query: &Query, session: Result<Summary, Unreadable>) {
        match session {
            Ok(session) if query.takes(&session) => self.sessions.push(session),
            Ok(_) => {}
            Err(unreadable) => self.unreadable.push(unreadable),
        }
    }

    /// Whether it has as many sessions as were asked for.
    pub(crate) fn is_full(&self, query: &Query) -> bool {
        self.sessions.len() >= query.limit.max(1)
    }
}
