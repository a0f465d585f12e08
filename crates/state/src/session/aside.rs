//! Conversations beside that of the session: they see nothing of it and leave nothing in it, but
//! what they use is the session's.

use longhaul_history::History;

use super::SessionState;
use super::compaction::LastCompaction;
use super::told::Told;
use crate::protocol::Settings;

impl SessionState {
    /// A conversation of its own, still empty, under `settings`. It knows what the session knows of
    /// models; its use counts on from the session's.
    #[must_use]
    pub fn aside(&self, settings: Settings) -> Self {
        let mut aside = self.lock().clone();
        aside.history = History::with_config(aside.history.config().clone());
        aside.history.mark_turns();
        aside.settings = settings;
        aside.breaker.reset();
        if let Some(usage) = &mut aside.usage {
            usage.set_context_tokens(0);
        }
        aside.told = Told::default();
        aside.begun_with = (aside.usage.unwrap_or_default().total_token_usage, aside.cost);
        (aside.asked, aside.sent_items, aside.used) = (None, None, None);
        aside.last_compaction = LastCompaction::None;
        Self(std::sync::Mutex::new(aside))
    }

    /// Takes over what a conversation that was begun by [`aside`](Self::aside) has used since, and what it
    /// met with of limits and models. To be called once for each.
    pub fn absorb(&self, aside: &Self) {
        let (used, cost, rate_limits, models) = {
            let aside = aside.lock();
            let (usage, cost) = aside.begun_with;
            let used = aside.usage.map(|info| info.total_token_usage.since(&usage));
            (used, aside.cost - cost, aside.rate_limits, aside.models.clone())
        };
        self.change(|inner| {
            if let Some(used) = used {
                inner.usage.get_or_insert_default().total_token_usage.add(&used);
            }
            inner.cost += cost;
            inner.rate_limits = rate_limits.or(inner.rate_limits);
            inner.models.extend(models);
            inner.note_used();
        });
    }
}
