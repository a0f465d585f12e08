//! Stops compactions that lead nowhere.

mod memory;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use longhaul_history::turn_item::is_context;
use longhaul_history::{History, Item, ItemKind, Role};

use crate::strategy::is_cleared;

pub use self::memory::BreakerMemory;

/// What is remembered from one compaction to the next; of more, the newest.
const MAX_TRACES: usize = 4_096;

/// From so many on, all that is remembered is forgotten: of so long a session nobody knows a circle.
const MAX_SEEN: usize = 65_536;

/// Room that lasts for so many responses was not worth a summary.
const BRIEF_RESPONSES: u32 = 2;

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
/// the same output; or if the room that it made lasted for two responses at most, and no message of the
/// user came. After some of those in a few turns the breaker is open. So it is at once if the response right
/// after a bridge was made says that the limit is still reached: that request held nothing that another
/// compaction could take away.
///
/// A pure value: turns are counted, not timed.
#[derive(Debug, Clone)]
pub struct Breaker {
    limits: BreakerLimits,
    turn: u64,
    /// The turns of compactions without progress.
    stalls: VecDeque<u64>,
    /// What the user had said and tools had given before the last compaction, and before that; `None`
    /// before the first.
    seen: Option<Arc<HashSet<u64>>>,
    /// Responses since the last compaction.
    responses: u32,
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
            responses: 0,
            is_untested: false,
            open: None,
            is_told: false,
        }
    }

    /// The same with these limits.
    #[must_use]
    pub fn with_limits(self, limits: BreakerLimits) -> Self {
        Self { limits, ..self }
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.turn = self.turn.saturating_add(1);
        let oldest = self.turn.saturating_sub(self.limits.turns.saturating_sub(1));
        while self.stalls.front().is_some_and(|turn| *turn < oldest) {
            self.stalls.pop_front();
        }
        if self.open.is_some_and(|(last, _)| self.turn > last) {
            *self = Self { turn: self.turn, ..Self::new(self.limits) };
        }
    }

    /// An automatic compaction of `before` was installed, and left `after`.
    pub fn compacted(&mut self, before: &History, after: &History) {
        let seen = Arc::make_mut(self.seen.get_or_insert_default());
        if seen.len() > MAX_SEEN {
            seen.clear();
        }
        seen.extend(traces(before).map(|(_, trace)| trace));
        self.responses = 0;
        // What only shortened items leaves the rest to the next.
        let bridge = |history: &History| history.iter().rfind(|item| item.is_bridge()).cloned();
        self.is_untested = bridge(before) != bridge(after);
    }

    /// An automatic compaction failed.
    pub fn failed(&mut self) {
        self.stall(Stopped::Failures);
    }

    /// A response says that the conversation took `used` tokens, of which `limit` may be.
    pub fn measured(&mut self, used: Option<u64>, limit: u64) {
        self.responses = self.responses.saturating_add(1);
        let is_above = used.is_some_and(|used| used > 0 && used >= limit);
        if std::mem::take(&mut self.is_untested) && is_above {
            self.open(Stopped::Circle);
        }
    }

    /// The conversation is to be compacted: whether it may be. If nothing new came of the work since
    /// the last compaction, that counts.
    pub fn allows(&mut self, history: &History) -> bool {
        let is_brief = self.responses <= BRIEF_RESPONSES;
        let stalls = |seen: &HashSet<u64>| match news(history, seen) {
            News::None => true,
            News::Results => is_brief,
            News::Message => false,
        };
        if !self.is_open() && self.seen.as_deref().is_some_and(stalls) {
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
        let last = self.turn.saturating_add(self.limits.turns.saturating_sub(1));
        self.open.get_or_insert((last, why));
    }
}

/// What came that was not there before.
enum News {
    None,
    /// Of tools.
    Results,
    /// Of the user.
    Message,
}

/// What the conversation holds since its last bridge that was not there before.
fn news(history: &History, seen: &HashSet<u64>) -> News {
    let new = traces(history).filter(|(_, trace)| !seen.contains(trace));
    new.fold(News::None, |news, (is_message, _)| match news {
        News::Message => News::Message,
        _ if is_message => News::Message,
        _ => News::Results,
    })
}

/// What was said by the user and given by tools since the last bridge, each as a hash: the same for
/// the same message (not for one that says the same again), and for the same call with the same output,
/// whatever their ids. Of outputs that were cleared nothing is known. `true` with those of the user.
fn traces(history: &History) -> impl Iterator<Item = (bool, u64)> {
    let since = history.iter().rev().take_while(|item| !item.is_bridge());
    let mut outputs: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    let traces = since.filter_map(move |item| match (item.kind(), item.call_id()) {
        (ItemKind::Message(Role::User), _) if !is_context(item) => {
            Some((true, hash_of(item.json())))
        }
        (kind, Some(call_id)) if kind.is_output() => {
            outputs.entry(call_id).or_default().push(item);
            None
        }
        (_, Some(call_id)) => {
            let output = outputs.get_mut(call_id)?.pop()?;
            // The views have everything but the ids.
            let views = || format!("{:?}{:?}", item.view(), output.view());
            (!is_cleared(output)).then(|| (false, hash_of(&views())))
        }
        _ => None,
    });
    traces.take(MAX_TRACES)
}

/// FNV-1a: the same in every process, as logs hold it.
fn hash_of(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
