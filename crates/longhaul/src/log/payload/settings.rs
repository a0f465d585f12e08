//! What records say of settings.

use std::borrow::Cow;
use std::path::Path;

use longhaul_state::protocol::{ApprovalPolicy, Settings};
use longhaul_transport::request::{Reasoning, Verbosity};
use serde::{Deserialize, Serialize};

use super::fields::Fields;

/// Of `settings`, and part of `turn_context` and of a `call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::log) struct SettingsPayload<'a> {
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
    pub(in crate::log) fn of(settings: &'a Settings) -> Self {
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

    pub(in crate::log) fn into_settings(self) -> Settings {
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

/// What is told of a field that cannot be read.
const HOLDS: &str = "what the session is opened with holds";

/// Settings out of a log, where `what` says whose. What cannot be read of them is told, and is as
/// `otherwise` says; but whoever does not know which calls were to be asked for asks for all.
pub(in crate::log) fn read_settings(
    json: &str,
    otherwise: &Settings,
    what: &str,
    unread: &mut Vec<String>,
) -> Settings {
    if let Ok(payload) = serde_json::from_str::<SettingsPayload<'_>>(json) {
        return payload.into_settings();
    }
    let mut fields = Fields::of(json, what, unread);
    let mut settings = otherwise.clone();
    settings.model = fields.require("model", settings.model, HOLDS);
    settings.approval_policy = match fields.read("approval_policy", "all calls are asked for") {
        Some(policy) => policy.unwrap_or(ApprovalPolicy::Always),
        None if fields.is_object => ApprovalPolicy::default(),
        None => ApprovalPolicy::Always,
    };
    if !fields.is_object {
        return settings;
    }
    // What is missing, or null, is not set.
    let mut text = |name, otherwise| match fields.read::<Option<String>>(name, HOLDS) {
        Some(value) => value.unwrap_or(otherwise),
        None => None,
    };
    let cwd = otherwise.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
    settings.cwd = text("cwd", cwd).map(Into::into);
    let reasoning = otherwise.reasoning.clone().unwrap_or_default();
    let reasoning = Reasoning {
        effort: text("effort", reasoning.effort),
        summary: text("summary", reasoning.summary),
    };
    settings.reasoning = Some(reasoning).filter(|it| *it != Reasoning::default());
    settings.verbosity = match fields.read("verbosity", HOLDS) {
        Some(verbosity) => verbosity.unwrap_or(otherwise.verbosity),
        None => None,
    };
    settings
}

/// Of `turn_context`.
#[derive(Serialize)]
pub(in crate::log) struct TurnContext<'a> {
    pub(in crate::log) turn_id: &'a str,
    #[serde(flatten)]
    pub(in crate::log) settings: SettingsPayload<'a>,
    /// The model is told these settings from here on.
    pub(in crate::log) told: bool,
}
