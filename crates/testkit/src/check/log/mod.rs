//! Does what a process left behind that was killed keep the promises of the session log?
//!
//! A driver runs sessions on a store. It, its tools and its model note what they do in a file of their own, one [`Note`]
//! a line, outside the store's folder. It is killed, whoever comes next opens the session again and goes on. Then
//! [`check`] holds the log's bytes and the notes together:
//!
//! | | holds if | file |
//! |---|---|---|
//! | I3 | a call starts its tool once, and once a process if the tool may run again | `calls` |
//! | I4 | that a call starts is durable before its tool starts, its result before a request that says it; a result is recorded after its tool has ended | `calls` |
//! | I5 | a call that had started has one output; if it was cut off, that its effect is unknown, and the next request says so once | `calls` |
//! | I13 | what was acknowledged is in the log once, byte for byte | `acks` |
//! | I14 | of what each process submitted, a beginning is in the log, in order, and nothing else | `acks` |
//! | I15 | the log is whole sealed records with the ordinals 0 to n; behind a crash, and only there, one torn tail; nothing that was whole is changed | `lines` |
//! | I16 | epochs never go back, no ordinal comes twice | `lines` |
//! | I17 | a session that is opened again has all that it had when it last said so; opened twice, it is the same | `views` |
//! | I18 | a fork has what stood before its cut; its parent's bytes stay as they were | `views` |
//!
//! What the checker takes for granted: messages of the user are submitted by the driver alone, and each has a text of its
//! own; so has each message of the model; call ids are used once; a log that was salvaged is none of its business.

mod acks;
mod calls;
mod lines;
mod note;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use self::lines::Line;
pub use self::note::{Ack, Note};
use super::session::{Found, Violation};

/// All that is known of one session.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The session's id.
    pub session: String,
    /// Its log as the crash left it; empty if there was none.
    pub crashed: Vec<u8>,
    /// Its log at the end, when it is at rest.
    pub log: Vec<u8>,
    /// The blobs of its store, by their names.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// The notes of all processes, oldest first. Those of other sessions may be among them.
    pub notes: Vec<Note>,
    /// The tools whose calls may run again after a crash.
    pub may_run_again: BTreeSet<String>,
}

/// How much there was to check, so that a run in which nothing happened is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Records of the log.
    pub records: usize,
    /// Acknowledgements that were received.
    pub acks: usize,
    /// Tools that started.
    pub starts: usize,
    /// Calls whose effect the model was told to be unknown after a crash.
    pub unknown: usize,
}

/// Holds all invariants against `evidence`.
///
/// # Errors
///
/// All violations, by invariant.
pub fn check(evidence: &Evidence) -> Result<Summary, Vec<Violation>> {
    let mut found = Found::default();
    let view = View::new(evidence, &mut found);
    acks::check(&view, &mut found);
    let unknown = calls::check(&view, &mut found);
    views::check(&view, &mut found);
    let is = |wanted: fn(&Note) -> bool| view.notes().filter(|note| wanted(note)).count();
    let summary = Summary {
        records: view.lines.len(),
        acks: is(|note| matches!(note, Note::Acked { .. })),
        starts: is(|note| matches!(note, Note::Start { .. })),
        unknown,
    };
    found.into_result(summary)
}

/// What all checks read.
struct View<'a> {
    evidence: &'a Evidence,
    /// The records of the log at the end.
    lines: Vec<Line>,
}

impl<'a> View<'a> {
    fn new(evidence: &'a Evidence, found: &mut Found) -> Self {
        Self { evidence, lines: lines::check(evidence, found) }
    }

    /// The notes of this session, and where processes begin.
    fn notes(&self) -> impl Iterator<Item = &'a Note> {
        let session = &*self.evidence.session;
        self.evidence.notes.iter().filter(move |note| note.is_of(session))
    }

    /// The items that were recorded, with their records.
    fn items(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.kind == "response_item")
    }

    /// The outputs of a call.
    fn outputs(&self, call_id: &str) -> Vec<&Line> {
        self.items().filter(|line| line.output_of() == Some(call_id)).collect()
    }
}
