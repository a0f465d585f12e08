//! What a turn does: the seam for tasks of other kinds.

mod beside;
mod compact;
mod regular;
mod retrying;
mod scope;

use async_trait::async_trait;
use longhaul_state::protocol::{TurnError, TurnResult};

pub use beside::Aside;
pub(crate) use compact::Compact;
pub(crate) use regular::Continue;
pub use regular::Regular;
pub use scope::{TaskScope, ToolHold};

/// What a turn does, from its recorded input to its result.
///
/// The session sees to everything around it: it begins the turn, sends its first and last event,
/// and survives a panic of the task.
#[async_trait]
pub trait SessionTask: Send + Sync {
    /// Runs the turn.
    ///
    /// # Errors
    ///
    /// What ended the turn. It is sent as an event and given to those who wait for the turn.
    ///
    /// # Cancel safety
    ///
    /// When [`TaskScope::cancelled`] completes, the task should end with
    /// [`TurnEnd::INTERRUPTED`](longhaul_state::protocol::TurnEnd::INTERRUPTED). If it has not
    /// done so 200 ms later, its future is dropped.
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError>;
}

/// An id for an item that its server gave none.
fn new_item_id() -> String {
    format!("item_{}", uuid::Uuid::now_v7().simple())
}
