//! One thing that a driver, its model or its tools noted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that happened, noted by who did it. `session` is the id of the session; `durable` says how many bytes of
/// its log were durable then: read it right before the note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// A process begins.
    Run,
    /// A message of the user is about to be submitted.
    Submitted {
        /// The session.
        session: String,
        /// All that it says.
        text: String,
    },
    /// The session has acknowledged something, and that was received.
    Acked {
        /// The session.
        session: String,
        /// What.
        ack: Ack,
    },
    /// A tool begins; the first thing that it does.
    Start {
        /// The session.
        session: String,
        /// The call.
        call_id: String,
        /// The tool.
        tool: String,
        /// A number that no other start has.
        nonce: u64,
        /// How much of the log was durable.
        durable: u64,
    },
    /// A tool has done what it does.
    End {
        /// The session.
        session: String,
        /// The call.
        call_id: String,
        /// The number of its start.
        nonce: u64,
        /// How much of the log was durable.
        durable: u64,
    },
    /// A request leaves.
    Request {
        /// The session.
        session: String,
        /// The calls whose outputs it has, in order.
        outputs: Vec<String>,
        /// How much of the log was durable.
        durable: u64,
    },
    /// The session is at rest, and all that it did is acknowledged.
    Rests {
        /// The session.
        session: String,
        /// Its conversation.
        items: Vec<Value>,
        /// How much of the log was durable.
        durable: u64,
    },
    /// The session was opened again behind a crash. Noted twice where it was opened twice.
    Recovered {
        /// The session.
        session: String,
        /// Its conversation.
        items: Vec<Value>,
        /// Anything else that has to be the same the next time.
        also: Value,
    },
    /// A fork has begun.
    Forked {
        /// The session that it is of.
        parent: String,
        /// The length of the parent's log then.
        parent_bytes: u64,
        /// The digest of these bytes, by [`blob_digest`](longhaul_rollout::blob_digest).
        parent_digest: String,
        /// The new session.
        session: String,
        /// What the parent has before the cut.
        items: Vec<Value>,
    },
}

/// What was acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ack {
    /// A message is recorded: of the user or of the model.
    Message {
        /// All that it says.
        text: String,
    },
    /// The output of a call is recorded.
    Output {
        /// The call.
        call_id: String,
        /// All that it says.
        text: String,
    },
    /// The conversation is compacted.
    Compacted,
    /// A turn is over.
    Ended {
        /// Its id.
        turn_id: String,
    },
    /// An input was taken back.
    Withdrawn {
        /// All that it says; no other input says the same.
        text: String,
    },
    /// Later turns work in another folder.
    Moved {
        /// The folder.
        cwd: String,
    },
    /// A call was approved for the length of the session, for the first time.
    Granted,
}

impl Note {
    /// Whether the checks of this session have to do with it.
    pub(super) fn is_of(&self, wanted: &str) -> bool {
        match self {
            Self::Run => true,
            Self::Forked { parent, session, .. } => parent == wanted || session == wanted,
            Self::Submitted { session, .. }
            | Self::Acked { session, .. }
            | Self::Start { session, .. }
            | Self::End { session, .. }
            | Self::Request { session, .. }
            | Self::Rests { session, .. }
            | Self::Recovered { session, .. } => session == wanted,
        }
    }
}
