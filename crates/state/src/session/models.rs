//! What a session met with at models: their context windows, and how far counts of tokens are off.

use longhaul_history::tokens::Calibration;

use super::{Inner, SessionState};

/// Of this many models a session remembers what it met with; of later ones nothing. Nobody uses
/// that many: it bounds what a slug made at random for each turn could cost.
pub const MAX_REMEMBERED_MODELS: usize = 256;

/// What a session met with at a model.
#[derive(Clone, Copy, Default)]
pub(super) struct Remembered {
    /// The raw context window in tokens, as the server named it.
    pub(super) window: Option<u64>,
    /// The user was told that the window is assumed.
    pub(super) told: bool,
    /// How far counts of tokens are off for it.
    pub(super) calibration: Calibration,
}

impl SessionState {
    /// How far counts of tokens are off for `model`, as far as its server has reported its own.
    pub fn calibration(&self, model: &str) -> Calibration {
        self.lock().models.get(model).map(|it| it.calibration).unwrap_or_default()
    }

    /// The server says how large the raw context window of `model` is, in tokens. A window of 0 says
    /// nothing.
    pub fn learn_window(&self, model: &str, tokens: u64) {
        if tokens == 0 {
            return;
        }
        self.change(|inner| {
            if let Some(remembered) = inner.remember(model) {
                remembered.window = Some(tokens);
                inner.note_used();
            }
        });
    }

    /// How large the raw context window of `model` is, in tokens, if its server ever said so.
    pub fn learned_window(&self, model: &str) -> Option<u64> {
        self.lock().models.get(model)?.window
    }

    /// Whether the user is still to be told that the context window of `model` is assumed. Only the
    /// first answer is yes.
    pub fn take_window_warning(&self, model: &str) -> bool {
        let mut inner = self.lock();
        inner.remember(model).is_some_and(|it| !std::mem::replace(&mut it.told, true))
    }
}

impl Inner {
    /// What is remembered of `model`, to be changed.
    pub(super) fn remember(&mut self, model: &str) -> Option<&mut Remembered> {
        if !self.models.contains_key(model) && self.models.len() >= MAX_REMEMBERED_MODELS {
            return None;
        }
        Some(self.models.entry(model.to_owned()).or_default())
    }
}
