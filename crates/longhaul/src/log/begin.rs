//! The first records of a log: which session it is, and what it begins with.

use std::sync::Arc;

use jiff::Timestamp;
use longhaul_compaction::BreakerMemory;
use longhaul_rollout::{
    LogWriter, RecentMessages, Record, RecordKind, SessionMeta, Store, StoreError,
};
use longhaul_state::protocol::TurnEnd;
use longhaul_state::{Change, SessionState, Snapshot, TurnStarts};
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::payload::{Edited, SettingsPayload, TurnContext, Turns};
use super::records::Writer;
use super::restore::refused;
use crate::BuildError;

/// Who a session is that begins now.
pub(crate) fn meta(id: &str, state: &SessionState) -> SessionMeta {
    let mut meta = SessionMeta::new(id, Timestamp::now());
    meta.cwd = state.settings().cwd.map(|cwd| cwd.to_string_lossy().into_owned());
    meta
}

/// Begins the log of a session that is like `state`, and shows what was said before.
pub(crate) async fn begin(
    store: &dyn Store,
    meta: &SessionMeta,
    state: &SessionState,
    recent: &RecentMessages,
) -> Result<Box<dyn LogWriter>, BuildError> {
    let records = records_of(meta, &state.snapshot(), recent);
    let records = records.map_err(|error| BuildError::Store(error.to_string()))?;
    store.create(records).await.map_err(|error| match error {
        // Somebody else has taken it over since that was checked.
        StoreError::Exists { path: log } | StoreError::Locked { path: log, .. }
            if meta.imported_from.is_some() =>
        {
            BuildError::AlreadyImported { log }
        }
        error => refused(error),
    })
}

fn records_of(
    meta: &SessionMeta,
    snapshot: &Snapshot,
    recent: &RecentMessages,
) -> Result<Vec<Record>, serde_json::Error> {
    let now = meta.timestamp.unwrap_or_else(Timestamp::now);
    let mut first = First { now, writer: Writer::default(), records: Vec::new() };
    first.add(RecordKind::SessionMeta, meta)?;
    first.add_conversation(snapshot, recent)?;
    first.change(&Change::Settings(snapshot.settings.clone()))?;
    first.change(&Change::Used(Box::new(snapshot.known.clone())))?;
    if snapshot.breaker != BreakerMemory::default() {
        first.change(&Change::Breaker(snapshot.breaker.clone()))?;
    }
    if let Some(surface) = &snapshot.surface {
        first.change(&Change::Surface(surface.clone()))?;
    }
    snapshot.grants.iter().try_for_each(|digest| first.change(&Change::Granted(*digest)))?;
    Ok(first.records)
}

/// Records that are being made.
struct First {
    now: Timestamp,
    writer: Writer,
    records: Vec<Record>,
}

impl First {
    /// The items, between them what was said last and is none of them any more, and as turns where turns
    /// begin or the model was told of settings.
    fn add_conversation(
        &mut self,
        snapshot: &Snapshot,
        recent: &RecentMessages,
    ) -> Result<(), serde_json::Error> {
        if recent.is_truncated {
            self.add(RecordKind::Shown, &serde_json::Map::new())?;
        }
        let gone = recent.gone();
        let mut gone = gone.into_iter().peekable();
        let nobody: Arc<str> = Arc::from("");
        let mut known = &snapshot.settings;
        let mut turns = TurnStarts::default();
        let mut is_exact = true;
        for (index, (item, starts_turn)) in snapshot.items.iter().enumerate() {
            while let Some((_, message)) = gone.next_if(|(before, _)| *before <= index) {
                self.add(RecordKind::Shown, message)?;
            }
            let told = snapshot.told.iter().rfind(|(at, _)| *at == index);
            known = told.map_or(known, |(_, settings)| settings);
            if *starts_turn || told.is_some() {
                let settings = SettingsPayload::of(known);
                let context = TurnContext { turn_id: &nobody, settings, told: told.is_some() };
                self.add(RecordKind::TurnContext, &context)?;
                is_exact &= *starts_turn;
            }
            turns.items.extend(starts_turn.then_some(index));
            self.change(&Change::Recorded { item: item.clone(), at: None, input: None })?;
        }
        gone.try_for_each(|(_, message)| self.add(RecordKind::Shown, message))?;
        if !snapshot.items.is_empty() {
            let (turn_id, end) = (nobody, Ok(TurnEnd::Complete));
            self.change(&Change::TurnEnded { turn_id, end, last_message: None })?;
        }
        turns.next = snapshot.next_starts_turn;
        if is_exact && !turns.next { Ok(()) } else { self.add_turns(&turns) }
    }

    /// Says where turns begin, where the records before do not.
    fn add_turns(&mut self, turns: &TurnStarts) -> Result<(), serde_json::Error> {
        let turns = Turns::of(turns);
        let nothing = Edited { replaced: 0, parts: &[], reason: "edited", turns };
        self.add(RecordKind::Edited, &nothing)
    }

    fn change(&mut self, change: &Change) -> Result<(), serde_json::Error> {
        self.records.extend(self.writer.records(change, self.now)?);
        Ok(())
    }

    fn add(&mut self, kind: RecordKind, payload: &impl Serialize) -> Result<(), serde_json::Error> {
        self.records.push(Record::new(self.now, kind, to_raw_value(payload)?));
        Ok(())
    }
}
