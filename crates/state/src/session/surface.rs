//! What a session works with besides its settings, and what differed when it was opened again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Change, SessionState};

/// What a session works with besides its settings. Texts stand here by their SHA-256 alone: whether they
/// changed can be told, what they say cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Surface {
    /// Who serves the model; `None` if that has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The digest of the instructions; `None` if there are none.
    pub instructions: Option<String>,
    /// The digests of tools' definitions, by the tools' names.
    pub tools: BTreeMap<String, String>,
    /// The same of tools that the server runs, by their types.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosted: BTreeMap<String, String>,
}

impl SessionState {
    /// The session works with this from now on. Nothing is noted if it did already.
    pub fn set_surface(&self, surface: Surface) {
        self.change(|inner| {
            if inner.surface.as_ref() != Some(&surface) {
                inner.surface = Some(surface.clone());
                inner.note(|_| Change::Surface(surface));
            }
        });
    }

    /// Notes that the session was opened again, and what differs from how it was left.
    pub fn note_opening(&self, differences: Vec<String>) {
        self.change(|inner| inner.note(|_| Change::Opened { differences }));
    }
}
