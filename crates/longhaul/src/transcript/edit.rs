//! Cells are added, changed and taken away, and it is noted which.

use std::sync::Arc;

use super::fold::Fold;
use super::{Cell, CellKind};

impl Fold<'_> {
    /// The kind of a cell.
    pub(super) fn kind(&self, index: usize) -> Option<&CellKind> {
        self.transcript.cells.get(index).map(|cell| &cell.kind)
    }

    /// Whether events were missed since a cell changed.
    pub(super) fn is_unsure(&self, index: usize) -> bool {
        let cell = self.transcript.cells.get(index);
        cell.is_some_and(|cell| cell.changed <= self.transcript.gap)
    }

    /// The first open cell that is like this.
    pub(super) fn open(&self, is: impl Fn(&Cell) -> bool) -> Option<usize> {
        let mut open = self.transcript.running.open.iter().copied();
        open.find(|index| self.transcript.cells.get(*index).is_some_and(&is))
    }

    /// Adds a cell, and says where.
    pub(super) fn push(&mut self, kind: CellKind) -> usize {
        let index = self.transcript.cells.len();
        self.transcript.cells.push(Cell {
            id: self.transcript.next_id,
            changed: self.event.number,
            turn_id: Arc::clone(&self.event.turn_id),
            submission_id: Arc::clone(&self.event.submission_id),
            item_id: None,
            kind,
        });
        self.transcript.next_id += 1;
        self.changes.touch(index);
        index
    }

    /// Adds a cell that later events may change.
    pub(super) fn push_open(&mut self, kind: CellKind) -> usize {
        let index = self.push(kind);
        self.transcript.running.open.push(index);
        index
    }

    /// Changes a cell.
    pub(super) fn change(&mut self, index: usize, change: impl FnOnce(&mut Cell)) {
        if let Some(cell) = self.transcript.cells.get_mut(index) {
            change(cell);
            cell.changed = self.event.number;
            self.changes.touch(index);
        }
    }

    /// Changes a cell for the last time.
    pub(super) fn finish(&mut self, index: usize, change: impl FnOnce(&mut Cell)) {
        self.change(index, change);
        self.forget(index);
    }

    /// Marks that no more comes of a cell.
    pub(super) fn close(&mut self, index: usize) {
        let is_unsure = self.is_unsure(index);
        if self.kind(index).is_some_and(CellKind::is_open) {
            self.change(index, |cell| cell.kind.close(is_unsure));
        }
    }

    /// No event changes the cell any more.
    pub(super) fn forget(&mut self, index: usize) {
        self.transcript.running.open.retain(|open| *open != index);
    }

    /// Takes a cell away. Those behind it move up.
    pub(super) fn remove(&mut self, index: usize) {
        self.forget(index);
        self.transcript.cells.remove(index);
        let running = &mut self.transcript.running;
        let indexes = running.open.iter_mut().chain(&mut running.review).chain(&mut running.bridge);
        indexes.filter(|other| **other > index).for_each(|other| *other -= 1);
        self.changes.remove(index);
    }
}
