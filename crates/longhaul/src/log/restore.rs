//! Sessions out of their logs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use longhaul_compaction::Report;
use longhaul_rollout::{
    Damage, LogRef, LogWriter, OnDamage, Opened, ReadError, RecentMessages, Replay, Store,
    StoreError,
};
use longhaul_state::protocol::Settings;
use longhaul_state::{AcceptedInput, PastCompaction, Snapshot};
use serde_json::value::RawValue;

use super::Left;
use super::breaker;
use super::open_turn::{OpenTurn, cut_off};
use super::payload::{Input, SettingsPayload, read_known, read_settings};
use crate::BuildError;

/// What is told of a log that was salvaged, besides its lines.
const LOST: &str = "lines of the log are lost: approvals for the session's length are over, and settings may \
                    be earlier ones";

/// What was found when a session was opened again.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Resumed {
    /// Bytes at the end of the log that were never acknowledged, and are in it no more.
    pub torn_bytes: u64,
    /// The file that has them now; `None` if there are none, if the log is in no file, or if it was
    /// salvaged: then the damaged log still has them.
    pub set_aside: Option<PathBuf>,
    /// Lines that were left out; empty unless the log was salvaged, now or by an opening that wrote
    /// nothing to it.
    pub damage: Vec<Damage>,
    /// The damaged log, which stays as it is; `None` if the log was sound, or is in no file. The log that
    /// goes on for it is [`Session::log_path`](crate::Session::log_path).
    pub salvaged_from: Option<PathBuf>,
    /// The turn that was cut off, if one was: see
    /// [`Session::continue_turn`](crate::Session::continue_turn).
    pub open_turn: Option<String>,
    /// Its calls that had started and left no output, and that may not run again: the model is told that
    /// their effect is unknown.
    pub unknown_calls: Vec<String>,
    /// Inputs that were accepted and that no turn had taken, by the ids of their submissions, oldest
    /// first: the next turn takes them. [`Session::continue_turn`](crate::Session::continue_turn) begins
    /// one, if nobody says more.
    pub inputs: Vec<String>,
    /// What differs from the session as it was left, and what of its log cannot be read; nothing of it is
    /// refused.
    pub differences: Vec<String>,
}

/// A session that was opened again.
pub(crate) struct Reopened {
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    /// What it had when it was left.
    pub(crate) left: Left,
    pub(crate) writer: Box<dyn LogWriter>,
    pub(crate) resumed: Resumed,
    pub(crate) open_turn: Option<OpenTurn>,
    /// What no turn had taken.
    pub(crate) inputs: Vec<AcceptedInput>,
    pub(crate) recent: RecentMessages,
}

/// Says why a session with these settings cannot go on.
pub(crate) type Check = Box<dyn FnOnce(Settings) -> Result<(), BuildError> + Send>;

/// Opens a session again, if its settings pass `check`; else nothing was changed. `settings` are those of
/// one whose log knows none.
pub(crate) async fn open(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
    settings: &Settings,
    check: Check,
) -> Result<Reopened, BuildError> {
    let opened = open_checked(store, which, on_damage, settings.clone(), check).await?;
    let mut replay = opened.replay;
    let recent = std::mem::take(&mut replay.recent);
    let mut unread = Vec::new();
    let own = own_settings(&replay, settings, &mut unread);
    let open_turn = cut_off(&replay, own.as_ref().unwrap_or(settings), &mut unread);
    if open_turn.is_none() {
        // Of its beginning only a part may be there.
        replay.forget_turn();
    }
    let (inputs, unreadable) = waiting(&replay);
    let resumed = Resumed {
        torn_bytes: replay.torn.as_ref().map_or(0, |torn| torn.len),
        set_aside: opened.set_aside,
        damage: replay.damage.clone(),
        salvaged_from: opened.salvaged_from,
        open_turn: open_turn.as_ref().map(|turn| turn.turn_id.to_string()),
        unknown_calls: Vec::new(),
        inputs: inputs.iter().map(|input| input.submission_id.to_string()).collect(),
        differences: unreadable,
    };
    let id = opened.writer.session_id().to_owned();
    if !replay.damage.is_empty() || resumed.salvaged_from.is_some() {
        unread.push(LOST.to_owned());
    }
    let mut left = Left::of(&replay, own.clone());
    let own = own.unwrap_or_else(|| settings.clone());
    let mut snapshot = snapshot(replay, own, &mut unread);
    left.unread.extend(unread);
    snapshot.surface.clone_from(&left.surface);
    let writer = opened.writer;
    Ok(Reopened { id, snapshot, left, writer, resumed, open_turn, inputs, recent })
}

async fn open_checked(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
    settings: Settings,
    check: Check,
) -> Result<Opened, BuildError> {
    let refusal = Arc::new(OnceLock::new());
    let said = Arc::clone(&refusal);
    let accept = Box::new(move |replay: &Replay| {
        let mut unread = Vec::new();
        let own = own_settings(replay, &settings, &mut unread);
        let checked = check(own.unwrap_or(settings));
        checked.map_err(|error| said.set(because(error, &unread))).is_ok()
    });
    let opened = store.open_if(which, on_damage, accept).await.map_err(refused)?;
    let unsaid = || BuildError::Store("the store did not open it, and did not say why".into());
    opened.ok_or_else(|| refusal.get().cloned().unwrap_or_else(unsaid))
}

/// What cannot be read is why, as far as anybody knows.
fn because(error: BuildError, unread: &[String]) -> BuildError {
    match unread {
        [] => error,
        unread => BuildError::Store(format!("{}: {error}", unread.join("; "))),
    }
}

/// The inputs that no turn had taken, and a sentence for each that cannot be read.
fn waiting(replay: &Replay) -> (Vec<AcceptedInput>, Vec<String>) {
    let (mut inputs, mut unreadable) = (Vec::new(), Vec::new());
    for json in &replay.inputs {
        match serde_json::from_str::<Input<'_>>(json.get()).map(Input::into_accepted) {
            Ok(Some(input)) => inputs.push(input),
            _ => unreadable.push("an input that waited cannot be read; it is left out".to_owned()),
        }
    }
    (inputs, unreadable)
}

/// What the session log is refused for.
pub(super) fn refused(error: StoreError) -> BuildError {
    match error {
        StoreError::Foreign { path } => BuildError::Foreign { path },
        StoreError::Unreadable {
            source: ReadError::NoSuchOrdinal { asked, available }, ..
        } => BuildError::NoSuchPlace { what: "record", asked, available },
        error => BuildError::Store(error.to_string()),
    }
}

/// The settings of a session, if its log has some. `settings` are for what cannot be read of them.
pub(super) fn own_settings(
    replay: &Replay,
    settings: &Settings,
    unread: &mut Vec<String>,
) -> Option<Settings> {
    let json = replay.settings.as_ref()?.get();
    let line = replay.settings_line.map(|line| format!(" in line {line} of the log"));
    let what = format!("settings{}", line.unwrap_or_default());
    Some(read_settings(json, settings, &what, unread))
}

/// A session out of its log, with the settings that it `own`s. What cannot be read is told.
pub(super) fn snapshot(replay: Replay, own: Settings, unread: &mut Vec<String>) -> Snapshot {
    let mut snapshot = Snapshot::new(own);
    snapshot.items = replay.items.into_iter().map(|it| (it.item, it.starts_turn)).collect();
    snapshot.next_starts_turn = replay.next_starts_turn;
    snapshot.told = told(&replay.told);
    if snapshot.told.len() < replay.told.len() {
        unread.push("which settings the model was told cannot all be read; it is told anew".into());
    }
    snapshot.has_compaction = replay.has_compaction;
    let known = replay.token_count.map(|json| read_known(json.get(), unread));
    snapshot.known = known.unwrap_or_default();
    snapshot.breaker = breaker::memory(&replay.breaker, unread);
    let digest = |digest: &String| serde_json::from_value(digest.as_str().into()).ok();
    snapshot.grants = replay.grants.iter().filter_map(digest).collect();
    if snapshot.grants.len() < replay.grants.len() {
        unread.push("an approval for the session's length cannot be read; it is over".into());
    }
    snapshot
}

/// What of it can be read.
fn told(told: &[(usize, Box<RawValue>)]) -> Vec<(usize, Settings)> {
    let read = |json: &RawValue| serde_json::from_str::<SettingsPayload<'_>>(json.get()).ok();
    let told = told.iter();
    told.filter_map(|(at, json)| Some((*at, read(json)?.into_settings()))).collect()
}

/// The last compaction, if it can be taken back.
pub(super) fn compaction(replay: Replay) -> Option<PastCompaction> {
    let exchanged = replay.exchanged?;
    let report: Option<Report> =
        exchanged.report.and_then(|json| serde_json::from_str(json.get()).ok());
    let mut compaction = PastCompaction::default();
    compaction.before = exchanged.before.into_iter().map(|it| (it.item, it.starts_turn)).collect();
    compaction.after = exchanged.after;
    compaction.told_before = told(&exchanged.told_before);
    compaction.told_after = told(&exchanged.told_after);
    compaction.freed_tokens =
        report.map_or(0, |report| report.tokens_before.saturating_sub(report.tokens_after));
    Some(compaction)
}
