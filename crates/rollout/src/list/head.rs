//! The head of a log: who the session is, and what the user said first.

use std::path::PathBuf;

use longhaul_history::turn_item::is_user_message;
use longhaul_history::{Item, ItemView};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Summary;
use crate::error::excerpt;
use crate::scan::BYTE_ORDER_MARK;
use crate::{Error, Record, RecordKind, SessionMeta};

/// So much of a log is read for a list, at most.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// A title is cut behind so many chars.
const TITLE_CHARS: usize = 120;

/// What the first bytes of a log say.
#[derive(Debug)]
pub(crate) enum Head {
    /// All that a list shows.
    Complete(Summary),
    /// The user's first message is not among these bytes; or it waits, and may still be withdrawn.
    Untitled(Summary),
    /// The first line is not complete.
    Short,
    /// It does not begin as a log does.
    Bad(String),
}

impl Head {
    /// Reads the head of a log from its first bytes, without a look at checksums: those are for
    /// who goes on with the log.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut records = records(bytes);
        let first = match records.next() {
            Some(Ok(record)) => record,
            Some(Err(error)) => return Self::Bad(error.to_string()),
            None => return Self::Short,
        };
        let mut session = match summary(&first) {
            Ok(session) => session,
            Err(problem) => return Self::Bad(problem),
        };
        let (title, is_settled) = first_words(records.filter_map(Result::ok));
        session.title = title;
        if is_settled { Self::Complete(session) } else { Self::Untitled(session) }
    }

    /// The same of a log of which all that is read has been read.
    pub(crate) fn into_summary(self, path: Option<PathBuf>) -> Result<Summary, String> {
        match self {
            Self::Complete(session) | Self::Untitled(session) => Ok(Summary { path, ..session }),
            Self::Short => Err(format!("no first line within {HEAD_BYTES} bytes")),
            Self::Bad(problem) => Err(problem),
        }
    }
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The session's id.
    pub(crate) id: String,
    /// No other program wrote it.
    pub(crate) is_ours: bool,
}

impl Owner {
    /// What the first line among these bytes says; `None` if that is not sound.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let first = records(bytes).next()?.ok()?;
        let meta: SessionMeta = Some(&first)
            .filter(|first| first.kind == RecordKind::SessionMeta)
            .and_then(|first| serde_json::from_str(first.payload.get()).ok())?;
        // As the reader of a log sees it: an epoch is ours, whatever became of the payload.
        let is_ours =
            meta.format_version.is_some() || first.extra().any(|(name, _)| name == "epoch");
        Some(Self { id: meta.id, is_ours })
    }
}

/// The records in the lines that have their newline: the same lines that a replay takes, unchecked.
fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record, Error>> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let lines = bytes.split_inclusive(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    lines.filter(|line| !line.trim_ascii().is_empty()).map(Record::decode)
}

/// An input, as far as a title needs it.
#[derive(Deserialize)]
struct Input<'a> {
    id: &'a str,
    state: &'a str,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
}

fn summary(first: &Record) -> Result<Summary, String> {
    if first.kind != RecordKind::SessionMeta {
        return Err(format!("begins with `{}`", excerpt(first.kind.as_str().as_bytes())));
    }
    let meta: SessionMeta = serde_json::from_str(first.payload.get())
        .map_err(|_| format!("no session: `{}`", excerpt(first.payload.get().as_bytes())))?;
    Ok(Summary {
        id: meta.id,
        path: None,
        started_at: meta.timestamp.unwrap_or(first.timestamp),
        updated_at: None,
        cwd: meta.cwd,
        originator: meta.originator,
        source: meta.source,
        model_provider: meta.model_provider,
        forked_from: meta.forked_from.map(|parent| parent.id),
        title: None,
    })
}

/// What the user said first, and whether that is settled: an input that waits may be withdrawn, and is
/// a title only as long as nothing else was said.
fn first_words(records: impl Iterator<Item = Record>) -> (Option<String>, bool) {
    let mut waiting: Vec<(String, Option<String>)> = Vec::new();
    for record in records {
        match (&record.kind, record.input()) {
            (RecordKind::ResponseItem, Some(taken)) => {
                let at = waiting.iter().position(|(id, _)| *id == taken);
                if let Some((_, Some(title))) = at.map(|at| waiting.remove(at)) {
                    return (Some(title), true);
                }
            }
            (RecordKind::ResponseItem, None) => {
                let title = title(record.payload.get(), &record);
                if title.is_some() {
                    return (title, true);
                }
            }
            (RecordKind::Input, _) => {
                let Ok(input) = serde_json::from_str::<Input<'_>>(record.payload.get()) else {
                    continue;
                };
                match (input.state, input.item) {
                    ("accepted", item) => {
                        let title = item.and_then(|item| title(item.get(), &record));
                        waiting.push((input.id.to_owned(), title));
                    }
                    _ => waiting.retain(|(id, _)| id != input.id),
                }
            }
            _ => {}
        }
    }
    (waiting.into_iter().find_map(|(_, title)| title), false)
}

/// The beginning of what the user says in an item of a record, if it is a message of the user.
fn title(item: &str, record: &Record) -> Option<String> {
    let has_blobs = !record.blobs().is_empty();
    let item = Item::from_json(item).ok()?;
    if !is_user_message(&item) {
        return None;
    }
    let ItemView::Message { content, .. } = item.view() else { return None };
    let is_here = |text: &&str| !(text.trim().is_empty() || has_blobs && is_stand_in(text));
    Some(one_line(content.iter().filter_map(|part| part.text()).find(is_here)?))
}

/// Whether a text is so long that a blob has it.
fn is_stand_in(text: &str) -> bool {
    let digest = text.strip_prefix("blob:");
    digest.is_some_and(|it| it.len() == 64 && it.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The first words of a text, between single spaces.
fn one_line(text: &str) -> String {
    let mut title = String::new();
    for word in text.split_whitespace() {
        if !title.is_empty() {
            title.push(' ');
        }
        title.extend(word.chars().filter(|c| !c.is_control()).take(TITLE_CHARS));
        if let Some((end, _)) = title.char_indices().nth(TITLE_CHARS) {
            title.truncate(end);
            break;
        }
    }
    title
}
