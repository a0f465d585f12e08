//! A session as a log that other programs read.

use std::collections::BTreeMap;

use longhaul_rollout::{ReadError, Replay, ReplayItem, SessionMeta};
use longhaul_state::Snapshot;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::payload::{SettingsPayload, TokenCount};

/// The lines of a session in the plain format. `log` is what its log says, if it has one: when the session
/// began, and when each item was recorded.
pub(crate) fn export(
    meta: SessionMeta,
    snapshot: Snapshot,
    log: Option<Replay>,
) -> Result<Vec<u8>, ReadError> {
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
    if let Some(log) = log {
        date(&mut replay, log);
    }
    replay.export(now)
}

/// Takes over the times that the log knows. What has been changed since it was read has none.
fn date(replay: &mut Replay, log: Replay) {
    if let (Some(meta), Some(of_log)) = (&mut replay.meta, log.meta) {
        meta.timestamp = of_log.timestamp.or(meta.timestamp);
    }
    let of_log = log.items.iter().zip(log.times);
    let times = replay.items.iter().zip(of_log);
    let times = times.map(|(it, (of_log, time))| time.filter(|_| it.item == of_log.item));
    replay.times = times.collect();
}

fn raw(payload: &impl Serialize) -> Result<Box<RawValue>, ReadError> {
    Ok(to_raw_value(payload).map_err(std::io::Error::from)?)
}
