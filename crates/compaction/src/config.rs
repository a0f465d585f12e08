//! How conversations are compacted, as data that an embedder sets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::BreakerLimits;
use crate::keep::{Keep, Tail};
use crate::strategy::{ClearOutputs, DropImages, Extract, Strategy, Summarise};

/// Whether conversations are compacted by themselves: the setting that most programs need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// They are.
    On {
        /// From how many tokens on; larger than the window: only where the window leaves no choice.
        /// `None`: what is known of the model, else 90 % of its raw window.
        limit: Option<u64>,
        /// How much of the newest part stays as it is.
        keep_tail: Tail,
    },
    /// They are not: one that outgrows its window fails. Asking for a compaction still works.
    Off,
}

impl Default for Compaction {
    fn default() -> Self {
        Self::On { limit: None, keep_tail: Tail::None }
    }
}

/// What happens where a conversation cannot be sent and no model helps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LastRung {
    /// The conversation is replaced by what can be taken from it without a model: see [`Extract`].
    #[default]
    Extract,
    /// Nothing is replaced; the turn fails with a typed error.
    Refuse,
}

/// The bounds of one compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Requests to models, over all rungs. A request that the transport repeats after a failure
    /// counts once. Default: 3.
    pub max_requests: u32,
    /// Tokens of all those requests together, by the local count. Default: 3,000,000.
    pub max_tokens: u64,
    /// From the first request to the last answer. Default: 10 minutes.
    pub max_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_requests: 3, max_tokens: 3_000_000, max_time: Duration::from_secs(600) }
    }
}

/// Everything about compaction.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Whether conversations are compacted by themselves. Default: yes.
    pub automatic: bool,
    /// What is kept.
    pub keep: Keep,
    /// What is tried, in this order. Default: [`ClearOutputs`], [`DropImages`], [`Summarise`].
    pub rungs: Vec<Arc<dyn Strategy>>,
    /// What is tried last, and only where an ordinary request cannot be sent.
    pub last_rung: LastRung,
    /// The bounds of one compaction.
    pub bounds: Bounds,
    /// When compactions that lead nowhere stop.
    pub breaker: BreakerLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            automatic: true,
            keep: Keep::default(),
            rungs: vec![
                Arc::new(ClearOutputs::default()),
                Arc::new(DropImages::default()),
                Arc::new(Summarise::default()),
            ],
            last_rung: LastRung::default(),
            bounds: Bounds::default(),
            breaker: BreakerLimits::default(),
        }
    }
}

impl Config {
    /// What is tried for a conversation, in order.
    pub(crate) fn ladder(&self, is_required: bool) -> Vec<Arc<dyn Strategy>> {
        let mut rungs = self.rungs.clone();
        if is_required && self.last_rung == LastRung::Extract {
            rungs.push(Arc::new(Extract::default()));
        }
        rungs
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rungs: Vec<_> = self.rungs.iter().map(|rung| rung.name()).collect();
        f.debug_struct("Config")
            .field("automatic", &self.automatic)
            .field("keep", &self.keep)
            .field("rungs", &rungs)
            .field("last_rung", &self.last_rung)
            .field("bounds", &self.bounds)
            .field("breaker", &self.breaker)
            .finish()
    }
}
