//! Where turns begin, after a conversation was edited.

use std::iter::Peekable;
use std::ops::Range;

use longhaul_history::{History, Part};

/// Where the turns of a conversation begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnStarts {
    /// The indexes of their first items.
    pub items: Vec<usize>,
    /// The next item begins another.
    pub next: bool,
    /// That follows from the edit: where an item that begins a turn goes, the next old one that stays
    /// begins it, or if none does, the next item. Then it need not be told beside the edit.
    pub follows: bool,
}

impl TurnStarts {
    fn of(history: &History) -> Self {
        let items = history.turn_starts(0).collect();
        Self { items, next: history.awaits_turn(), follows: false }
    }

    /// Those of `history`, which was `before` until parts took the place of its first `count` items.
    pub(super) fn after_edit(
        history: &History,
        before: &History,
        count: usize,
        parts: &[Part],
    ) -> Self {
        let mut moved = Moved::of(before);
        let mut at = 0;
        for part in parts {
            match part {
                Part::Keep(kept) => {
                    moved.drop_to(kept.start);
                    moved.keep(kept.clone());
                    at = kept.end;
                }
                Part::New(_) => moved.len += 1,
            }
        }
        moved.drop_to(count.max(at));
        moved.keep(count..before.len());
        let next = before.awaits_turn() || moved.is_lost;
        Self::of(history).if_not(&moved.items, next)
    }

    /// Those of `history`, whose first `after` items `before` has taken the place of.
    pub(super) fn after_undo(
        history: &History,
        before: &History,
        was: &Self,
        after: usize,
    ) -> Self {
        let behind = was.items.iter().filter(|at| **at >= after);
        let behind = behind.map(|at| at - after + before.len());
        let items: Vec<usize> = before.turn_starts(0).chain(behind).collect();
        Self::of(history).if_not(&items, was.next)
    }

    /// The same as of a conversation as it is.
    pub(super) fn now(history: &History) -> Self {
        Self::of(history)
    }

    fn if_not(self, items: &[usize], next: bool) -> Self {
        let follows = self.items == items && self.next == next;
        Self { follows, ..self }
    }
}

/// Where turns begin in what is left of a conversation.
struct Moved<I: Iterator<Item = usize>> {
    starts: Peekable<I>,
    items: Vec<usize>,
    len: usize,
    /// A turn has lost its first item.
    is_lost: bool,
}

impl Moved<std::vec::IntoIter<usize>> {
    fn of(before: &History) -> Self {
        let starts: Vec<usize> = before.turn_starts(0).collect();
        Self { starts: starts.into_iter().peekable(), items: Vec::new(), len: 0, is_lost: false }
    }
}

impl<I: Iterator<Item = usize>> Moved<I> {
    fn drop_to(&mut self, end: usize) {
        while self.starts.next_if(|start| *start < end).is_some() {
            self.is_lost = true;
        }
    }

    fn keep(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_lost) && self.starts.peek() != Some(&range.start) {
            self.items.push(self.len);
        }
        while let Some(start) = self.starts.next_if(|start| *start < range.end) {
            self.items.push(self.len + start - range.start);
        }
        self.len += range.len();
    }
}
