//! What records say of a turn: its calls, what it has spent, its end.

use std::borrow::Cow;

use longhaul_history::usage::TokenUsage;
use longhaul_state::budget::Spent;
use serde::{Deserialize, Serialize};

use super::{SettingsPayload, is_default};

/// The ids that servers give have half of it.
const ID_CHARS: usize = 64;

/// Of a `call`.
#[derive(Serialize, Deserialize)]
pub(in crate::log) struct Call<'a> {
    pub(in crate::log) turn_id: Cow<'a, str>,
    #[serde(flatten)]
    pub(in crate::log) known: KnownCall<'a>,
}

/// What is known of a turn, most of it of the calls of its newest response.
#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(in crate::log) enum KnownCall<'a> {
    /// There are so many.
    Response {
        calls: usize,
        /// How the id of each begins, in order: [`begins`]. Earlier versions wrote none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ids: Vec<Cow<'a, str>>,
        /// Where nothing is said of what was spent: by earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<TokenUsage>,
        /// By the turn, with this response.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent: Option<SpentPayload>,
    },
    /// Those of the turn from here on.
    Settings(SettingsPayload<'a>),
    /// By the turn, before its next response.
    Spent {
        spent: SpentPayload,
        #[serde(default, skip_serializing_if = "is_default")]
        has_shrunk: bool,
    },
    Asked {
        position: usize,
        /// Unless they are those of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Cow<'a, str>>,
    },
    Allowed {
        position: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Cow<'a, str>>,
    },
    Denied {
        position: usize,
        reason: Cow<'a, str>,
    },
    Started {
        position: usize,
    },
    Answered {
        position: usize,
    },
    #[serde(other)]
    Unknown,
}

/// As much of an id as tells it from others: a long one is not said twice.
pub(in crate::log) fn begins(id: &str) -> &str {
    id.char_indices().nth(ID_CHARS).map_or(id, |(end, _)| &id[..end])
}

/// What a turn has spent, all told.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(in crate::log) struct SpentPayload {
    usage: TokenUsage,
    model_calls: u32,
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    cost: f64,
}

impl SpentPayload {
    pub(in crate::log) fn of(spent: &Spent) -> Self {
        let Spent { usage, model_calls, attempts, cost, .. } = *spent;
        Self { usage, model_calls, attempts, cost }
    }

    pub(in crate::log) fn into_spent(self) -> Spent {
        let mut spent = Spent::default();
        (spent.usage, spent.cost) = (self.usage, self.cost);
        (spent.model_calls, spent.attempts) = (self.model_calls, self.attempts);
        spent
    }
}

/// Of an `event_msg` that tells of a turn's end.
#[derive(Serialize)]
pub(in crate::log) struct TurnEnd<'a> {
    pub(in crate::log) r#type: &'static str,
    pub(in crate::log) turn_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) reason: Option<&'static str>,
    /// The code of the error that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) error: Option<&'static str>,
}
