//! What is told of attempts that failed.

use longhaul_state::protocol::Event;
use longhaul_transport::{ModelError, Retrying};

use super::TaskScope;

/// An attempt failed and will be repeated.
pub(super) fn tell(retrying: Retrying, scope: &TaskScope) {
    record_limits(&retrying.error, scope);
    scope.emit(Event::StreamError {
        attempt: retrying.attempt,
        max_attempts: retrying.max_attempts,
        delay: retrying.delay,
        error: retrying.error.into(),
    });
}

/// Takes note of limits that came with an error.
pub(super) fn record_limits(error: &ModelError, scope: &TaskScope) {
    if let Some(limits) = error.rate_limits() {
        scope.state().record_rate_limits(*limits);
        scope.emit_token_count();
    }
}
