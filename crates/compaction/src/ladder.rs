//! One compaction as a value: facts in, actions out.

use std::sync::Arc;
use std::time::Duration;

use longhaul_history::{History, Item, ItemKind, Part};

use crate::accept::{Accepted, accept};
use crate::{
    Answer, Ask, Budget, Compacted, Config, Error, Progress, Refused, Replacement, Report, Step,
    Strategy, Trigger, View,
};

/// One compaction: it climbs the rungs of a configuration until one has a result that passes.
///
/// Whoever drives it performs each action and tells it what came of it. It holds no clock: each fact
/// comes with the time since the compaction began. It ends: each rung asks within the bounds, and each
/// result is tried once.
pub struct Ladder {
    view: View,
    budget: Budget,
    rungs: Vec<Arc<dyn Strategy>>,
    bounds: crate::Bounds,
    has_hook: bool,
    at: usize,
    progress: Progress,
    asked: Option<Ask>,
    proposal: Option<Proposal>,
    requests: u32,
    tokens: u64,
    elapsed: Duration,
    failure: Option<Error>,
    /// What it came to.
    end: Option<Result<Compacted, Error>>,
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fact {
    /// The compaction begins.
    Started,
    /// What was asked is answered.
    Answered(Answer),
    /// The host has looked at a result.
    Judged(Verdict),
}

/// What a host says of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It may be installed.
    Accept,
    /// This is to be installed in its place. It has to pass the same test.
    Replace(Vec<Part>),
    /// It may be installed with these items behind it. They have to pass the same test.
    Amend(Vec<Item>),
    /// Nothing is to be installed, for this reason.
    Veto(String),
}

/// Something to do. Whoever drives a ladder has to know all of them.
#[derive(Debug)]
pub enum Action {
    /// Ask a model, and report its answer.
    Ask(Ask),
    /// Ask the host about a result, and report its verdict.
    Consult(Proposal),
    /// Put the result in the place of the conversation. The compaction is over.
    Install(Compacted),
    /// Leave the conversation as it is. The compaction is over.
    Fail(Error),
}

/// A result that passes, before it is installed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The conversation as it is.
    pub before: History,
    /// The conversation as it would be.
    pub after: History,
    /// What would be installed, and what it does.
    pub compacted: Compacted,
}

impl Ladder {
    /// A compaction of `view` that has not begun. `has_hook`: the host looks at results.
    pub fn new(config: &Config, view: View, budget: Budget, has_hook: bool) -> Self {
        Self {
            rungs: config.ladder(budget.is_required()),
            bounds: config.bounds,
            view,
            budget,
            has_hook,
            at: 0,
            progress: Progress::default(),
            asked: None,
            proposal: None,
            requests: 0,
            tokens: 0,
            elapsed: Duration::ZERO,
            failure: None,
            end: None,
        }
    }

    /// The same without requests to models: only what can be done locally.
    #[must_use]
    pub fn without_models(mut self) -> Self {
        self.bounds.max_requests = 0;
        self
    }

    /// The conversation that is compacted.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Takes a fact, `elapsed` after the beginning, and says what to do next.
    ///
    /// A fact that answers nothing that was asked is ignored: the last action is still to be done, and
    /// is given again. Once it is over it stays so.
    pub fn apply(&mut self, fact: Fact, elapsed: Duration) -> Action {
        if let Some(end) = self.end.clone() {
            return end.map_or_else(Action::Fail, Action::Install);
        }
        self.elapsed = elapsed;
        let action = self.take(fact);
        self.end = match &action {
            Action::Install(compacted) => Some(Ok(compacted.clone())),
            Action::Fail(error) => Some(Err(error.clone())),
            Action::Ask(_) | Action::Consult(_) => None,
        };
        action
    }

    fn take(&mut self, fact: Fact) -> Action {
        match (fact, self.asked.take(), self.proposal.take()) {
            (Fact::Answered(answer), Some(ask), _) => {
                if let (Answer::TooLong { prompt, window }, None) = (&answer, &ask.model) {
                    let (prompt, window) = (*prompt, *window);
                    self.budget.tighten(Refused { counted: ask.tokens, prompt, window });
                }
                self.progress.answers.push((ask, answer));
                self.climb()
            }
            (Fact::Judged(verdict), _, Some(proposal)) => self.judged(verdict, proposal),
            (_, Some(ask), _) => {
                self.asked = Some(ask.clone());
                Action::Ask(ask)
            }
            (_, _, Some(proposal)) => {
                self.proposal = Some(proposal.clone());
                Action::Consult(proposal)
            }
            _ => self.climb(),
        }
    }

    /// Goes on at the present rung, and up from there.
    fn climb(&mut self) -> Action {
        while let Some(rung) = self.rungs.get(self.at).cloned() {
            let step = rung.next(&self.view, &self.budget, &self.progress);
            let result = match step {
                Step::Ask(ask) => self.ask(ask),
                Step::Install(replacement) => self.propose(rung.name(), replacement, self.has_hook),
                Step::Skip => Ok(None),
                Step::Fail(error) => Err(error),
            };
            if let Some(action) = self.outcome(result) {
                return action;
            }
        }
        Action::Fail(self.failure.take().unwrap_or(Error::NothingToDo))
    }

    /// What a rung comes to. Where that is nothing to be done, the next one is due.
    fn outcome(&mut self, result: Result<Option<Action>, Error>) -> Option<Action> {
        match result {
            Ok(Some(action)) => return Some(action),
            Ok(None) => {}
            Err(error) => self.failure = Some(error),
        }
        self.step_up();
        None
    }

    fn ask(&mut self, ask: Ask) -> Result<Option<Action>, Error> {
        let tokens = self.tokens.saturating_add(ask.tokens);
        if self.requests >= self.bounds.max_requests {
            return Err(Error::Bound("requests"));
        }
        if tokens > self.bounds.max_tokens {
            return Err(Error::Bound("tokens"));
        }
        if self.elapsed >= self.bounds.max_time {
            return Err(Error::Bound("time"));
        }
        self.requests += 1;
        self.tokens = tokens;
        self.asked = Some(ask.clone());
        Ok(Some(Action::Ask(ask)))
    }

    /// A result: it is put to the test, shown to the host, and installed. `None` if it changes
    /// nothing.
    fn propose(
        &mut self,
        name: &str,
        replacement: Replacement,
        is_shown: bool,
    ) -> Result<Option<Action>, Error> {
        let accepted = accept(&self.view, &self.budget, name, replacement)?;
        if accepted.history == *self.view.history() {
            return Ok(None);
        }
        let compacted = self.compacted(name, &accepted);
        if !is_shown {
            return Ok(Some(Action::Install(compacted)));
        }
        let before = self.view.history().clone();
        let proposal = Proposal { before, after: accepted.history, compacted };
        self.proposal = Some(proposal.clone());
        Ok(Some(Action::Consult(proposal)))
    }

    fn compacted(&self, name: &str, accepted: &Accepted) -> Compacted {
        let Replacement { parts, cut_tokens } = accepted.replacement.clone();
        // Ghost snapshots stay, behind the bridge.
        let is_ghost = |item: &&Item| item.kind() == ItemKind::GhostSnapshot;
        let ghosts = accepted.replacement.new_items().filter(is_ghost).count();
        let kept = accepted.replacement.kept_items() + ghosts;
        let replaced = self.view.prefix_len();
        let report = Report {
            trigger: Trigger::from(self.budget.cause),
            strategy: name.to_owned(),
            tokens_before: self.budget.request(self.view.sent_tokens()),
            tokens_after: accepted.tokens_after,
            kept_items: kept + self.view.history().len() - replaced,
            dropped_items: replaced.saturating_sub(kept),
            trimmed_items: self.progress.answers.last().map_or(0, |(ask, _)| ask.trimmed_items),
            cut_tokens,
            requests: self.requests,
            duration: self.elapsed,
        };
        Compacted { replaced, parts, report }
    }

    /// The host has looked at a result.
    fn judged(&mut self, verdict: Verdict, proposal: Proposal) -> Action {
        let Compacted { mut parts, mut report, replaced } = proposal.compacted;
        let (name, parts) = match verdict {
            Verdict::Accept => {
                let report = Report { duration: self.elapsed, ..report };
                return Action::Install(Compacted { replaced, parts, report });
            }
            Verdict::Veto(reason) => return Action::Fail(Error::Vetoed(reason)),
            Verdict::Replace(parts) => {
                report.cut_tokens = 0;
                ("hook".to_owned(), parts)
            }
            Verdict::Amend(items) => {
                parts.extend(items.into_iter().map(Part::New));
                (report.strategy, parts)
            }
        };
        let replacement = Replacement { parts, cut_tokens: report.cut_tokens };
        let result = self.propose(&name, replacement, false);
        self.outcome(result).unwrap_or_else(|| self.climb())
    }

    /// The next rung, from its beginning.
    fn step_up(&mut self) {
        self.at += 1;
        self.progress = Progress::default();
    }
}

impl std::fmt::Debug for Ladder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ladder")
            .field("rung", &self.rungs.get(self.at).map(|rung| rung.name()))
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}
