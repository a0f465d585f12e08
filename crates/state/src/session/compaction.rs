//! Putting a compacted conversation in the place of the old one, and taking it back.

use longhaul_compaction::{Breaker, Compacted, Error, Stopped, Trigger};
use longhaul_history::{History, Item};

use super::told::Told;
use super::turns::TurnStarts;
use super::{Change, Inner, SessionState};
use crate::protocol::Settings;

/// A conversation before and after it was compacted.
#[derive(Clone)]
pub(super) struct Exchanged {
    before: History,
    after: History,
    /// The settings that the context messages of the old one speak of, and of the new one.
    told: (Told, Told),
    /// By how many tokens a request became shorter.
    freed_tokens: u64,
}

/// The last compaction of a session, for who wants the old conversation back.
#[derive(Clone, Default)]
pub(super) enum LastCompaction {
    /// There was none, or it was taken back.
    #[default]
    None,
    /// The log has it. It is not in memory: it would take the room of the old conversation for ever.
    InLog,
    Here(Exchanged),
}

impl LastCompaction {
    pub(super) fn is_any(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Takes it, if it is here.
    fn take(&mut self) -> Option<Exchanged> {
        match std::mem::take(self) {
            Self::Here(exchanged) => Some(exchanged),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// The last compaction of a session, as its log has it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PastCompaction {
    /// The conversation before it: each item, and whether a turn begins with it.
    pub before: Vec<(Item, bool)>,
    /// The conversation right after it.
    pub after: Vec<Item>,
    /// The settings that the model was told before it, each from which item on.
    pub told_before: Vec<(usize, Settings)>,
    /// The same right after it.
    pub told_after: Vec<(usize, Settings)>,
    /// By how many tokens a request became shorter.
    pub freed_tokens: u64,
}

impl PastCompaction {
    /// As the live session had it. `empty` is a conversation with its configuration.
    fn restore(self, empty: &History) -> Exchanged {
        let after = self.after.into_iter().map(|item| (item, false));
        Exchanged {
            before: recorded(empty.clone(), self.before),
            after: recorded(empty.clone(), after),
            told: (Told::of(self.told_before), Told::of(self.told_after)),
            freed_tokens: self.freed_tokens,
        }
    }
}

/// `history` with these items recorded, each with whether a turn begins with it, and nowhere else.
pub(super) fn recorded(
    mut history: History,
    items: impl IntoIterator<Item = (Item, bool)>,
) -> History {
    history.mark_turns();
    for (item, starts_turn) in items {
        if starts_turn {
            history.begin_turn();
        }
        history.record(item);
    }
    history
}

impl SessionState {
    /// Whether the conversation may be compacted by itself: whether what was compacted before led
    /// anywhere.
    pub fn may_compact(&self) -> bool {
        let history = self.history();
        self.change_breaker(|breaker| breaker.allows(&history))
    }

    /// Whether automatic compactions have stopped, because they led nowhere.
    pub fn has_stopped_compacting(&self) -> bool {
        self.lock().breaker.is_open()
    }

    /// Why automatic compactions have stopped, if they have and nobody was told yet. Only the first
    /// answer says so.
    pub fn take_breaker_warning(&self) -> Option<Stopped> {
        self.change_breaker(Breaker::take_untold)
    }

    /// Takes note of an automatic compaction that failed.
    pub fn note_failed_compaction(&self) {
        self.change_breaker(Breaker::failed);
    }

    /// Changes the breaker. Not under the lock: it may look at the whole conversation. Only the turn
    /// that runs compacts; a change of model meanwhile is seen by the next turn.
    fn change_breaker<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.lock().breaker.clone();
        let changed = change(&mut breaker);
        self.change(|inner| inner.set_breaker(breaker));
        changed
    }

    /// Puts the result of a compaction in the place of the conversation `base`, in one step. What was
    /// recorded since stays behind it. `told` are the settings that its context messages speak of, if
    /// it has such.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if the conversation no longer begins with `base`; nothing has changed then.
    pub fn install(
        &self,
        base: &History,
        compacted: &Compacted,
        told: Option<Settings>,
    ) -> Result<(), Error> {
        let (before, after) = self.change(|inner| inner.install(base, compacted, told))?;
        self.change_breaker(|breaker| match compacted.report.trigger {
            Trigger::Manual => breaker.reset(),
            _ => breaker.compacted(&before, &after),
        });
        Ok(())
    }

    /// Whether the last compaction can be taken back, and only the log has it: see
    /// [`recall_compaction`](Self::recall_compaction).
    pub fn has_compaction_in_log(&self) -> bool {
        matches!(self.lock().last_compaction, LastCompaction::InLog)
    }

    /// Gives the session its last compaction out of its log, so that it can be taken back; with `None`
    /// it can no longer be. Nothing changes if the session has compacted anew since it was opened, or
    /// was given it before.
    pub fn recall_compaction(&self, compaction: Option<PastCompaction>) {
        let empty = History::with_config(self.lock().history.config().clone());
        // Not under the lock: items are encoded and counted.
        let exchanged = compaction.map(|compaction| compaction.restore(&empty));
        let mut inner = self.lock();
        if let LastCompaction::InLog = inner.last_compaction {
            inner.last_compaction = exchanged.map_or(LastCompaction::None, LastCompaction::Here);
        }
    }

    /// Brings back the conversation as it was before the last compaction, with what was recorded since
    /// behind it, and says whether there was one in memory. Once for each.
    pub fn undo_compaction(&self) -> bool {
        self.change(|inner| {
            let Some(exchanged) = inner.last_compaction.take() else {
                return false;
            };
            let Exchanged { before, after, .. } = &exchanged;
            let was = TurnStarts::now(&inner.history);
            let is_undone = inner.history.starts_with(after)
                && inner.history.exchange_prefix(after.len(), before).is_ok();
            if is_undone {
                inner.note(|inner| {
                    let history = &inner.history;
                    let turns = TurnStarts::after_undo(history, before, &was, after.len());
                    Change::CompactionUndone { turns }
                });
                inner.go_back(exchanged);
            }
            is_undone
        })
    }
}

impl Inner {
    /// Changes the breaker, where that costs little.
    pub(super) fn change_breaker<T>(&mut self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.clone();
        let changed = change(&mut breaker);
        self.set_breaker(breaker);
        changed
    }

    fn set_breaker(&mut self, breaker: Breaker) {
        let before = std::mem::replace(&mut self.breaker, breaker);
        if let Some(memory) = self.breaker.changed_since(&before) {
            self.note(|_| Change::Breaker(memory));
        }
    }

    /// Gives the conversation as it was, and as it is.
    fn install(
        &mut self,
        base: &History,
        compacted: &Compacted,
        told: Option<Settings>,
    ) -> Result<(History, History), Error> {
        if !self.history.starts_with(base) {
            return Err(Error::Changed);
        }
        let before = self.history.clone();
        self.history.replace_prefix(compacted.replaced, compacted.parts.iter().cloned())?;
        self.note(|inner| Change::Compacted {
            compacted: compacted.clone(),
            told: told.clone(),
            turns: TurnStarts::after_edit(
                &inner.history,
                &before,
                compacted.replaced,
                &compacted.parts,
            ),
        });
        let told_before = self.told.clone();
        self.told = Told::from_start(told.or_else(|| self.told.last().cloned()));
        let report = &compacted.report;
        self.last_compaction = LastCompaction::Here(Exchanged {
            before: before.clone(),
            after: self.history.clone(),
            told: (told_before, self.told.clone()),
            freed_tokens: report.tokens_before.saturating_sub(report.tokens_after),
        });
        (self.used, self.sent_items) = (None, None);
        let usage = self.usage.get_or_insert_default();
        usage.set_context_tokens(report.tokens_after);
        self.note_used();
        Ok((before, self.history.clone()))
    }

    /// The old conversation stands again, and what is known of it.
    fn go_back(&mut self, Exchanged { told: (before, after), freed_tokens, .. }: Exchanged) {
        self.change_breaker(Breaker::reset);
        // What was told since then speaks of changes to a context that is gone: all is told anew.
        self.told = if self.told == after { before } else { Told::default() };
        (self.used, self.sent_items) = (None, None);
        let usage = self.usage.get_or_insert_default();
        usage.set_context_tokens(usage.context_tokens().saturating_add(freed_tokens));
        self.note_used();
    }
}
