//! A session as a log that other programs read.

use std::collections::BTreeMap;

use longhaul_rollout::{ReadError, Replay, ReplayItem, SessionMeta};
use longhaul_state::Snapshot;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::payload::{SettingsPayload, TokenCount};

/// The lines of a session in the plain format.
pub(crate) fn export(meta: SessionMeta, snapshot: Snapshot) -> Result<Vec<u8>, ReadError> {
    let now = jiff::Timestamp::now();
    let mut replay = Replay::default();
    let settings = |settings| raw(&SettingsPayload::of(settings));
    replay.meta = Some(meta);
    replay.settings = Some(settings(&snapshot.settings)?);
    for (index, told) in &snapshot.told {
        replay.told.push((*index, settings(told)?));
    }
    replay.token_count = Some(raw(&TokenCount::of(&snapshot.known, &BTreeMap::new()))?);
    let items = snapshot.items.into_iter();
    replay.items = items.map(|(item, starts_turn)| ReplayItem { item, starts_turn }).collect();
    replay.export(now)
}

fn raw(payload: &impl Serialize) -> Result<Box<RawValue>, ReadError> {
    Ok(to_raw_value(payload).map_err(std::io::Error::from)?)
}
