//! What a compaction did.

use std::time::Duration;

use longhaul_history::Part;
use serde::{Deserialize, Serialize};

use crate::Cause;

/// Who wanted a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trigger {
    /// Somebody asked for it.
    Manual,
    /// The conversation's length.
    Auto,
}

impl Trigger {
    /// The trigger in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
        }
    }
}

impl From<Cause> for Trigger {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Manual => Self::Manual,
            _ => Self::Auto,
        }
    }
}

/// What a compaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Who wanted it.
    pub trigger: Trigger,
    /// The strategy whose result was installed; `hook` if the host put its own in the place.
    pub strategy: String,
    /// Calibrated tokens of a request before.
    pub tokens_before: u64,
    /// Calibrated tokens of a request after.
    pub tokens_after: u64,
    /// Items of the conversation that stay as they are.
    pub kept_items: usize,
    /// Items that are gone.
    pub dropped_items: usize,
    /// Items that the summarising model was not shown.
    pub trimmed_items: usize,
    /// Tokens that were cut out of the user's last message, estimated; 0 if it is whole.
    pub cut_tokens: u64,
    /// Requests to models; one that the transport repeated counts once.
    pub requests: u32,
    /// How long it took.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
}

/// A compaction as the session log holds it: it refers to what is kept, and holds what is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Compacted {
    /// So many items at the beginning of the conversation were replaced.
    pub replaced: usize,
    /// By these, in order.
    pub parts: Vec<Part>,
    /// What the compaction did.
    pub report: Report,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
