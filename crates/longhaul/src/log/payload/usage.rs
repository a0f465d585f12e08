//! What records say of what the server counted: usage, limits, cost, and what is known of models.

use std::borrow::Cow;
use std::collections::BTreeMap;

use longhaul_history::tokens::Calibration;
use longhaul_history::usage::TokenUsageInfo;
use longhaul_state::{Known, KnownModel};
use longhaul_transport::RateLimits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::Fields;

/// Of an `event_msg` of type `token_count`.
#[derive(Serialize, Deserialize)]
pub(in crate::log) struct TokenCount<'a> {
    pub(in crate::log) r#type: Cow<'a, str>,
    #[serde(default)]
    pub(in crate::log) info: Option<TokenUsageInfo>,
    #[serde(default)]
    pub(in crate::log) rate_limits: Option<RateLimits>,
    #[serde(default)]
    pub(in crate::log) cost: f64,
    /// Null where nothing is known, so that what was known is no more.
    #[serde(default)]
    pub(in crate::log) measured: Option<Measured>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::log) models: BTreeMap<String, Model>,
}

/// What is told of a field that cannot be read.
const GONE: &str = "it is left out";

/// What the `token_count`s of a log of ours say. What cannot be read of it is told, and left out.
pub(in crate::log) fn read_known(json: &str, unread: &mut Vec<String>) -> Known {
    let count = serde_json::from_str(json).unwrap_or_else(|_| TokenCount::read(json, unread));
    let mut known = Known::default();
    (known.usage, known.cost, known.rate_limits) = (count.info, count.cost, count.rate_limits);
    let measured = count.measured.unwrap_or_default();
    (known.used, known.sent_items) = (measured.tokens, measured.items);
    known.models = count.models.into_iter().map(|(slug, it)| (slug, it.into_known())).collect();
    known
}

/// What is known of the newest request of a turn.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::log) struct Measured {
    /// What the conversation takes, by the server's count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) tokens: Option<u64>,
    /// So many items were in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) items: Option<usize>,
}

/// What is known of a model.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::log) struct Model {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) window: Option<u64>,
    pub(in crate::log) calibration: Calibration,
}

impl Model {
    pub(in crate::log) fn into_known(self) -> KnownModel {
        let mut known = KnownModel::default();
        (known.window, known.calibration) = (self.window, self.calibration);
        known
    }
}

/// Of a `token_count` that says no more than this.
#[derive(Serialize)]
pub(in crate::log) struct MoreModels {
    pub(in crate::log) r#type: &'static str,
    pub(in crate::log) models: BTreeMap<String, Model>,
}

impl TokenCount<'_> {
    /// Field by field, and model by model.
    fn read(json: &str, unread: &mut Vec<String>) -> Self {
        let mut fields = Fields::of(json, "sums in the log", unread);
        let info = fields.read("info", GONE).and_then(Result::ok).flatten();
        let rate_limits = fields.read("rate_limits", GONE).and_then(Result::ok).flatten();
        let cost = fields.read("cost", GONE).and_then(Result::ok).unwrap_or_default();
        let measured = fields.read("measured", GONE).and_then(Result::ok).flatten();
        let models = fields.read::<Map<String, Value>>("models", GONE).and_then(Result::ok);
        let models = models.unwrap_or_default();
        let names: Vec<String> = models.keys().cloned().collect();
        let mut fields = Fields::of_map(models, "models in the log", unread);
        let models = names.into_iter().filter_map(|name| {
            let model = fields.read(&name, GONE)?.ok()?;
            Some((name, model))
        });
        let models = models.collect();
        Self { r#type: Cow::Borrowed("token_count"), info, rate_limits, cost, measured, models }
    }

    /// Of models only what is not `written` already.
    pub(in crate::log) fn of(known: &Known, written: &BTreeMap<String, KnownModel>) -> Self {
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
