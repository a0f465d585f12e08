//! The bounds of a turn, and how its tools are handled.

use std::collections::BTreeMap;

use crate::budget::{Budget, Price};

/// What running a tool does to the world. From it follows how its calls are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// It only looks: such calls of a response run together, and a call may be run again.
    Read,
    /// It changes something, and twice is as once: such a call runs alone, and may be run again.
    Idempotent,
    /// It changes something: such a call runs alone, and never again.
    Write,
}

/// How calls of a tool are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handling {
    /// They may run beside others that may.
    pub parallel: bool,
    /// One whose end is unknown, because the process died, may be run again.
    pub may_run_again: bool,
}

impl From<Effect> for Handling {
    fn from(effect: Effect) -> Self {
        Self { parallel: effect == Effect::Read, may_run_again: effect != Effect::Write }
    }
}

/// The bounds of a turn, and what is known of its tools.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TurnLimits {
    /// Responses that the turn may ask for. Default: 200.
    pub max_model_calls: u32,
    /// How calls of each tool are handled, by its name. A tool that is missing here does not exist.
    pub tools: BTreeMap<String, Handling>,
    /// What the turn may use. Default: no bound.
    pub budget: Budget,
    /// What its model costs. Default: nothing.
    pub price: Price,
}

impl TurnLimits {
    /// These bounds, and no budget.
    pub fn new(max_model_calls: u32, tools: BTreeMap<String, Handling>) -> Self {
        Self { max_model_calls, tools, budget: Budget::default(), price: Price::default() }
    }

    /// A tool that does not exist does nothing.
    pub fn handling_of(&self, tool: &str) -> Handling {
        self.tools.get(tool).copied().unwrap_or(Effect::Read.into())
    }
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self::new(200, BTreeMap::new())
    }
}
