//! What records say of a conversation that is put in the place of another.

use longhaul_compaction::{Compacted, Report};
use longhaul_history::Part;
use longhaul_state::TurnStarts;
use longhaul_state::protocol::Settings;
use serde::Serialize;

use super::SettingsPayload;

/// Of `compacted`.
#[derive(Serialize)]
pub(in crate::log) struct CompactedPayload<'a> {
    pub(in crate::log) replaced: usize,
    pub(in crate::log) parts: &'a [Part],
    pub(in crate::log) report: &'a Report,
    pub(in crate::log) told: Option<SettingsPayload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) turns: Option<Turns<'a>>,
}

impl<'a> CompactedPayload<'a> {
    pub(in crate::log) fn of(
        compacted: &'a Compacted,
        told: Option<&'a Settings>,
        turns: &'a TurnStarts,
    ) -> Self {
        Self {
            replaced: compacted.replaced,
            parts: &compacted.parts,
            report: &compacted.report,
            told: told.map(SettingsPayload::of),
            turns: Turns::of(turns),
        }
    }
}

/// Of `edited`.
#[derive(Serialize)]
pub(in crate::log) struct Edited<'a> {
    pub(in crate::log) replaced: usize,
    pub(in crate::log) parts: &'a [Part],
    pub(in crate::log) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) turns: Option<Turns<'a>>,
}

/// Of `compaction_undone`.
#[derive(Serialize)]
pub(in crate::log) struct Undone<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::log) turns: Option<Turns<'a>>,
}

/// Where turns begin after an edit that does not tell.
#[derive(Serialize)]
pub(in crate::log) struct Turns<'a> {
    items: &'a [usize],
    next: bool,
}

impl<'a> Turns<'a> {
    /// `None` if a reader knows them by the edit.
    pub(in crate::log) fn of(turns: &'a TurnStarts) -> Option<Self> {
        (!turns.follows).then_some(Self { items: &turns.items, next: turns.next })
    }
}
