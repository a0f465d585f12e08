//! One thing that a user interface shows.

use std::sync::Arc;

use longhaul_compaction::Trigger;
use longhaul_history::Repair;
use longhaul_state::protocol::{AbortReason, ReviewOutput};

use super::{CompactionState, ItemState, Problem, ToolState, UndoState};

/// One thing that a user interface shows, in the place where it first appeared.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Cell {
    /// Its number among all cells that the transcript ever had, from 0. Cells are in the order of
    /// their ids; one that goes leaves a hole that no other fills.
    pub id: u64,
    /// The [number](crate::events::SessionEvent::number) of the event that changed it last; 0 if it
    /// was made of a conversation.
    pub changed: u64,
    /// The turn in which it appeared; empty for what belongs to none.
    pub turn_id: Arc<str>,
    /// The submission whose event made it; empty for what belongs to none. A message of the user has
    /// its own, also where it steered a turn that another began.
    pub submission_id: Arc<str>,
    /// The item that it shows, by the id of its [`TurnItem`](longhaul_history::turn_item::TurnItem).
    pub item_id: Option<String>,
    /// What it shows.
    pub kind: CellKind,
}

/// What a cell shows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CellKind {
    /// What the user said.
    User {
        /// Its texts, joined.
        text: String,
        /// How many images came with it.
        images: usize,
        /// Its number among the messages of the user in the transcript, from 0: see
        /// [`Transcript::select`](super::Transcript::select).
        nth: usize,
    },
    /// What the user said in the form of a context message
    /// ([`is_context`](longhaul_history::turn_item::is_context)): no conversation counts it as the
    /// user's, and it cannot be selected.
    Context {
        /// Its texts, joined.
        text: String,
    },
    /// What the model says.
    Agent {
        /// The text so far; the item's own once it is complete.
        text: String,
        /// How far it is.
        state: ItemState,
    },
    /// What the model thinks.
    Reasoning {
        /// The text so far; once it is complete the item's own, with an empty line between its parts.
        /// It stays empty where the server shows nothing.
        text: String,
        /// How far it is.
        state: ItemState,
    },
    /// The server searches the web.
    WebSearch {
        /// What for; empty while that is not known.
        query: String,
        /// How far it is.
        state: ItemState,
    },
    /// A call of a tool.
    Tool {
        /// The id of the call. A later response may use it again.
        call_id: String,
        /// The tool; empty if the events that say so were missed.
        name: String,
        /// What the tool gets; empty if the events that say so were missed.
        arguments: String,
        /// What becomes of it.
        state: ToolState,
    },
    /// The conversation is made shorter, by the client or by the server.
    Compaction {
        /// Who wanted it, if that is known.
        trigger: Option<Trigger>,
        /// What becomes of it.
        state: CompactionState,
    },
    /// A review. What its model says and thinks has no cells of its own; the tools that it runs do.
    Review {
        /// What is reviewed; empty if the events that say so were missed.
        prompt: String,
        /// How far it is.
        state: ItemState,
        /// What it found, if it came to its end.
        output: Option<ReviewOutput>,
    },
    /// A snapshot is restored.
    Undo {
        /// Which, or why it could not be.
        message: Option<String>,
        /// What becomes of it.
        state: UndoState,
    },
    /// Broken history was put right.
    Repair {
        /// What was broken.
        repairs: Vec<Repair>,
    },
    /// Something that a person may want to know.
    Notice {
        /// In words.
        text: String,
    },
    /// Something failed, and the turn goes on.
    Warning(Problem),
    /// A turn failed, or an input that no turn took was refused.
    Error(Problem),
    /// A turn was cut off.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
    /// Events that the reader missed. What they told is not here, and what was going on before them
    /// may have ended in them.
    Gap {
        /// The number of the first of them.
        first: u64,
        /// The number of the last of them.
        last: u64,
    },
}

impl CellKind {
    /// Whether more of it is to come.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Agent { state, .. }
            | Self::Reasoning { state, .. }
            | Self::WebSearch { state, .. }
            | Self::Review { state, .. } => *state == ItemState::Coming,
            Self::Tool { state, .. } => {
                state.is_asked() || matches!(state, ToolState::Running { .. })
            }
            Self::Compaction { state, .. } => *state == CompactionState::Running,
            Self::Undo { state, .. } => *state == UndoState::Running,
            _ => false,
        }
    }

    /// No more of it comes. `is_unsure`: it may have come to its end where nobody looked.
    pub(super) fn close(&mut self, is_unsure: bool) {
        if !self.is_open() {
            return;
        }
        match self {
            Self::Agent { state, .. }
            | Self::Reasoning { state, .. }
            | Self::WebSearch { state, .. }
            | Self::Review { state, .. } => *state = ItemState::CutOff,
            Self::Tool { state, .. } if is_unsure => *state = ToolState::Unknown,
            Self::Tool { state, .. } => {
                let had_started = matches!(state, ToolState::Running { .. });
                *state = ToolState::Stopped { had_started };
            }
            Self::Compaction { state, .. } => *state = CompactionState::GivenUp,
            Self::Undo { state, .. } => *state = UndoState::CutOff,
            _ => {}
        }
    }
}
