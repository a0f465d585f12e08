//! What a user interface has to draw again.

/// What an event changed of the cells: what a user interface has to draw again. The
/// [status](super::Transcript::status) is apart from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Changes {
    /// No cell.
    #[default]
    Nothing,
    /// The cell at this index alone: it is new, and the last, or it is another now.
    Cell(usize),
    /// Cells from this index on: some are new, some are others now, some may be gone.
    From(usize),
}

impl Changes {
    /// The first index that is concerned, if any.
    pub fn first(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Cell(index) | Self::From(index) => Some(index),
        }
    }

    /// The cell at `index` has changed too.
    pub(super) fn touch(&mut self, index: usize) {
        *self = match *self {
            Self::Nothing => Self::Cell(index),
            Self::Cell(same) if same == index => Self::Cell(same),
            Self::Cell(other) | Self::From(other) => Self::From(other.min(index)),
        };
    }

    /// The cell at `index` is gone too.
    pub(super) fn remove(&mut self, index: usize) {
        *self = Self::From(self.first().map_or(index, |other| other.min(index)));
    }
}
