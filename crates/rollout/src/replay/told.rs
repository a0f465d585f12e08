//! What the model was told of its settings, and where in the conversation.

/// Settings, each from which element on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told<S>(Vec<(usize, S)>);

impl<S> Default for Told<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: PartialEq> Told<S> {
    /// These settings, from the start of the conversation.
    pub(super) fn from_start(settings: Option<S>) -> Self {
        Self(settings.map(|settings| (0, settings)).into_iter().collect())
    }

    pub(super) fn last(&self) -> Option<&S> {
        Some(&self.0.last()?.1)
    }

    /// From the element `index` on the model knows these. Who knows them already is told nothing; says
    /// whether they are new.
    pub(super) fn note(&mut self, index: usize, settings: S) -> bool {
        let is_new = self.last() != Some(&settings);
        if is_new {
            self.0.push((index, settings));
        }
        is_new
    }

    /// The element at `index` is gone.
    pub(super) fn remove(&mut self, index: usize) {
        for (at, _) in &mut self.0 {
            *at -= usize::from(*at > index);
        }
    }

    pub(super) fn into_inner(self) -> Vec<(usize, S)> {
        self.0
    }
}
