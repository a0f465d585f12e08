//! What records of a session say, as it is written.

mod edits;
mod fields;
mod input;
mod settings;
mod turn;
mod usage;

pub(super) use self::edits::{CompactedPayload, Edited, Turns, Undone};
pub(super) use self::input::{GoneInput, Input};
pub(super) use self::settings::{SettingsPayload, TurnContext, read_settings};
pub(super) use self::turn::{Call, KnownCall, SpentPayload, TurnEnd, begins};
pub(super) use self::usage::{MoreModels, TokenCount, read_known};

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
