//! What the model was told of its settings, and where in the conversation.

use crate::protocol::Settings;

/// The settings that the context messages of a conversation speak of, as they changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told(Vec<(usize, Settings)>);

impl Told {
    /// These settings, each from which item on.
    pub(super) fn of(entries: impl IntoIterator<Item = (usize, Settings)>) -> Self {
        let mut told = Self::default();
        for (index, settings) in entries {
            told.note(index, settings);
        }
        told
    }

    /// These settings, from the start of the conversation.
    pub(super) fn from_start(settings: Option<Settings>) -> Self {
        Self(settings.map(|settings| (0, settings)).into_iter().collect())
    }

    /// The settings that the model knows; `None` if it was told nothing.
    pub(super) fn last(&self) -> Option<&Settings> {
        Some(&self.0.last()?.1)
    }

    /// Each, and from which item on.
    pub(super) fn entries(&self) -> &[(usize, Settings)] {
        &self.0
    }

    /// From the item `index` on it knows these.
    pub(super) fn note(&mut self, index: usize, settings: Settings) {
        if self.last() != Some(&settings) {
            self.0.push((index, settings));
        }
    }

    /// Only the first `len` items are left.
    pub(super) fn cut(&mut self, len: usize) {
        self.0.retain(|(index, _)| *index < len);
    }

    /// The item at `index` is gone.
    pub(super) fn remove(&mut self, index: usize) {
        for (at, _) in &mut self.0 {
            *at -= usize::from(*at > index);
        }
    }
}
