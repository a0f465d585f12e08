//! Which call each output answers, kept as items are recorded.

use crate::item::CallRole;
use crate::{CallKind, Item};

/// The calls that wait for an output, and the outputs that answer nothing.
///
/// Both lists are short: in a well-formed conversation they are empty, and while a response's
/// tools run they hold its calls.
#[derive(Clone, Default)]
pub(super) struct Pairing {
    open: Vec<OpenCall>,
    orphans: Vec<usize>,
}

#[derive(Clone)]
pub(super) struct OpenCall {
    pub(super) index: usize,
    pub(super) kind: CallKind,
    pub(super) call_id: Box<str>,
}

impl OpenCall {
    fn is_answered_by(&self, output: &Item) -> bool {
        matches!(output.call_role(), Some(CallRole::Output(kind, call_id))
            if *self.call_id == *call_id && self.kind.is_answered_by(kind))
    }
}

impl Pairing {
    /// Takes note of an item that is appended at `index`.
    pub(super) fn note(&mut self, item: &Item, index: usize) {
        match item.call_role() {
            Some(CallRole::Call(kind, call_id)) => {
                self.open.push(OpenCall { index, kind, call_id: call_id.into() });
            }
            Some(CallRole::Output(..)) if self.answer_last(item).is_none() => {
                self.orphans.push(index);
            }
            _ => {}
        }
    }

    /// Settles the first open call from index `from` on that `output` answers, else the nearest
    /// before, and says where it is. Outputs are given in the order of their calls, so that calls of
    /// one response may share an id; `from` keeps those of earlier turns out.
    pub(super) fn answer(&mut self, output: &Item, from: usize) -> Option<usize> {
        let is_meant = |call: &OpenCall| call.index >= from && call.is_answered_by(output);
        match self.open.iter().position(is_meant) {
            Some(answered) => Some(self.open.remove(answered).index),
            None => self.answer_last(output),
        }
    }

    /// Settles the nearest open call before the end that `output`, which follows it, answers.
    fn answer_last(&mut self, output: &Item) -> Option<usize> {
        let answered = self.open.iter().rposition(|call| call.is_answered_by(output))?;
        Some(self.open.remove(answered).index)
    }

    /// An item was inserted at `index`.
    pub(super) fn shift(&mut self, index: usize) {
        let open = self.open.iter_mut().map(|call| &mut call.index);
        for later in open.chain(&mut self.orphans).filter(|i| **i >= index) {
            *later += 1;
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.orphans.is_empty()
    }

    /// The calls without an output, in order.
    pub(super) fn open(&self) -> &[OpenCall] {
        &self.open
    }

    pub(super) fn is_orphan(&self, index: usize) -> bool {
        self.orphans.binary_search(&index).is_ok()
    }

    /// The first index at which something is to be repaired.
    pub(super) fn first_broken(&self) -> Option<usize> {
        let open = self.open.first().map(|call| call.index);
        open.into_iter().chain(self.orphans.first().copied()).min()
    }
}
