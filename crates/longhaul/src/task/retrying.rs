//! What is told of attempts that failed.

use longhaul_history::usage::TokenUsage;
use longhaul_state::budget::Price;
use longhaul_state::protocol::Event;
use longhaul_transport::{ModelError, Retrying};

use super::TaskScope;

/// An attempt failed and will be repeated. Gives what it used.
pub(super) fn tell(retrying: Retrying, scope: &TaskScope, price: Price) -> TokenUsage {
    let used = note(&retrying.error, scope, price);
    scope.emit(Event::StreamError {
        attempt: retrying.attempt,
        max_attempts: retrying.max_attempts,
        delay: retrying.delay,
        error: retrying.error.into(),
    });
    used
}

/// Takes note of limits that came with an error, and of what its response used all the same; gives
/// that.
pub(super) fn note(error: &ModelError, scope: &TaskScope, price: Price) -> TokenUsage {
    if let Some(limits) = error.rate_limits() {
        scope.state().record_rate_limits(*limits);
    }
    if let Some(usage) = error.usage() {
        scope.state().record_usage(*usage, scope.context_window().known_tokens());
        scope.state().add_cost(price.cost(usage));
    }
    if error.rate_limits().is_some() || error.usage().is_some() {
        scope.emit_token_count();
    }
    error.usage().copied().unwrap_or_default()
}
