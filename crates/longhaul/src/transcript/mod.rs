//! What a user interface shows of a session, folded from its events.
//!
//! A [`Transcript`] takes the events of one session in order, live or replayed, and keeps a list of
//! [`Cell`]s: one for each message, thought, call, compaction, error. A cell stands where it first
//! appeared and changes there while it streams, so that an event concerns one cell, nearly always the
//! last. What is not of the conversation, such as the wait before a repeated attempt, is in its
//! [`Status`].
//!
//! Pure: no I/O, no clock, no runtime. An event costs what it says; a delta is appended to its cell.
//!
//! ```
//! use std::sync::Arc;
//!
//! use longhaul::events::SessionEvent;
//! use longhaul::history::turn_item::{AgentPart, TurnItem, TurnItemKind};
//! use longhaul::state::protocol::Event;
//! use longhaul::transcript::{Activity, CellKind, Changes, ItemState, Transcript};
//!
//! let content = vec![AgentPart::Text { text: "Mend the roof first.".into() }];
//! let message = |content| TurnItem { id: "m1".into(), kind: TurnItemKind::AgentMessage { content } };
//! let events = [
//!     Event::TurnStarted { model_context_window: None },
//!     Event::ItemStarted(message(Vec::new())),
//!     Event::TextDelta("Mend the ".into()),
//!     Event::TextDelta("roof".into()),
//!     Event::ItemCompleted(message(content)),
//!     Event::TurnComplete { last_agent_message: None },
//! ];
//! let mut transcript = Transcript::new();
//! let mut drawn = Vec::new();
//! for (number, event) in (1..).zip(events) {
//!     let turn: Arc<str> = "turn".into();
//!     let event = SessionEvent { number, submission_id: turn.clone(), turn_id: turn, event };
//!     drawn.push(transcript.apply(&event)); // what is to be drawn again
//! }
//! let (same, nothing) = (Changes::Cell(0), Changes::Nothing);
//! assert_eq!(drawn, [nothing, same, same, same, same, nothing]);
//! let text = "Mend the roof first.".to_owned();
//! assert_eq!(transcript.cells()[0].kind, CellKind::Agent { text, state: ItemState::Complete });
//! assert_eq!(transcript.activity(), Activity::Idle);
//! ```
//!
//! # What goes
//!
//! A cell stays once what it shows is recorded. What was streamed of a response that failed goes when
//! its [`StreamError`](longhaul_state::protocol::Event::StreamError) says so, or when the next step
//! shows that the response has come to nothing. What is cut off by the end of its turn stays, marked
//! as that: somebody may have read it.
//!
//! # Gaps
//!
//! A reader that fell behind gets an [`Event::Missed`](longhaul_state::protocol::Event::Missed). The
//! transcript shows it as a [`CellKind::Gap`] and goes on: an item whose end comes has its own text
//! then, whatever deltas were missed, and of what does not come to an end no end is made up. The same
//! holds for a reader that begins in the middle.
//!
//! # Modules, in reading order
//!
//! `cell`, `state` (of what a cell shows), `status`, `changes`, `fold` (an event becomes changes), `edit` (of single cells), `items`,
//! `calls`, `spans` (what takes long: compactions, reviews, undos), `history` (a conversation becomes
//! cells, and cells are found in it again).

mod calls;
mod cell;
mod changes;
mod edit;
mod fold;
mod history;
mod items;
mod spans;
mod state;
mod status;
#[cfg(test)]
mod tests;

use crate::events::SessionEvent;

pub use cell::{Cell, CellKind};
pub use changes::Changes;
pub use history::Selection;
pub use state::{CompactionState, ItemState, Problem, ToolState, UndoState};
pub use status::{Activity, Retry, Status};

/// What a user interface shows of a session: see the [module](self).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    cells: Vec<Cell>,
    status: Status,
    running: Running,
    /// The id of the next cell.
    next_id: u64,
    /// How many messages of the user there are.
    user_messages: usize,
    /// The number of the newest event.
    newest: u64,
    /// The number of the last event that was missed; 0 if none was.
    gap: u64,
}

/// What is going on in the turn that runs.
#[derive(Debug, Clone, Default, PartialEq)]
struct Running {
    /// Where the cells are that events may still change, in order.
    open: Vec<usize>,
    /// Where the review is that runs.
    review: Option<usize>,
    /// Where the cell of the bridge is that was just shown, of which a report is to follow.
    bridge: Option<usize>,
    /// The search of which it was just shown that it has ended, and is to be told again.
    ended_search: Option<String>,
    /// Whether events of the response that is coming were missed.
    is_torn: bool,
    /// Whether items of the response were shown as recorded.
    is_committing: bool,
}

impl Transcript {
    /// A transcript of a session that has not said anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cells in order.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Takes the next event of the session and says which cells are to be drawn again.
    ///
    /// An event that is not newer than the one before is one that was taken already, and changes
    /// nothing: so replays may overlap.
    pub fn apply(&mut self, event: &SessionEvent) -> Changes {
        if event.number <= self.newest {
            return Changes::Nothing;
        }
        self.newest = event.number;
        fold::fold(self, event)
    }

    /// Removes the `n`-th message of the user, counted from 0, and everything behind it: what a session
    /// shows that was forked before that message. Says whether there was such a message.
    ///
    /// The next event may have any number, because another session counts its own. Nothing is known
    /// of its status yet.
    pub fn trim(&mut self, n: usize) -> bool {
        let Some(len) = self.user_cell(n) else {
            return false;
        };
        self.cells.truncate(len);
        for index in std::mem::take(&mut self.running).open {
            if let Some(cell) = self.cells.get_mut(index) {
                cell.kind.close(cell.changed <= self.gap);
            }
        }
        (self.user_messages, self.newest, self.gap) = (n, 0, 0);
        self.status = Status::default();
        true
    }

    /// How many messages of the user there are.
    pub fn user_message_count(&self) -> usize {
        self.user_messages
    }

    /// Where the `n`-th message of the user is.
    fn user_cell(&self, n: usize) -> Option<usize> {
        let is_nth = |kind: &CellKind| matches!(kind, CellKind::User { nth, .. } if *nth == n);
        self.cells.iter().position(|cell| is_nth(&cell.kind))
    }
}
