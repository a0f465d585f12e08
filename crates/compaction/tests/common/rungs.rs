//! Rungs that do as they are told.

use longhaul_compaction::{Ask, Budget, Progress, Replacement, Step, Strategy, View};
use longhaul_history::Part;

/// A strategy that has a summary without a model.
pub struct Says(pub String);

impl Strategy for Says {
    fn name(&self) -> &'static str {
        "says"
    }

    fn next(&self, view: &View, budget: &Budget, _: &Progress) -> Step {
        Step::Install(view.bridge(&self.0, budget).unwrap())
    }
}

/// A strategy that installs what it is told.
pub struct Installs(pub Vec<Part>);

impl Strategy for Installs {
    fn name(&self) -> &'static str {
        "installs"
    }

    fn next(&self, _: &View, _: &Budget, _: &Progress) -> Step {
        Step::Install(Replacement::from(self.0.clone()))
    }
}

/// A strategy that asks again whatever it is told.
pub struct Asks;

impl Strategy for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    fn next(&self, _: &View, _: &Budget, _: &Progress) -> Step {
        Step::Ask(Ask {
            input: vec![],
            prompt: "why?".into(),
            model: None,
            trimmed_items: 7,
            tokens: 1_000,
        })
    }
}
