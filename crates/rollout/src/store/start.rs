//! The first record of a log, which names the session.

use std::path::PathBuf;

use super::StoreError;
use crate::path::earliest_folder;
use crate::{FORMAT_VERSION, Record, RecordKind, SessionMeta, log_path};

/// Which session it is, and the path of its log in a store.
pub(crate) struct Start {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    /// No log of the session is in a folder of before; `None` if nobody knows.
    pub(crate) since: Option<PathBuf>,
}

impl Start {
    /// Reads what the first record says.
    pub(crate) fn of(records: &[Record]) -> Result<Self, StoreError> {
        let bad = |problem: String| StoreError::BadStart { problem };
        let first = records.first().filter(|first| first.kind == RecordKind::SessionMeta);
        let first = first.ok_or_else(|| bad("its first record must be a `session_meta`".into()))?;
        let meta: SessionMeta = serde_json::from_str(first.payload.get())
            .map_err(|_| bad("the `session_meta` names no session".into()))?;
        if meta.format_version != Some(FORMAT_VERSION) {
            return Err(bad(format!("the format version must be {FORMAT_VERSION}")));
        }
        let started_at = meta.timestamp.ok_or_else(|| bad("its `timestamp` is missing".into()))?;
        let path = log_path(started_at, &meta.id).map_err(|error| bad(error.to_string()))?;
        let since = earliest_folder(&meta.id, started_at);
        Ok(Self { id: meta.id, path, since })
    }
}
