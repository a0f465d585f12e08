//! The conversation, as records change it: of references, not of items.

use std::ops::Range;

use super::told::Told;
use crate::Flaw;

/// A list in which turns start, and what the model was told at which of its elements.
///
/// It follows `longhaul_history::History` change for change, so that a log gives back what the live
/// session had.
#[derive(Debug)]
pub(super) struct Conversation<T, S> {
    elements: Vec<Element<T>>,
    next_starts_turn: bool,
    pub(super) told: Told<S>,
    exchanged: Option<Exchanged<T, S>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element<T> {
    pub(super) value: T,
    pub(super) starts_turn: bool,
}

/// A piece of what takes the place of the first elements.
#[derive(Debug, Clone)]
pub(super) enum Piece<T> {
    Keep(Range<usize>),
    New(T),
}

/// What a compaction replaced, to be taken back.
#[derive(Debug)]
pub(super) struct Exchanged<T, S> {
    pub(super) before: Vec<Element<T>>,
    pub(super) after: Vec<Element<T>>,
    /// What the model was told, before it and after.
    pub(super) told: (Told<S>, Told<S>),
}

impl<T, S> Default for Conversation<T, S> {
    fn default() -> Self {
        let (elements, told) = (Vec::new(), Told::default());
        Self { elements, next_starts_turn: false, told, exchanged: None }
    }
}

impl<T: Clone, S: Clone + PartialEq> Conversation<T, S> {
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.elements.iter().map(|element| &element.value)
    }

    pub(super) fn begin_turn(&mut self) {
        self.next_starts_turn = true;
    }

    pub(super) fn append(&mut self, value: T) {
        let starts_turn = std::mem::take(&mut self.next_starts_turn);
        self.elements.push(Element { value, starts_turn });
    }

    /// What is inserted starts no turn, also where it comes last.
    pub(super) fn insert(&mut self, at: usize, value: T) -> Result<(), Flaw> {
        self.check("at", at)?;
        self.elements.insert(at, Element { value, starts_turn: false });
        Ok(())
    }

    /// Puts `pieces` in the place of the first `count` elements. Where one that starts a turn goes,
    /// the next old one that stays starts it.
    pub(super) fn edit(&mut self, count: usize, pieces: Vec<Piece<T>>) -> Result<(), Flaw> {
        self.check_pieces(count, &pieces)?;
        self.replace(count, pieces);
        Ok(())
    }

    /// As [`edit`](Self::edit), and can be taken back. The model is told `told` from the start.
    pub(super) fn compact(
        &mut self,
        count: usize,
        pieces: Vec<Piece<T>>,
        told: Option<S>,
    ) -> Result<(), Flaw> {
        self.check_pieces(count, &pieces)?;
        let before = self.elements.clone();
        self.replace(count, pieces);
        let told_before = self.told.clone();
        self.told = Told::from_start(told.or_else(|| self.told.last().cloned()));
        let told = (told_before, self.told.clone());
        self.exchanged = Some(Exchanged { before, after: self.elements.clone(), told });
        Ok(())
    }

    /// Takes the last compaction back: what stood before it takes the place of as many elements as
    /// there were after it. Whoever wrote the record has seen that those are still the same.
    pub(super) fn undo_compaction(&mut self) -> Result<(), Flaw> {
        let exchanged = self.take_exchanged().ok_or(Flaw::NothingToUndo)?;
        let Exchanged { mut before, after, told } = exchanged;
        before.extend(self.elements.drain(after.len()..));
        self.elements = before;
        // What was told since then speaks of changes to a context that is gone.
        self.told = if self.told == told.1 { told.0 } else { Told::default() };
        Ok(())
    }

    /// The last compaction, if it was not taken back and there are as many elements as it left.
    pub(super) fn take_exchanged(&mut self) -> Option<Exchanged<T, S>> {
        let len = self.len();
        self.exchanged.take_if(|it| it.after.len() <= len)
    }

    /// Turns start at these elements, as far as they are there, and nowhere else.
    pub(super) fn set_turns(&mut self, starts: &[usize], next: bool) {
        self.elements.iter_mut().for_each(|element| element.starts_turn = false);
        for start in starts {
            if let Some(element) = self.elements.get_mut(*start) {
                element.starts_turn = true;
            }
        }
        self.next_starts_turn = next;
    }

    /// Elements that were lost go, and their places with them. No compaction before can be taken
    /// back.
    pub(super) fn forget(&mut self, is_lost: impl Fn(&T) -> bool) {
        let lost = self.elements.iter().enumerate().filter(|(_, it)| is_lost(&it.value));
        let lost: Vec<usize> = lost.map(|(index, _)| index).collect();
        for index in lost.into_iter().rev() {
            let starts_turn = self.elements.remove(index).starts_turn;
            match self.elements.get_mut(index) {
                Some(next) => next.starts_turn |= starts_turn,
                None => self.next_starts_turn |= starts_turn,
            }
            self.told.remove(index);
        }
        self.exchanged = None;
    }

    /// Everything is replaced by these.
    pub(super) fn reset(&mut self, values: impl IntoIterator<Item = T>) {
        let elements = values.into_iter().map(|value| Element { value, starts_turn: false });
        *self = Self { elements: elements.collect(), ..Self::default() };
    }

    /// The elements, and whether the next one starts a turn.
    pub(super) fn finish(self) -> (Vec<Element<T>>, bool, Told<S>) {
        (self.elements, self.next_starts_turn, self.told)
    }

    fn replace(&mut self, count: usize, pieces: Vec<Piece<T>>) {
        let mut old = std::mem::take(&mut self.elements).into_iter();
        // A turn has lost its start.
        let mut is_lost = false;
        let mut at = 0;
        for piece in pieces {
            match piece {
                Piece::Keep(range) => {
                    is_lost |= any_starts_turn(old.by_ref().take(range.start - at));
                    at = range.end;
                    self.keep(old.by_ref().take(range.len()), &mut is_lost);
                }
                Piece::New(value) => self.elements.push(Element { value, starts_turn: false }),
            }
        }
        is_lost |= any_starts_turn(old.by_ref().take(count - at));
        self.keep(old, &mut is_lost);
        self.next_starts_turn |= is_lost;
    }

    fn keep(&mut self, kept: impl Iterator<Item = Element<T>>, is_lost: &mut bool) {
        self.elements.extend(kept.map(|element| {
            let starts_turn = element.starts_turn | std::mem::take(is_lost);
            Element { starts_turn, ..element }
        }));
    }

    fn check(&self, what: &'static str, asked: usize) -> Result<(), Flaw> {
        let available = self.len();
        if asked <= available { Ok(()) } else { Err(Flaw::Place { what, asked, available }) }
    }

    fn check_pieces(&self, count: usize, pieces: &[Piece<T>]) -> Result<(), Flaw> {
        self.check("replaced", count)?;
        let mut at = 0;
        for piece in pieces {
            if let Piece::Keep(Range { start, end }) = *piece {
                let asked = if start < at || end < start { Some(start) } else { None };
                if let Some(asked) = asked.or((count < end).then_some(end)) {
                    return Err(Flaw::Place { what: "keep", asked, available: count });
                }
                at = end;
            }
        }
        Ok(())
    }
}

/// Takes all elements, and says whether one starts a turn.
fn any_starts_turn<T>(gone: impl Iterator<Item = Element<T>>) -> bool {
    gone.fold(false, |any, element| any | element.starts_turn)
}
