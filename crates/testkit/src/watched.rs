//! Waiting for something in a value that changes.

use tokio::sync::watch;

/// Waits until `look` finds something.
pub(crate) async fn wait_for<S, T>(
    watched: &watch::Sender<S>,
    look: impl Fn(&S) -> Option<T>,
) -> T {
    let mut changes = watched.subscribe();
    loop {
        if let Some(found) = look(&changes.borrow_and_update()) {
            return found;
        }
        // The sender outlives this, so the channel cannot be closed.
        let _ = changes.changed().await;
    }
}
