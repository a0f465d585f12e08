//! The host's say in a compaction.

use std::sync::Arc;

use async_trait::async_trait;
use longhaul_compaction::{Config, Proposal, Verdict};

/// Looks at the result of a compaction before it is installed, and may replace, amend or veto it.
///
/// Its own result has to pass the same test as every other: it must fit the window, be no larger than
/// what it replaces, and hold what must be kept.
#[async_trait]
pub trait CompactionHook: Send + Sync {
    /// What is to become of `proposal`. The turn waits; when the compaction's time is over, its future
    /// is dropped and the conversation stays as it is.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped too when the turn is interrupted: nothing is installed then.
    async fn judge(&self, proposal: &Proposal) -> Verdict;
}

/// How sessions compact.
#[derive(Clone, Default)]
pub(crate) struct CompactionSetup {
    pub(crate) config: Config,
    pub(crate) hook: Option<Arc<dyn CompactionHook>>,
}
