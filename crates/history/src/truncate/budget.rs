//! The limits together with the one who counts tokens.

use super::OutputLimits;
use super::room::{Room, shrink};

/// How a caller counts the tokens of a text.
pub(super) type CountTokens<'a> = &'a dyn Fn(&str) -> u64;

/// What an output may cost, in all that is limited.
pub(super) struct Budget<'a> {
    pub(super) room: Room,
    max_tokens: Option<u64>,
    count_tokens: CountTokens<'a>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limits: &OutputLimits, count_tokens: CountTokens<'a>) -> Self {
        Self { room: Room::new(limits), max_tokens: limits.max_tokens, count_tokens }
    }

    /// The tokens of `texts`; not counted if they are not limited.
    pub(super) fn tokens<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> u64 {
        let Some(_) = self.max_tokens else { return 0 };
        texts.into_iter().map(self.count_tokens).fold(0, u64::saturating_add)
    }

    pub(super) fn allows(&self, tokens: u64) -> bool {
        tokens <= self.max_tokens.unwrap_or(u64::MAX)
    }

    /// What `render` makes of `bytes` bytes of text within a room that leaves it few enough tokens.
    pub(super) fn fit<T>(
        &self,
        bytes: usize,
        render: impl Fn(&Room) -> T,
        tokens: impl Fn(&T) -> u64,
    ) -> T {
        let Some(max_tokens) = self.max_tokens else { return render(&self.room) };
        let room = self.room.max_bytes.min(bytes);
        shrink(room, max_tokens, |max_bytes| render(&self.room.shrunk(max_bytes)), tokens)
    }
}
