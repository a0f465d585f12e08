//! The preset of a coding agent: default instructions, messages that tell the model where it works,
//! [reviews](review), and snapshots of the work tree with the way back to them. Built on the public
//! seams alone.
//!
//! ```
//! use std::sync::Arc;
//! use longhaul::Agent;
//! use longhaul::coding::{CodingContext, INSTRUCTIONS, default_reasoning};
//! use longhaul_testkit::ScriptedModel;
//!
//! let agent = Agent::builder("gpt-5-codex", Arc::new(ScriptedModel::new()))
//!     .instructions(INSTRUCTIONS)
//!     .default_reasoning(default_reasoning)
//!     .context(CodingContext::new(Some("Use British spelling.".into())))
//!     .cwd(std::env::temp_dir())
//!     .build()?;
//! # Ok::<(), longhaul::BuildError>(())
//! ```

pub mod review;
mod snapshot;
mod undo;

use std::fmt::Write;

use longhaul_history::Item;
use longhaul_state::ContextMessages;
use longhaul_state::protocol::Settings;
use longhaul_transport::models::ModelInfo;
use longhaul_transport::request::Reasoning;

pub use snapshot::{GhostCommit, SnapshotError};
pub use undo::{Snapshots, Undo};

/// Instructions that say what a coding agent is to do.
pub const INSTRUCTIONS: &str = include_str!("instructions.md");

/// How much a model reasons if nobody says: its own effort, and a summary, where it reasons at all.
pub fn default_reasoning(_slug: &str, model: &ModelInfo) -> Option<Reasoning> {
    let reasons = model.reasoning == Some(true);
    reasons.then(|| Reasoning { effort: None, summary: Some("auto".into()) })
}

/// Tells the model of its folder and policy, and what its user always wants.
#[derive(Debug, Clone, Default)]
pub struct CodingContext {
    user_instructions: Option<String>,
    shell: Option<String>,
}

impl CodingContext {
    /// Context with what the user always wants, if anything. The name of the shell is taken from
    /// `$SHELL`.
    pub fn new(user_instructions: Option<String>) -> Self {
        let shell = std::env::var("SHELL").ok();
        let shell = shell.and_then(|path| Some(path.rsplit('/').next()?.to_owned()));
        Self {
            user_instructions: user_instructions.filter(|text| !text.trim().is_empty()),
            shell: shell.filter(|name| !name.is_empty()),
        }
    }
}

impl ContextMessages for CodingContext {
    fn messages(&self, told: Option<&Settings>, now: &Settings) -> Vec<Item> {
        let Some(told) = told else {
            let instructions = self.user_instructions.as_deref().map(user_instructions);
            let environment = environment(&facts(now), self.shell.as_deref());
            return instructions.into_iter().chain(environment).map(Item::user).collect();
        };
        let before = facts(told);
        let changed: Vec<_> =
            facts(now).into_iter().filter(|fact| !before.contains(fact)).collect();
        environment(&changed, None).into_iter().map(Item::user).collect()
    }
}

fn user_instructions(text: &str) -> String {
    format!("<user_instructions>\n\n{text}\n\n</user_instructions>")
}

/// What the model is told of its settings, in order.
fn facts(settings: &Settings) -> Vec<(&'static str, String)> {
    let cwd = settings.cwd.as_ref().map(|cwd| ("cwd", cwd.display().to_string()));
    let policy = ("approval_policy", settings.approval_policy.as_str().to_owned());
    cwd.into_iter().chain([policy]).collect()
}

/// The message, if there is anything to tell.
fn environment(facts: &[(&'static str, String)], shell: Option<&str>) -> Option<String> {
    if facts.is_empty() && shell.is_none() {
        return None;
    }
    let shell = shell.map(|name| ("shell", name.to_owned()));
    let mut text = String::from("<environment_context>\n");
    for (name, value) in facts.iter().cloned().chain(shell) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  <{name}>{value}</{name}>");
    }
    text.push_str("</environment_context>");
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use longhaul_state::protocol::{ApprovalPolicy, SettingsUpdate};

    use super::*;

    fn settings(cwd: &str) -> Settings {
        let mut settings = Settings::new("m");
        settings.cwd = Some(PathBuf::from(cwd));
        settings
    }

    fn context() -> CodingContext {
        CodingContext { user_instructions: Some("be nice".into()), shell: Some("zsh".into()) }
    }

    #[test]
    fn a_new_conversation_is_told_everything() {
        let messages = context().messages(None, &settings("/work"));
        let environment = "<environment_context>\n  <cwd>/work</cwd>\n  \
            <approval_policy>on_request</approval_policy>\n  <shell>zsh</shell>\n\
            </environment_context>";
        let instructions = "<user_instructions>\n\nbe nice\n\n</user_instructions>";
        assert_eq!(messages, [Item::user(instructions), Item::user(environment)]);
    }

    #[test]
    fn later_only_what_changed_is_told() {
        let told = settings("/work");
        assert_eq!(context().messages(Some(&told), &told), []);
        let mut now = told.clone();
        let mut change = SettingsUpdate::default();
        change.approval_policy = Some(ApprovalPolicy::Never);
        now.update(change);
        let diff = "<environment_context>\n  <approval_policy>never</approval_policy>\n\
            </environment_context>";
        assert_eq!(context().messages(Some(&told), &now), [Item::user(diff)]);
    }
}
