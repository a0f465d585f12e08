//! What a client can ask of a session.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{ApprovalDecision, ApprovalPolicy, SettingsUpdate};

/// One operation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Op {
    /// Input: starts a turn, or steers the one that runs.
    UserInput {
        /// What the user says.
        items: Vec<InputPart>,
    },
    /// Input with settings.
    UserTurn(UserTurn),
    /// Settings alone.
    OverrideTurnContext(SettingsUpdate),
    /// Ends the running turn.
    #[serde(deserialize_with = "no_fields")]
    Interrupt,
    /// Takes an input back that no request has carried yet.
    Withdraw {
        /// The submission that brought it.
        input_id: String,
    },
    /// Answers an approval request.
    Approval {
        /// The call.
        call_id: String,
        /// The answer.
        decision: ApprovalDecision,
    },
    /// Compacts the conversation.
    #[serde(deserialize_with = "no_fields")]
    Compact,
    /// Reviews with a history of its own.
    Review {
        /// What to review.
        prompt: String,
    },
    /// Restores the newest snapshot.
    #[serde(deserialize_with = "no_fields")]
    Undo,
    /// Ends the session.
    #[serde(deserialize_with = "no_fields")]
    Shutdown,
}

/// Input with settings; all but the schema stay for later turns.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UserTurn {
    /// What the user says.
    pub items: Vec<InputPart>,
    /// A JSON schema that the final message of this turn has to follow.
    #[serde(default)]
    pub final_output_json_schema: Option<Value>,
    /// See [`SettingsUpdate::model`].
    #[serde(default)]
    pub model: Option<String>,
    /// See [`SettingsUpdate::effort`].
    #[serde(default, deserialize_with = "super::settings::given")]
    pub effort: Option<Option<String>>,
    /// See [`SettingsUpdate::summary`].
    #[serde(default)]
    pub summary: Option<String>,
    /// See [`SettingsUpdate::approval_policy`].
    #[serde(default)]
    pub approval_policy: Option<ApprovalPolicy>,
    /// See [`SettingsUpdate::cwd`].
    #[serde(default)]
    pub cwd: Option<PathBuf>,
}

impl UserTurn {
    /// The settings among the fields.
    pub fn settings(&self) -> SettingsUpdate {
        SettingsUpdate {
            model: self.model.clone(),
            effort: self.effort.clone(),
            summary: self.summary.clone(),
            approval_policy: self.approval_policy,
            cwd: self.cwd.clone(),
        }
    }
}

/// A part of what a user says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum InputPart {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    Image {
        /// An `http(s):` address or a `data:image/…;base64,` URL.
        image_url: String,
    },
    /// An image in a file, read when the input is accepted.
    LocalImage {
        /// Where it is.
        path: PathBuf,
    },
}

impl Op {
    /// The operation's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UserInput { .. } => "user_input",
            Self::UserTurn(_) => "user_turn",
            Self::OverrideTurnContext(_) => "override_turn_context",
            Self::Interrupt => "interrupt",
            Self::Withdraw { .. } => "withdraw",
            Self::Approval { .. } => "approval",
            Self::Compact => "compact",
            Self::Review { .. } => "review",
            Self::Undo => "undo",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Operations without fields refuse fields too, which serde by itself does not see to.
fn no_fields<'de, D: Deserializer<'de>>(fields: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoFields {}
    NoFields::deserialize(fields).map(|NoFields {}| ())
}
