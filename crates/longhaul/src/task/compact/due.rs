//! When a turn compacts.

use longhaul_compaction::{Cause, Situation, Stopped, due as due_in};
use longhaul_state::protocol::{Event, TurnError};
use longhaul_state::turn::Fact;

use crate::task::TaskScope;

/// Whether the conversation is to be compacted before the next request of the turn.
pub(in crate::task) fn due(scope: &TaskScope) -> Fact {
    if scope.awaits_compaction() {
        return Fact::CompactionDue(Cause::Manual);
    }
    let cause = due_in(&scope.situation()).filter(|_| scope.compaction().config.automatic);
    match cause {
        Some(cause) if scope.state().may_compact() => Fact::CompactionDue(cause),
        // Only what needs no model is tried then.
        Some(cause @ Cause::Window { is_certain: true }) => Fact::CompactionDue(cause),
        Some(Cause::Limit) => stopped(scope),
        _ => Fact::Ready,
    }
}

/// Compactions have stopped. The first time that one would be due says so, and where the work goes
/// round in circles it ends the turn; else the turn goes on as far as the window allows.
fn stopped(scope: &TaskScope) -> Fact {
    match scope.state().take_breaker_warning() {
        Some(Stopped::Circle) => return Fact::Failed(still_above_limit(scope)),
        Some(_) => scope.emit(Event::Warning(still_above_limit(scope))),
        None => {}
    }
    Fact::Ready
}

/// A turn has its answer. If compactions have stopped because they lead nowhere, it says so.
pub(in crate::task) fn tell_breaker(scope: &TaskScope) {
    if scope.state().take_breaker_warning().is_some() {
        scope.emit(Event::Warning(still_above_limit(scope)));
    }
}

fn still_above_limit(scope: &TaskScope) -> TurnError {
    TurnError::StillAboveLimit {
        tokens: scope.state().used_tokens().unwrap_or_default(),
        limit: scope.context_window().auto_compact_tokens,
    }
}

impl TaskScope {
    /// What is known before the next request.
    fn situation(&self) -> Situation {
        let window = self.context_window();
        let request = self.counted(&self.request());
        let mut situation = Situation::default();
        situation.used = self.state().used_tokens();
        situation.limit = window.auto_compact_tokens;
        situation.request = self.calibration().apply(request);
        situation.window = window.effective_tokens;
        situation.is_window_known = window.known_tokens().is_some();
        situation
    }
}
