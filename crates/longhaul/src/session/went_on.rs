//! What a turn that goes on is run with: its own settings, with today's tools and instructions.

use std::sync::{Arc, PoisonError};

use longhaul_state::protocol::{GrantScope, Settings, TurnError};
use longhaul_state::{Standing, TurnContext};

use super::{Inner, Submission};
use crate::tool::ToolSet;

impl Inner {
    /// The settings of the turn that `submission` starts or goes on with.
    pub(super) fn settings_for(&self, submission: &Submission) -> Settings {
        let open = self.open_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let of_turn = open.as_ref().filter(|_| submission.continues());
        let settings = of_turn.map(|turn| turn.settings.clone());
        drop(open);
        settings.unwrap_or_else(|| self.state.settings())
    }

    /// What the turn is run with that `submission` starts or goes on with. See
    /// [`turn_context`](Self::turn_context) for `grants`.
    pub(super) fn context_for(
        &self,
        grants: GrantScope,
        submission: &Submission,
        tools: &ToolSet,
    ) -> TurnContext {
        let settings = self.settings_for(submission);
        let context = self.turn_context(grants, settings, &submission.id, tools);
        if submission.continues() && context.settings.cwd != self.state.settings().cwd {
            // As when the folder changed: what is approved here is not approved there.
            self.state.clear_grants();
        }
        context
    }

    /// Whether the turn that was cut off can go on with today's tools.
    pub(super) fn check_open_turn(&self) -> Result<(), TurnError> {
        let open = self.open_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = open.as_ref().map(|turn| turn.settings.clone());
        drop(open);
        let Some(Settings { approval_policy, .. }) = settings else {
            return Ok(());
        };
        let checked = self.gatekeeping.check(&self.tools(), approval_policy);
        checked.map_err(|error| TurnError::InvalidInput(format!("the turn cannot go on: {error}")))
    }

    /// Whether what was cut off is there still, and nobody goes on with it: `turn_id` is that of the turn,
    /// if it is one. What begins in its place ends it as it begins, so that what runs while it is there
    /// goes on with it.
    pub(super) fn check_goes_on(
        &self,
        turn_id: Option<&Arc<str>>,
        standing: &Standing<'_, Submission>,
    ) -> Result<(), TurnError> {
        let open = self.open_turn_id();
        let is_taken = open.is_some() && standing.is_running;
        let refusal = if is_taken || standing.replacing.iter().any(|it| it.continues()) {
            "what was cut off goes on already"
        } else if open.is_some() && !standing.replacing.is_empty() {
            "another task takes the place of the turn that was cut off"
        } else if open.as_ref() != turn_id || open.is_none() && standing.kept.is_empty() {
            "no turn was cut off and no input waits, or another turn has begun"
        } else {
            return Ok(());
        };
        Err(TurnError::InvalidInput(refusal.into()))
    }
}
