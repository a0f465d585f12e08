//! What records say of settings.

use std::borrow::Cow;
use std::path::Path;

use longhaul_state::protocol::{ApprovalPolicy, Settings};
use longhaul_transport::request::{Reasoning, Verbosity};
use serde::{Deserialize, Serialize};

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

/// Of `turn_context`.
#[derive(Serialize)]
pub(in crate::log) struct TurnContext<'a> {
    pub(in crate::log) turn_id: &'a str,
    #[serde(flatten)]
    pub(in crate::log) settings: SettingsPayload<'a>,
    /// The model is told these settings from here on.
    pub(in crate::log) told: bool,
}
