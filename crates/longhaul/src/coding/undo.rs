//! Snapshots of the work tree, and going back to them.

use std::time::Duration;

use async_trait::async_trait;
use longhaul_history::{Item, ItemKind};
use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::GhostCommit;
use crate::task::{Regular, SessionTask, TaskScope};

/// An undo that was interrupted is waited for this long: less than its git may take, so that a turn is
/// not held up by one that hangs.
const WORK_TREE_LIMIT: Duration = Duration::from_secs(30);

/// The ordinary turn, with a snapshot of the git work tree that the session's folder is in: so that
/// [`Undo`] can go back to how it was before the turn.
///
/// The snapshot is taken while the model is asked; tools wait for it. It is recorded in the
/// conversation, where no model sees it, and a compaction keeps it. Where none can be taken,
/// because git is missing, there is no repository, or git fails, that is told as
/// [`Event::Background`], and the turn goes on without: also where an undo that was interrupted is
/// at work for 30 s more, or the turn's deadline comes first. A turn that is run again to repair
/// its answer has one snapshot. Files are stored as git adds them: what the repository converts or
/// filters comes back as git checks it out.
///
/// ```
/// # use std::sync::Arc;
/// # use longhaul_testkit::ScriptedModel;
/// use longhaul::Agent;
/// use longhaul::coding::Snapshots;
///
/// # let model = Arc::new(ScriptedModel::new());
/// let agent = Agent::builder("gpt-5-codex", model).task(Snapshots).cwd("/work").build()?;
/// # Ok::<(), longhaul::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshots;

#[async_trait]
impl SessionTask for Snapshots {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        if !scope.begin_snapshot() {
            return Regular.run(scope).await;
        }
        let hold = scope.hold_tools();
        let mut snapshot = std::pin::pin!(async move {
            take(scope).await;
            drop(hold);
        });
        let mut turn = std::pin::pin!(Regular.run(scope));
        let result = tokio::select! {
            biased;
            result = &mut turn => result,
            () = &mut snapshot => return turn.await,
        };
        // An answer without tools came first: the next undo is meant for this turn all the same.
        if result.as_ref().is_ok_and(|result| result.end == TurnEnd::Complete) {
            tokio::select! {
                biased;
                () = scope.cancelled() => {}
                () = &mut snapshot => {}
                () = deadline(scope) => {
                    let problem = "none was taken before the turn's deadline";
                    scope.emit(Event::Background(format!("Snapshots disabled: {problem}")));
                }
            }
        }
        result
    }
}

/// Completes when the turn has to be over.
async fn deadline(scope: &TaskScope) {
    match scope.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The work tree for oneself, if whoever has it lets it go in time.
async fn work_tree(scope: &TaskScope) -> Option<OwnedMutexGuard<()>> {
    tokio::time::timeout(WORK_TREE_LIMIT, scope.work_tree()).await.ok()
}

/// Takes a snapshot and records it, or tells why there is none.
async fn take(scope: &TaskScope) {
    // An undo that was interrupted may still be at work.
    let Some(_work_tree) = work_tree(scope).await else {
        scope.emit(Event::Background("snapshots are off: an undo is still at work".into()));
        return;
    };
    let taken = match &scope.context().settings.cwd {
        Some(cwd) => GhostCommit::take(cwd).await.map_err(|error| error.to_string()),
        None => Err("the session has no folder".into()),
    };
    match taken.and_then(|commit| item_of(&commit).map_err(|error| error.to_string())) {
        Ok(item) => scope.record([item]),
        Err(problem) => {
            scope.emit(Event::Background(format!("Snapshots disabled: {problem}")));
        }
    }
}

/// Puts the work tree back as the newest snapshot has it, and forgets that snapshot: the next undo goes
/// to the one before.
///
/// What it did is told by [`Event::UndoCompleted`], also if it failed; the turn is complete either way.
/// One that is interrupted before it has begun to restore changes nothing. One that has begun is
/// finished, whoever interrupts it; the tools of later turns wait for its end, and a shutdown waits 10 s.
#[derive(Debug, Clone, Copy, Default)]
pub struct Undo;

#[async_trait]
impl SessionTask for Undo {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        if scope.is_cancelled() {
            return Ok(TurnResult::empty(TurnEnd::INTERRUPTED));
        }
        let newest = newest(scope);
        let message = newest.as_ref().map(|(_, commit)| commit.short_id().to_owned());
        scope.emit(Event::UndoStarted { message });
        let mut completing = Completing { scope, success: false, message: INTERRUPTED.into() };
        match newest {
            None => completing.message = "there is no snapshot to go back to".into(),
            Some((item, commit)) => match restore(scope, &commit).await {
                Ok(()) => {
                    forget(scope, &item);
                    completing.success = true;
                    completing.message = format!("went back to snapshot {}", commit.short_id());
                }
                Err(Unrestored::Failed(problem)) => completing.message = problem,
                Err(Unrestored::Interrupted(told)) => {
                    completing.message = told.into();
                    return Ok(TurnResult::empty(TurnEnd::INTERRUPTED));
                }
            },
        }
        Ok(TurnResult::empty(TurnEnd::Complete))
    }
}

/// Why a restore did not end well, as far as the undo knows.
enum Unrestored {
    Interrupted(&'static str),
    Failed(String),
}

/// What is told of an undo that is cut off before git is at work.
const NOT_BEGUN: &str = "interrupted before anything was changed";

/// What is told of one that is cut off later.
const INTERRUPTED: &str =
    "interrupted while git was at work, which finishes what it has begun; undo again to be sure";

/// Tells the end of an undo when it is dropped: once, whatever ends it.
struct Completing<'a> {
    scope: &'a TaskScope,
    success: bool,
    message: String,
}

impl Drop for Completing<'_> {
    fn drop(&mut self) {
        let message = Some(std::mem::take(&mut self.message));
        self.scope.emit(Event::UndoCompleted { success: self.success, message });
    }
}

/// Restores in a task of its own: git that is killed half way leaves a lock behind. Nobody else changes
/// the work tree before its end.
async fn restore(scope: &TaskScope, commit: &GhostCommit) -> Result<(), Unrestored> {
    let failed = |problem: &str| Unrestored::Failed(problem.to_owned());
    let cwd = scope.context().settings.cwd.clone();
    let cwd = cwd.ok_or_else(|| failed("the session has no folder"))?;
    let commit = commit.clone();
    let tools = scope.hold_tools();
    let work_tree = tokio::select! {
        biased;
        () = scope.cancelled() => return Err(Unrestored::Interrupted(NOT_BEGUN)),
        work_tree = work_tree(scope) => work_tree,
    };
    let held = (tools, work_tree.ok_or_else(|| failed("another undo is still at work"))?);
    if scope.is_cancelled() {
        return Err(Unrestored::Interrupted(NOT_BEGUN));
    }
    let restoring = tokio::spawn(async move {
        let restored = commit.restore(&cwd).await;
        drop(held);
        restored
    });
    let restored = tokio::select! {
        biased;
        restored = restoring => restored,
        () = scope.cancelled() => return Err(Unrestored::Interrupted(INTERRUPTED)),
    };
    match restored {
        Ok(restored) => restored.map_err(|error| failed(&error.to_string())),
        Err(error) => Err(failed(&format!("the restore did not end: {error}"))),
    }
}

/// The newest snapshot of the conversation.
fn newest(scope: &TaskScope) -> Option<(Item, GhostCommit)> {
    let history = scope.history();
    let snapshots = history.iter().filter(|item| item.kind() == ItemKind::GhostSnapshot);
    let snapshots: Vec<&Item> = snapshots.collect();
    snapshots.into_iter().rev().find_map(|item| Some((item.clone(), commit_of(item)?)))
}

/// Takes the snapshot out of the conversation, wherever it stands by now: a compaction that was taken
/// back meanwhile has moved it.
fn forget(scope: &TaskScope, snapshot: &Item) {
    let history = scope.history();
    let places = history.iter().enumerate().filter(|(_, item)| *item == snapshot);
    if let Some((index, _)) = places.last() {
        scope.remove(index, snapshot);
    }
}

fn item_of(commit: &GhostCommit) -> Result<Item, Box<dyn std::error::Error + Send + Sync>> {
    let json = json!({"type": "ghost_snapshot", "ghost_commit": serde_json::to_value(commit)?});
    Ok(Item::from_json(&json.to_string())?)
}

/// The snapshot in an item; `None` if it is of a form that nobody knows.
fn commit_of(item: &Item) -> Option<GhostCommit> {
    let json: Value = serde_json::from_str(item.json()).ok()?;
    serde_json::from_value(json["ghost_commit"].clone()).ok()
}
