//! Stops compactions that lead nowhere.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use longhaul_history::turn_item::is_context;
use longhaul_history::{History, Item, ItemKind, Role};

use crate::strategy::is_cleared;

/// What is remembered from one compaction to the next; of more, the newest.
const MAX_TRACES: usize = 4_096;

/// When compactions that lead nowhere stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerLimits {
    /// So many compactions without progress stop it. Default: 2.
    pub stalled: u32,
    /// In so many turns, this one included. Once it has stopped it stays so for as many. Default: 3.
    pub turns: u64,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { stalled: 2, turns: 3 }
    }
}

/// Why a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The limit is still reached right after a compaction, or the work goes round in circles: to go
    /// on would lead nowhere.
    Circle,
    /// Compactions failed; the work itself may go on.
    Failures,
}

/// Watches over the automatic compactions of a session.
///
/// A compaction made no progress if it failed; or if everything that came of the work since is what had
/// come of it before: no new message of the user, and no result of a tool that is not the same call with
/// the same output. After some of those in a few turns the breaker is open. So it is at once if the response
/// right after a compaction says that the limit is still reached: that request held nothing that another
/// compaction could take away.
///
/// A pure value: turns are counted, not timed.
#[derive(Debug, Clone)]
pub struct Breaker {
    limits: BreakerLimits,
    turn: u64,
    /// The turns of compactions without progress.
    stalls: VecDeque<u64>,
    /// What the user had said and tools had given before the last compaction; `None` before the first.
    seen: Option<HashSet<u64>>,
    /// The response that shows whether the last compaction helped is still to come.
    is_untested: bool,
    /// Open up to this turn, and why.
    open: Option<(u64, Stopped)>,
    is_told: bool,
}

impl Breaker {
    /// A breaker that is closed.
    pub fn new(limits: BreakerLimits) -> Self {
        Self {
            limits,
            turn: 0,
            stalls: VecDeque::new(),
            seen: None,
            is_untested: false,
            open: None,
            is_told: false,
        }
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.turn += 1;
        let oldest = self.turn.saturating_sub(self.limits.turns.saturating_sub(1));
        while self.stalls.front().is_some_and(|turn| *turn < oldest) {
            self.stalls.pop_front();
        }
        if self.open.is_some_and(|(last, _)| self.turn > last) {
            *self = Self { turn: self.turn, ..Self::new(self.limits) };
        }
    }

    /// An automatic compaction of `before` was installed.
    pub fn compacted(&mut self, before: &History) {
        self.seen = Some(traces(before).collect());
        self.is_untested = true;
    }

    /// An automatic compaction failed.
    pub fn failed(&mut self) {
        self.stall(Stopped::Failures);
    }

    /// A response says that the conversation took `used` tokens, of which `limit` may be.
    pub fn measured(&mut self, used: Option<u64>, limit: u64) {
        let is_above = used.is_some_and(|used| used > 0 && used >= limit);
        if std::mem::take(&mut self.is_untested) && is_above {
            self.open(Stopped::Circle);
        }
    }

    /// The conversation is to be compacted: whether it may be. If nothing new came of the work since
    /// the last compaction, that counts.
    pub fn allows(&mut self, history: &History) -> bool {
        if !self.is_open() && self.seen.as_ref().is_some_and(|seen| !has_news(history, seen)) {
            self.stall(Stopped::Circle);
        }
        !self.is_open()
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Why it is open, if somebody is still to be told. Only the first answer says so.
    pub fn take_untold(&mut self) -> Option<Stopped> {
        let (_, why) = self.open?;
        (!std::mem::replace(&mut self.is_told, true)).then_some(why)
    }

    /// Things have changed: somebody compacted by hand, or took another model.
    pub fn reset(&mut self) {
        *self = Self { turn: self.turn, ..Self::new(self.limits) };
    }

    fn stall(&mut self, why: Stopped) {
        self.stalls.push_back(self.turn);
        if self.stalls.len() >= self.limits.stalled.max(1) as usize {
            self.open(why);
        }
    }

    fn open(&mut self, why: Stopped) {
        let last = self.turn + self.limits.turns.saturating_sub(1);
        self.open.get_or_insert((last, why));
    }
}

/// Whether the conversation holds something since its last bridge that was not there before.
fn has_news(history: &History, seen: &HashSet<u64>) -> bool {
    traces(history).any(|trace| !seen.contains(&trace))
}

/// What was said by the user and given by tools since the last bridge, each as a hash: the same for
/// the same message (not for one that says the same again), and for the same call with the same output,
/// whatever their ids. Of outputs that were cleared nothing is known.
fn traces(history: &History) -> impl Iterator<Item = u64> {
    let since = history.iter().rev().take_while(|item| !item.is_bridge());
    let mut outputs: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    let traces = since.filter_map(move |item| match (item.kind(), item.call_id()) {
        (ItemKind::Message(Role::User), _) if !is_context(item) => Some(hash_of(item.json())),
        (kind, Some(call_id)) if kind.is_output() => {
            outputs.entry(call_id).or_default().push(item);
            None
        }
        (_, Some(call_id)) => {
            let output = outputs.get_mut(call_id)?.pop()?;
            // The views have everything but the ids.
            let views = || format!("{:?}{:?}", item.view(), output.view());
            (!is_cleared(output)).then(|| hash_of(&views()))
        }
        _ => None,
    });
    traces.take(MAX_TRACES)
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
