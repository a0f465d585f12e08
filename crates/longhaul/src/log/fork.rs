//! Sessions out of the logs of others of ours.

use longhaul_rollout::{ForkedFrom, LogRef, OnDamage, RecentMessages, Replay, ReplayConfig, Store};
use longhaul_state::Snapshot;
use longhaul_state::protocol::Settings;

use super::Imported;
use super::import::foreign;
use super::payload::read_known;
use super::restore::{own_settings, refused, snapshot};
use crate::BuildError;

/// Where in a session a fork of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ForkPoint {
    /// Before the message of the user with this number, counted from 0, in the conversation as it is
    /// now. Context messages, bridges and notes do not count.
    BeforeUserMessage(usize),
    /// Behind the record of the session's log with this ordinal: with the conversation as the log says
    /// it there, also of what was compacted, edited or undone since. In the middle of a turn, calls
    /// that have no output there are answered, `aborted`, in the fork's next request.
    ///
    /// [`Session::log_position`](crate::Session::log_position) says ordinals. Of a log of another
    /// program it is the number of the record, from 0.
    Behind(u64),
    /// With all of the conversation.
    #[default]
    End,
}

/// Before that message of the user.
impl From<usize> for ForkPoint {
    fn from(n: usize) -> Self {
        Self::BeforeUserMessage(n)
    }
}

/// What a session takes over of a log.
pub(crate) struct Forked {
    pub(crate) snapshot: Snapshot,
    pub(crate) from: Option<ForkedFrom>,
    /// What became of the log, if another program wrote it.
    pub(crate) imported: Option<Imported>,
    pub(crate) recent: RecentMessages,
}

/// Reads what stands in a log before that place. `settings` are those of one whose log knows none.
pub(crate) async fn fork(
    store: &dyn Store,
    which: &LogRef,
    at: ForkPoint,
    settings: &Settings,
) -> Result<Forked, BuildError> {
    let mut config = ReplayConfig::from(OnDamage::Refuse);
    if let ForkPoint::Behind(ordinal) = at {
        config.through = Some(ordinal);
    }
    let mut replay = store.read(which, config).await.map_err(refused)?;
    let from = replay.meta.as_ref().map(|meta| ForkedFrom {
        id: meta.id.clone(),
        path: path_of(which),
        ordinal: replay.next_ordinal.checked_sub(1),
    });
    if replay.is_foreign {
        cut(&mut replay, at)?;
        let recent = std::mem::take(&mut replay.recent);
        let (mut snapshot, imported) = foreign(replay, which, settings);
        (snapshot.known.usage, snapshot.known.cost) = (None, 0.0);
        return Ok(Forked { snapshot, from, imported: Some(imported), recent });
    }
    let mut unread = Vec::new();
    // What is known of models is known to a fork, too; what was used is not its own.
    let count = replay.token_count.take();
    let learned = count.map(|json| read_known(json.get(), &mut unread));
    let mut learned = learned.unwrap_or_default();
    (learned.usage, learned.cost) = (None, 0.0);
    cut(&mut replay, at)?;
    replay.disown();
    let recent = std::mem::take(&mut replay.recent);
    let own = own_settings(&replay, settings, &mut unread);
    let own = own.unwrap_or_else(|| settings.clone());
    let mut snapshot = snapshot(replay, own, &mut unread);
    for it in unread {
        tracing::warn!("a log was forked of which a part cannot be read: {it}");
    }
    snapshot.known = learned;
    Ok(Forked { snapshot, from, imported: None, recent })
}

fn cut(replay: &mut Replay, at: ForkPoint) -> Result<(), BuildError> {
    match at {
        ForkPoint::BeforeUserMessage(n) => Ok(replay.cut_before_user_message(n)?),
        ForkPoint::Behind(_) | ForkPoint::End => Ok(()),
    }
}

/// Where a log is, for whoever reads that it comes from there.
pub(super) fn path_of(which: &LogRef) -> Option<String> {
    match which {
        LogRef::Path(path) => Some(path.to_string_lossy().into_owned()),
        _ => None,
    }
}
