//! What a session is run with, and how a client changes it.

use std::path::PathBuf;

use longhaul_transport::request::{Reasoning, Verbosity};
use serde::{Deserialize, Deserializer, Serialize};

/// The settings of a session. They hold from one turn to the next until they are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The model's slug.
    pub model: String,
    /// How much the model is to reason.
    pub reasoning: Option<Reasoning>,
    /// How much the model is to say.
    pub verbosity: Option<Verbosity>,
    /// Which calls ask first.
    pub approval_policy: ApprovalPolicy,
    /// The folder that tools work in; absolute.
    pub cwd: Option<PathBuf>,
}

impl Settings {
    /// Nothing but a model.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            reasoning: None,
            verbosity: None,
            approval_policy: ApprovalPolicy::default(),
            cwd: None,
        }
    }

    /// Applies a change.
    pub fn update(&mut self, change: SettingsUpdate) {
        if let Some(model) = change.model {
            self.model = model;
        }
        if let Some(policy) = change.approval_policy {
            self.approval_policy = policy;
        }
        if let Some(cwd) = change.cwd {
            self.cwd = Some(cwd);
        }
        let mut reasoning = self.reasoning.take().unwrap_or_default();
        if let Some(effort) = change.effort {
            reasoning.effort = effort;
        }
        if let Some(summary) = change.summary {
            reasoning.summary = Some(summary);
        }
        self.reasoning = Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default());
    }
}

/// Which calls ask before they run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApprovalPolicy {
    /// None; every tool runs.
    Never,
    /// Those of tools that want it.
    #[default]
    OnRequest,
    /// All.
    Always,
}

impl ApprovalPolicy {
    /// The policy in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::OnRequest => "on_request",
            Self::Always => "always",
        }
    }
}

/// A change of settings: what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SettingsUpdate {
    /// Another model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Another effort; `Some(None)` leaves it to the model.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub effort: Option<Option<String>>,
    /// Another summary of reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Another policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<ApprovalPolicy>,
    /// Another folder; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
}

/// A field that is there, whether or not it is null.
#[expect(clippy::option_option, reason = "not given, null and a value are three things")]
pub(super) fn given<'de, D: Deserializer<'de>>(
    field: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}
