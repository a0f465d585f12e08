//! What records of a session say, as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use longhaul_compaction::{Compacted, Report};
use longhaul_history::tokens::Calibration;
use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
use longhaul_history::{Item, Part};
use longhaul_state::budget::Spent;
use longhaul_state::protocol::{ApprovalPolicy, Settings, SettingsUpdate};
use longhaul_state::{AcceptedInput, Known, KnownModel, TurnStarts};
use longhaul_transport::RateLimits;
use longhaul_transport::request::{Reasoning, Verbosity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The ids that servers give have half of it.
const ID_CHARS: usize = 64;

/// Of `settings`, and part of `turn_context` and of a `call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SettingsPayload<'a> {
    model: Cow<'a, str>,
    #[serde(default)]
    approval_policy: ApprovalPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cwd: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effort: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verbosity: Option<Verbosity>,
}

impl<'a> SettingsPayload<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        let reasoning = settings.reasoning.as_ref();
        Self {
            model: Cow::Borrowed(&settings.model),
            approval_policy: settings.approval_policy,
            cwd: settings.cwd.as_deref().map(Path::to_string_lossy),
            effort: reasoning.and_then(|it| it.effort.as_deref()).map(Cow::Borrowed),
            summary: reasoning.and_then(|it| it.summary.as_deref()).map(Cow::Borrowed),
            verbosity: settings.verbosity,
        }
    }

    pub(super) fn into_settings(self) -> Settings {
        let mut settings = Settings::new(self.model);
        settings.approval_policy = self.approval_policy;
        settings.cwd = self.cwd.map(|cwd| cwd.into_owned().into());
        settings.verbosity = self.verbosity;
        let effort = self.effort.map(Cow::into_owned);
        let summary = self.summary.map(Cow::into_owned);
        settings.reasoning =
            Some(Reasoning { effort, summary }).filter(|it| *it != Reasoning::default());
        settings
    }
}

/// Of `turn_context`.
#[derive(Serialize)]
pub(super) struct TurnContext<'a> {
    pub(super) turn_id: &'a str,
    #[serde(flatten)]
    pub(super) settings: SettingsPayload<'a>,
    /// The model is told these settings from here on.
    pub(super) told: bool,
}

/// Of `compacted`.
#[derive(Serialize)]
pub(super) struct CompactedPayload<'a> {
    pub(super) replaced: usize,
    pub(super) parts: &'a [Part],
    pub(super) report: &'a Report,
    pub(super) told: Option<SettingsPayload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) turns: Option<Turns<'a>>,
}

impl<'a> CompactedPayload<'a> {
    pub(super) fn of(
        compacted: &'a Compacted,
        told: Option<&'a Settings>,
        turns: &'a TurnStarts,
    ) -> Self {
        Self {
            replaced: compacted.replaced,
            parts: &compacted.parts,
            report: &compacted.report,
            told: told.map(SettingsPayload::of),
            turns: Turns::of(turns),
        }
    }
}

/// Of `edited`.
#[derive(Serialize)]
pub(super) struct Edited<'a> {
    pub(super) replaced: usize,
    pub(super) parts: &'a [Part],
    pub(super) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) turns: Option<Turns<'a>>,
}

/// Of `compaction_undone`.
#[derive(Serialize)]
pub(super) struct Undone<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) turns: Option<Turns<'a>>,
}

/// Where turns begin after an edit that does not tell.
#[derive(Serialize)]
pub(super) struct Turns<'a> {
    items: &'a [usize],
    next: bool,
}

impl<'a> Turns<'a> {
    /// `None` if a reader knows them by the edit.
    pub(super) fn of(turns: &'a TurnStarts) -> Option<Self> {
        (!turns.follows).then_some(Self { items: &turns.items, next: turns.next })
    }
}

/// Of an `event_msg` of type `token_count`.
#[derive(Serialize, Deserialize)]
pub(super) struct TokenCount<'a> {
    pub(super) r#type: Cow<'a, str>,
    #[serde(default)]
    pub(super) info: Option<TokenUsageInfo>,
    #[serde(default)]
    pub(super) rate_limits: Option<RateLimits>,
    #[serde(default)]
    pub(super) cost: f64,
    /// Null where nothing is known, so that what was known is no more.
    #[serde(default)]
    pub(super) measured: Option<Measured>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) models: BTreeMap<String, Model>,
}

/// What is known of the newest request of a turn.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Measured {
    /// What the conversation takes, by the server's count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<u64>,
    /// So many items were in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) items: Option<usize>,
}

/// What is known of a model.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Model {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<u64>,
    pub(super) calibration: Calibration,
}

impl Model {
    pub(super) fn into_known(self) -> KnownModel {
        let mut known = KnownModel::default();
        (known.window, known.calibration) = (self.window, self.calibration);
        known
    }
}

/// Of a `token_count` that says no more than this.
#[derive(Serialize)]
pub(super) struct MoreModels {
    pub(super) r#type: &'static str,
    pub(super) models: BTreeMap<String, Model>,
}

impl TokenCount<'_> {
    /// Of models only what is not `written` already.
    pub(super) fn of(known: &Known, written: &BTreeMap<String, KnownModel>) -> Self {
        let new = known.models.iter().filter(|(slug, it)| written.get(*slug) != Some(it));
        let models = new.map(|(slug, it)| {
            (slug.clone(), Model { window: it.window, calibration: it.calibration })
        });
        Self {
            r#type: Cow::Borrowed("token_count"),
            info: known.usage,
            rate_limits: known.rate_limits,
            cost: known.cost,
            measured: (known.used.is_some() || known.sent_items.is_some())
                .then_some(Measured { tokens: known.used, items: known.sent_items }),
            models: models.collect(),
        }
    }
}

/// Of an `event_msg` that tells of a turn's end.
#[derive(Serialize)]
pub(super) struct TurnEnd<'a> {
    pub(super) r#type: &'static str,
    pub(super) turn_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// The code of the error that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'static str>,
}

/// Of an `input` that was accepted.
#[derive(Serialize, Deserialize)]
pub(super) struct Input<'a> {
    id: Cow<'a, str>,
    state: Cow<'a, str>,
    submission_id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_default")]
    settings: SettingsUpdate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_schema: Option<Cow<'a, Value>>,
    #[serde(borrow)]
    item: Cow<'a, RawValue>,
}

impl<'a> Input<'a> {
    pub(super) fn of(input: &'a AcceptedInput) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: Cow::Borrowed(&input.id),
            state: Cow::Borrowed("accepted"),
            submission_id: Cow::Borrowed(&input.submission_id),
            settings: input.settings.clone(),
            output_schema: input.output_schema.as_deref().map(Cow::Borrowed),
            item: Cow::Owned(RawValue::from_string(input.item.json().to_owned())?),
        })
    }

    /// `None` if it holds no item.
    pub(super) fn into_accepted(self) -> Option<AcceptedInput> {
        let item = Item::from_json(self.item.get()).ok()?;
        let mut input = AcceptedInput::new(&*self.id, &*self.submission_id, item);
        input.settings = self.settings;
        input.output_schema = self.output_schema.map(|schema| Arc::new(schema.into_owned()));
        Some(input)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Of an `input` that waits no more.
#[derive(Serialize)]
pub(super) struct GoneInput<'a> {
    pub(super) id: &'a str,
    pub(super) state: &'static str,
}

/// Of a `call`.
#[derive(Serialize, Deserialize)]
pub(super) struct Call<'a> {
    pub(super) turn_id: Cow<'a, str>,
    #[serde(flatten)]
    pub(super) known: KnownCall<'a>,
}

/// What is known of a turn, most of it of the calls of its newest response.
#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum KnownCall<'a> {
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
pub(super) fn begins(id: &str) -> &str {
    id.char_indices().nth(ID_CHARS).map_or(id, |(end, _)| &id[..end])
}

/// What a turn has spent, all told.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct SpentPayload {
    usage: TokenUsage,
    model_calls: u32,
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    cost: f64,
}

impl SpentPayload {
    pub(super) fn of(spent: &Spent) -> Self {
        let Spent { usage, model_calls, attempts, cost, .. } = *spent;
        Self { usage, model_calls, attempts, cost }
    }

    pub(super) fn into_spent(self) -> Spent {
        let mut spent = Spent::default();
        (spent.usage, spent.cost) = (self.usage, self.cost);
        (spent.model_calls, spent.attempts) = (self.model_calls, self.attempts);
        spent
    }
}
