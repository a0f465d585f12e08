//! Where a session comes from: nowhere, a log, or another session.

use std::sync::Arc;

use longhaul_history::History;
use longhaul_rollout::{ForkedFrom, LogRef, LogWriter, OnDamage, RecentMessages, Store};
use longhaul_state::protocol::TurnError;
use longhaul_state::{AcceptedInput, Place, SessionState, Snapshot};

use super::{Inner, SessionBuilder};
use crate::BuildError;
use crate::agent::check_settings;
use crate::log::{self, ForkPoint, Imported, Keeper, Left, OpenTurn, Resumed};
use crate::tool::ToolSet;

/// The log that a session comes from.
pub(super) enum Origin {
    /// It goes on with it.
    Resumed { which: LogRef, on_damage: OnDamage },
    /// It is a new one, and takes over what this has.
    Taken(Source),
}

/// What a new session takes over.
pub(super) enum Source {
    /// It takes over what another program has logged.
    Imported { which: LogRef, on_damage: OnDamage },
    /// It takes over what stands before a place.
    Forked { which: LogRef, at: ForkPoint },
    /// It has taken over what this session had at that place.
    Parent { parent: Arc<Inner>, place: Option<Place> },
    /// It takes over what this session had when that record was written.
    Behind { parent: Arc<Inner>, ordinal: u64 },
}

/// What a session begins with.
pub(super) struct Opening {
    pub(super) id: Arc<str>,
    pub(super) state: Arc<SessionState>,
    pub(super) writer: Option<Box<dyn LogWriter>>,
    pub(super) resumed: Option<Resumed>,
    pub(super) open_turn: Option<OpenTurn>,
    pub(super) inputs: Vec<AcceptedInput>,
    /// What it had when it was left.
    pub(super) left: Option<Left>,
    pub(super) imported: Option<Imported>,
    /// What was said before.
    pub(super) recent: RecentMessages,
}

/// Where a new session comes from.
#[derive(Default)]
struct Descent {
    id: Option<String>,
    forked_from: Option<ForkedFrom>,
    imported: Option<Imported>,
    recent: Option<RecentMessages>,
}

impl SessionBuilder {
    /// What the session begins with, and who writes its log. Its settings are those of the builder from
    /// now on. Whatever is at fault is found before anything is written, and what is written last is
    /// there as a whole or not at all.
    pub(super) async fn open(&mut self, tools: &ToolSet) -> Result<Opening, BuildError> {
        let descent = match self.origin.take() {
            Some(Origin::Resumed { which, on_damage }) => {
                let (settings, check) = (&self.begin.settings, self.check(tools));
                let opened = log::open(self.store()?, &which, on_damage, settings, check).await?;
                let mut opening = self.opening(opened);
                if let Some(turn) = &mut opening.open_turn {
                    turn.update_settings(&self.changes);
                }
                self.settle(&opening.state);
                return Ok(opening);
            }
            Some(Origin::Taken(source)) => self.descend(source).await?,
            None => Descent::default(),
        };
        let state = Arc::new(self.state.take().unwrap_or_else(|| {
            SessionState::new(self.empty_history(), self.begin.settings.clone())
                .with_breaker(self.begin.compaction.config.breaker)
        }));
        self.check(tools)(state.settings())?;
        self.settle(&state);
        self.begin_with(&state, tools, None);
        let Descent { id, forked_from, imported, recent } = descent;
        let id: Arc<str> = id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()).into();
        let recent = recent.unwrap_or_else(|| RecentMessages::of(state.history().iter()));
        let mut writer = None;
        if let Some(store) = self.begin.store.as_deref() {
            let mut meta = log::meta(&id, &state);
            meta.model_provider = self.model.server().map(|provider| provider.name.clone());
            // Who forks another's log has not imported it.
            meta.imported_from = imported.as_ref().map(|imported| imported.from.clone());
            meta.imported_from.take_if(|_| forked_from.is_some());
            meta.forked_from = forked_from;
            writer = Some(log::begin(store, &meta, &state, &recent).await?);
        }
        let (resumed, open_turn, inputs, left) = (None, None, Vec::new(), None);
        Ok(Opening { id, state, writer, resumed, open_turn, inputs, left, imported, recent })
    }

    /// Whether the session can go by settings that it has, changed as they are to be.
    fn check(&self, tools: &ToolSet) -> log::Check {
        let (gatekeeping, tools) = (self.begin.gatekeeping.clone(), tools.clone());
        let changes = self.changes.clone();
        Box::new(move |mut settings| {
            for change in changes {
                settings.update(change);
            }
            check_settings(&settings, &gatekeeping, &tools)
        })
    }

    /// Takes over the settings that the session has, and changes them.
    fn settle(&mut self, state: &SessionState) {
        self.begin.settings = state.settings();
        self.changes.drain(..).for_each(|change| self.begin.settings.update(change));
    }

    fn opening(&self, opened: log::Reopened) -> Opening {
        let log::Reopened { id, snapshot, left, writer, resumed, open_turn, inputs, recent } =
            opened;
        let (state, imported) = (Arc::new(self.restore(snapshot)), None);
        let (writer, resumed, left) = (Some(writer), Some(resumed), Some(left));
        let id = id.into();
        Opening { id, state, writer, resumed, open_turn, inputs, left, imported, recent }
    }

    /// Takes over what a new session has of another.
    async fn descend(&mut self, source: Source) -> Result<Descent, BuildError> {
        let settings = &self.begin.settings;
        let forked = match source {
            Source::Imported { which, on_damage } => {
                let import = log::import(self.store()?, &which, on_damage, settings).await?;
                self.state = Some(self.restore(import.snapshot));
                let (id, imported, recent) =
                    (import.id, Some(import.imported), Some(import.recent));
                return Ok(Descent { id, imported, recent, ..Descent::default() });
            }
            Source::Forked { which, at } => log::fork(self.store()?, &which, at, settings).await?,
            Source::Behind { parent, ordinal } => {
                parent.kept().await.map_err(|error| not_kept(&error))?;
                let (store, which) =
                    parent.keeper.as_ref().map(Keeper::log).ok_or(BuildError::NoLog)?;
                log::fork(&**store, which, ForkPoint::Behind(ordinal), settings).await?
            }
            Source::Parent { parent, place } => {
                let from =
                    parent.as_parent(place.as_ref()).await.map_err(|error| not_kept(&error))?;
                return Ok(Descent { forked_from: Some(from), ..Descent::default() });
            }
        };
        self.state = Some(self.restore(forked.snapshot));
        let (forked_from, recent) = (forked.from, Some(forked.recent));
        Ok(Descent { forked_from, imported: forked.imported, recent, id: None })
    }

    fn store(&self) -> Result<&dyn Store, BuildError> {
        let missing = || BuildError::Store("the agent has no store: give it one (`store`)".into());
        self.begin.store.as_deref().ok_or_else(missing)
    }

    fn restore(&self, snapshot: Snapshot) -> SessionState {
        let state = snapshot.restore(self.empty_history());
        state.with_breaker(self.begin.compaction.config.breaker)
    }

    fn empty_history(&self) -> History {
        let mut history = History::with_config(self.begin.history.clone());
        history.set_format(self.model.wire_format());
        history
    }
}

/// What stands in the way of a fork.
fn not_kept(error: &TurnError) -> BuildError {
    BuildError::Store(error.to_string())
}
