//! What a session changes: one value a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_compaction::{BreakerMemory, Compacted};
use longhaul_history::tokens::Calibration;
use longhaul_history::usage::TokenUsageInfo;
use longhaul_history::{Item, Part};
use longhaul_transport::RateLimits;
use serde_json::Value;

use super::Surface;
use super::fork::Place;
use super::turns::TurnStarts;
use crate::protocol::{CallDigest, Settings, SettingsUpdate, TurnEnd, TurnError};
use crate::turn::TurnRecord;

/// One change of a session. All of them, in order, make the session again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change {
    /// The session was opened again.
    Opened {
        /// What differs from how it was left, a sentence each.
        differences: Vec<String>,
    },
    /// It works with this from now on.
    Surface(Surface),
    /// A turn begins, and with it the next item. Its model is told of these settings from here on.
    TurnBegan {
        /// The turn.
        turn_id: Arc<str>,
        /// Its settings.
        settings: Settings,
        /// Those of later turns, if they have changed already.
        later: Option<Settings>,
    },
    /// These are the settings of later turns.
    Settings(Settings),
    /// An item was recorded.
    Recorded {
        /// The item as it was given, before limits of the conversation.
        item: Item,
        /// Where it was inserted; `None` if it was appended.
        at: Option<usize>,
        /// The [input](AcceptedInput::id) that it is, if that was accepted before: it waits no more.
        input: Option<Arc<str>>,
    },
    /// An input was accepted: it waits for a turn.
    InputAccepted(AcceptedInput),
    /// The input with this [id](AcceptedInput::id) no longer waits, and no turn has taken it.
    InputGone(Arc<str>),
    /// The conversation was edited.
    Edited(Edit),
    /// The conversation was compacted.
    Compacted {
        /// What came in the place of what.
        compacted: Compacted,
        /// The settings that its context messages speak of; `None` if that is as it was.
        told: Option<Settings>,
        /// Where turns begin afterwards.
        turns: TurnStarts,
    },
    /// The conversation before the last compaction stands again, and behind it what came since.
    CompactionUndone {
        /// Where turns begin afterwards.
        turns: TurnStarts,
    },
    /// What the session has used, and what it knows of models.
    Used(Box<Known>),
    /// What the breaker of automatic compactions remembers, and what is new of what it has seen.
    Breaker(BreakerMemory),
    /// Calls of this digest need no further approval.
    Granted(CallDigest),
    /// What was approved for the session's length no longer is.
    GrantsCleared,
    /// Something became known of the calls of a turn.
    Call {
        /// The turn.
        turn_id: Arc<str>,
        /// What.
        record: TurnRecord,
    },
    /// A turn has ended.
    TurnEnded {
        /// The turn.
        turn_id: Arc<str>,
        /// How.
        end: Result<TurnEnd, TurnError>,
        /// The model's last message.
        last_message: Option<String>,
    },
    /// Nothing changed; somebody wants to know where in the log this is.
    Place(Place),
}

/// An input that waits for a turn.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AcceptedInput {
    /// Its own id, which no other input has.
    pub id: Arc<str>,
    /// The id that its client gave.
    pub submission_id: Arc<str>,
    /// What the user says.
    pub item: Item,
    /// What it changes.
    pub settings: SettingsUpdate,
    /// What the final message has to follow.
    pub output_schema: Option<Arc<Value>>,
}

impl AcceptedInput {
    /// One that changes nothing, with any final message.
    pub fn new(id: impl Into<Arc<str>>, submission_id: impl Into<Arc<str>>, item: Item) -> Self {
        Self {
            id: id.into(),
            submission_id: submission_id.into(),
            item,
            settings: SettingsUpdate::default(),
            output_schema: None,
        }
    }
}

/// An edit of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit {
    /// How many items the conversation had: all of them are replaced.
    pub replaced: usize,
    /// By these parts of it.
    pub parts: Vec<Part>,
    /// Why.
    pub cause: EditCause,
    /// Where turns begin afterwards.
    pub turns: TurnStarts,
}

/// Why a conversation was edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditCause {
    /// The item at this index was taken out.
    Removed(usize),
    /// It was put right.
    Repaired,
}

/// What is known of a session beside its conversation and its settings.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Known {
    /// What it has used.
    pub usage: Option<TokenUsageInfo>,
    /// What it has cost, by the agent's prices.
    pub cost: f64,
    /// The newest limits of its server.
    pub rate_limits: Option<RateLimits>,
    /// What the newest response said that the conversation takes, in tokens, as
    /// [`SessionState::used_tokens`](super::SessionState::used_tokens).
    pub used: Option<u64>,
    /// So many items were in the newest request, as
    /// [`SessionState::sent_items`](super::SessionState::sent_items).
    pub sent_items: Option<usize>,
    /// What it met with at models, by their slugs.
    pub models: BTreeMap<String, KnownModel>,
}

/// What a session met with at a model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct KnownModel {
    /// The raw context window in tokens, as its server named it.
    pub window: Option<u64>,
    /// How far counts of tokens are off for it.
    pub calibration: Calibration,
}
