//! Sessions out of the logs of other programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longhaul_rollout::{
    Damage, FileStore, ImportedFrom, LogRef, OnDamage, Query, RecentMessages, Replay, ReplayConfig,
    Store, StoreError,
};
use longhaul_state::protocol::{ApprovalPolicy, Settings};
use longhaul_state::{Known, Snapshot};
use longhaul_transport::request::Reasoning;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fork::path_of;
use super::restore::{refused, snapshot};
use crate::BuildError;

/// What became of the log of another program when a session took it over. Instructions, tools and
/// rules of a sandbox are never taken over: those of the builder hold.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Imported {
    /// The session in it, and where it is. The log stays as it is.
    pub from: ImportedFrom,
    /// Bytes at its end that are no whole line, and were left out.
    pub torn_bytes: u64,
    /// Lines that are damaged, and were left out; empty unless the log was salvaged.
    pub damage: Vec<Damage>,
    /// The ids of calls that have no output: the next request answers them, `aborted`.
    pub unanswered_calls: Vec<String>,
    /// What else was not taken over, each as a sentence.
    pub left_out: Vec<String>,
}

/// A session that is about to be taken over.
pub(crate) struct Import {
    /// Its id, if it can keep that.
    pub(crate) id: Option<String>,
    pub(crate) snapshot: Snapshot,
    pub(crate) imported: Imported,
    pub(crate) recent: RecentMessages,
}

/// Reads the log of another program. `settings` are for what it does not say.
pub(crate) async fn import(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
    settings: &Settings,
) -> Result<Import, BuildError> {
    let (mut replay, which) = read(store, which, on_damage).await?;
    if !replay.is_foreign {
        return Err(is_ours(store, &which, replay).await);
    }
    let recent = std::mem::take(&mut replay.recent);
    let (snapshot, mut imported) = foreign(replay, &which, settings);
    let id = Some(imported.from.id.clone()).filter(|id| is_uuid(id));
    match &id {
        Some(id) => check_is_new(store, id).await?,
        None => imported.left_out.push("its id is no UUID: the session has a new one".into()),
    }
    Ok(Import { id, snapshot, imported, recent })
}

/// Of an id, ours is found first: what it was taken over from may be there still.
async fn is_ours(store: &dyn Store, which: &LogRef, replay: Replay) -> BuildError {
    let id = replay.meta.as_ref().map(|meta| meta.id.clone()).unwrap_or_default();
    match (which, replay.meta.and_then(|meta| meta.imported_from)) {
        (LogRef::Id(_), Some(_)) => already_imported(store, &id).await,
        _ => BuildError::NotForeign { path: path_of(which).unwrap_or(id) },
    }
}

/// A path that the store does not know is one of the file system.
async fn read(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
) -> Result<(Replay, LogRef), BuildError> {
    let read = match (store.read(which, on_damage.into()).await, which) {
        (Err(StoreError::NotFound { .. }), LogRef::Path(path)) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            let which = LogRef::Path(path);
            let read = FileStore::new(folder).read(&which, on_damage.into()).await;
            read.map(|replay| (replay, which))
        }
        (read, _) => read.map(|replay| (replay, which.clone())),
    };
    read.map_err(refused)
}

/// A session that has a log of ours is not taken over a second time.
async fn check_is_new(store: &dyn Store, id: &str) -> Result<(), BuildError> {
    match store.read(&LogRef::Id(id.to_owned()), first_record()).await {
        // The store's folder may be the other program's, too. One of ours would have been found first.
        Ok(replay) if replay.is_foreign => Ok(()),
        Err(StoreError::NotFound { .. }) => Ok(()),
        // Whatever is wrong with it, it has the name.
        Ok(_) | Err(StoreError::Damaged { .. } | StoreError::Unreadable { .. }) => {
            Err(already_imported(store, id).await)
        }
        Err(error) => Err(refused(error)),
    }
}

async fn already_imported(store: &dyn Store, id: &str) -> BuildError {
    let log = path_in(store, id).await.unwrap_or_else(|| id.into());
    BuildError::AlreadyImported { log: log.to_string_lossy().into_owned() }
}

/// Where the log of a session is that no other program wrote.
async fn path_in(store: &dyn Store, id: &str) -> Option<PathBuf> {
    let mut query = Query::default().limit(1000);
    loop {
        let page = store.list(&query).await.ok()?;
        for session in page.sessions.into_iter().filter(|session| session.id == id) {
            let path = session.path?;
            let read = store.read(&LogRef::Path(path.clone()), first_record()).await;
            if !read.is_ok_and(|replay| replay.is_foreign) {
                return Some(path);
            }
        }
        query = Query::default().limit(1000).after(page.next?);
    }
}

/// Enough to see whose log it is.
fn first_record() -> ReplayConfig {
    let mut first = ReplayConfig::from(OnDamage::Refuse);
    first.through = Some(0);
    first
}

fn is_uuid(id: &str) -> bool {
    longhaul_rollout::log_path(jiff::Timestamp::UNIX_EPOCH, id).is_ok()
}

/// The session in a log of another program, and what became of it.
pub(super) fn foreign(
    mut replay: Replay,
    which: &LogRef,
    settings: &Settings,
) -> (Snapshot, Imported) {
    let id = replay.meta.as_ref().map(|meta| meta.id.clone()).unwrap_or_default();
    let skipped = replay.skipped.iter().map(|(kind, count)| {
        let records = if *count == 1 { "record" } else { "records" };
        format!("{count} {records} of the type `{kind}`, which says nothing here")
    });
    let mut imported = Imported {
        from: ImportedFrom { id, path: path_of(which) },
        torn_bytes: replay.torn.map_or(0, |torn| torn.len),
        damage: std::mem::take(&mut replay.damage),
        unanswered_calls: unanswered_calls(&replay),
        left_out: skipped.collect(),
    };
    let settings_json = replay.settings.take();
    let count = replay.token_count.take();
    let mut snapshot = snapshot(replay, settings.clone(), &mut imported.left_out);
    if let Some(json) = settings_json {
        read_settings(json.get(), &mut snapshot.settings, &mut imported.left_out);
    }
    if let Some(json) = count {
        snapshot.known = read_count(json.get(), &mut imported.left_out);
    }
    (snapshot, imported)
}

/// The calls that have no output behind them.
fn unanswered_calls(replay: &Replay) -> Vec<String> {
    let mut answered = BTreeSet::new();
    let mut unanswered = Vec::new();
    for it in replay.items.iter().rev() {
        let Some(call_id) = it.item.call_id() else { continue };
        if it.item.kind().is_output() {
            answered.insert(call_id);
        } else if it.item.kind().call().is_some() && !answered.contains(call_id) {
            unanswered.push(call_id.to_owned());
        }
    }
    unanswered.reverse();
    unanswered
}

/// Takes over what the settings of a turn say, and tells what cannot be.
fn read_settings(json: &str, settings: &mut Settings, left_out: &mut Vec<String>) {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(json) else {
        left_out.push("its settings, which cannot be read".into());
        return;
    };
    let mut leave_out = |what: &str, value: &Value| {
        let value: String = value.to_string().chars().take(80).collect();
        left_out.push(format!("its {what}, which is {value}"));
    };
    let mut read = |name: &str, what: &str, take: &mut dyn FnMut(&str) -> bool| {
        let value = fields.get(name).filter(|value| !value.is_null());
        if let Some(value) = value.filter(|value| !value.as_str().is_some_and(&mut *take)) {
            leave_out(what, value);
        }
    };
    read("model", "model", &mut |model| {
        let is_name = !model.trim().is_empty();
        if is_name {
            model.clone_into(&mut settings.model);
        }
        is_name
    });
    read("cwd", "folder", &mut |cwd| {
        let is_absolute = Path::new(cwd).is_absolute();
        if is_absolute {
            settings.cwd = Some(cwd.into());
        }
        is_absolute
    });
    read("approval_policy", "approval policy", &mut |policy| {
        let policy = approval_policy(policy);
        settings.approval_policy = policy.unwrap_or(settings.approval_policy);
        policy.is_some()
    });
    read("effort", "effort", &mut |effort| {
        settings.reasoning.get_or_insert_default().effort = Some(effort.to_owned());
        true
    });
    read("summary", "kind of summary", &mut |summary| {
        let summary = Some(summary).filter(|it| *it != "none").map(str::to_owned);
        settings.reasoning.get_or_insert_default().summary = summary;
        true
    });
    settings.reasoning = settings.reasoning.take().filter(|it| *it != Reasoning::default());
}

/// In the words of the Codex client. To ask about all that is not trusted is to ask about all.
fn approval_policy(name: &str) -> Option<ApprovalPolicy> {
    match name {
        "never" => Some(ApprovalPolicy::Never),
        "on-request" => Some(ApprovalPolicy::OnRequest),
        "untrusted" => Some(ApprovalPolicy::Always),
        _ => None,
    }
}

/// Takes over what was used, and the limits of the server.
fn read_count(json: &str, left_out: &mut Vec<String>) -> Known {
    let Ok(mut count) = serde_json::from_str::<Map<String, Value>>(json) else {
        left_out.push("what it had used, which cannot be read".into());
        return Known::default();
    };
    let mut known = Known::default();
    known.usage = read_part(count.remove("info"), "what it had used", left_out);
    known.rate_limits = read_part(count.remove("rate_limits"), "limits of its server", left_out);
    known
}

fn read_part<T: DeserializeOwned>(
    value: Option<Value>,
    what: &str,
    left_out: &mut Vec<String>,
) -> Option<T> {
    let read = serde_json::from_value(value?);
    if read.is_err() {
        left_out.push(format!("{what}, which cannot be read"));
    }
    read.unwrap_or_default()
}
