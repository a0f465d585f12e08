//! Changes on their way to whoever keeps them.

use super::Change;

/// Changes that are not kept yet, oldest first, without those that later ones say as well or undo. So
/// they are as many as what is to be kept needs, however long that takes.
#[derive(Debug, Default)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Adds the newest.
    ///
    /// Of sums, settings and what the session works with the newest says all. An input that is gone, or
    /// that a turn took, before anything of it was kept never waited, as far as a log is concerned; but
    /// for one with a schema, which a turn that goes on finds with it. A place that nobody asks for any
    /// more is none.
    pub fn push(&mut self, mut change: Change) {
        match &mut change {
            Change::InputGone(id) if self.forget_accepted(id) => return,
            Change::Recorded { input, .. } => {
                input.take_if(|id| self.forget_taken(id));
            }
            Change::Place(_) => {
                self.0.retain(|it| !matches!(it, Change::Place(place) if !place.is_awaited()));
            }
            _ => {
                self.forget_newest(|it| says_all(&change, it));
            }
        }
        self.0.push(change);
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All are kept.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether the input with this id had been accepted here.
    fn forget_accepted(&mut self, id: &str) -> bool {
        self.forget_newest(|it| matches!(it, Change::InputAccepted(input) if *input.id == *id))
    }

    /// The same, of one that a turn took.
    fn forget_taken(&mut self, id: &str) -> bool {
        self.forget_newest(|it| match it {
            Change::InputAccepted(input) => *input.id == *id && input.output_schema.is_none(),
            _ => false,
        })
    }

    fn forget_newest(&mut self, is_meant: impl Fn(&Change) -> bool) -> bool {
        let place = self.0.iter().rposition(is_meant);
        place.map(|place| self.0.remove(place)).is_some()
    }
}

impl Extend<Change> for Changes {
    fn extend<T: IntoIterator<Item = Change>>(&mut self, changes: T) {
        changes.into_iter().for_each(|change| self.push(change));
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Whether `newer` says all that `older` does, wherever that stands before it.
fn says_all(newer: &Change, older: &Change) -> bool {
    if let (Change::Breaker(_), Change::Breaker(older)) = (newer, older) {
        // What was seen is told once.
        return older.seen.is_empty() && !older.is_anew;
    }
    matches!(
        (newer, older),
        (Change::Used(_), Change::Used(_))
            | (Change::Settings(_), Change::Settings(_))
            | (Change::Surface(_), Change::Surface(_))
    )
}
