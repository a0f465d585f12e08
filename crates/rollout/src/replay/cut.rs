//! What a fork takes over.

use longhaul_history::{EditError, turn_item};

use super::{RecentMessages, Replay, ReplayItem};

impl Replay {
    /// How many messages of the user the conversation has. Contexts, bridges and notes are none.
    pub fn user_message_count(&self) -> usize {
        self.items.iter().filter(|it| it.is_user_message()).count()
    }

    /// Keeps what stands before the `n`-th message of the user, counted from 0, and nothing that
    /// only the session itself has: approvals, inputs that wait, an open turn, what was used, a compaction
    /// to take back.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there is no such message; nothing has changed then.
    pub fn cut_before_user_message(&mut self, n: usize) -> Result<(), EditError> {
        let messages = self.items.iter().enumerate().filter(|(_, it)| it.is_user_message());
        let Some((len, _)) = { messages }.nth(n) else {
            let available = self.user_message_count();
            return Err(EditError::OutOfRange { what: "user message", asked: n, available });
        };
        let from = self.items.iter().enumerate().skip(len).filter(|(_, it)| it.is_user_message());
        let users: Vec<usize> = from.map(|(index, _)| index).collect();
        self.items.truncate(len);
        if !self.recent.cut(&users) {
            self.recent = RecentMessages::of(self.items.iter().map(|it| &it.item));
        }
        self.told.retain(|(index, _)| *index < len);
        self.turn = None;
        self.disown();
        Ok(())
    }

    /// Forgets the open turn. Also what the model was told at its beginning, if nothing but such messages
    /// follows: they may not all be there.
    pub fn forget_turn(&mut self) {
        if let Some(told_at) = self.turn.take().and_then(|turn| turn.told_at)
            && self.items.iter().skip(told_at).all(|it| turn_item::is_context(&it.item))
        {
            self.told.pop_if(|(index, _)| *index == told_at);
        }
    }

    /// Forgets what a fork does not take over: approvals, inputs that wait, an open turn, what was
    /// used, a compaction to take back, and that compactions led nowhere.
    pub fn disown(&mut self) {
        self.forget_turn();
        (self.grants, self.inputs) = (Vec::new(), Vec::new());
        (self.token_count, self.breaker) = (None, Vec::new());
        (self.has_compaction, self.exchanged) = (false, None);
    }
}

impl ReplayItem {
    fn is_user_message(&self) -> bool {
        turn_item::is_user_message(&self.item)
    }
}
