//! How a session starts.

use std::sync::{Arc, Mutex};

use longhaul_state::turn::TurnLimits;
use longhaul_state::{SessionServices, SessionState, TurnQueue};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::SessionBuilder;
use super::origin::Opening;
use crate::BuildError;
use crate::agent::Defaults;
use crate::events::EventLog;
use crate::log::{self, Keeper, Left};
use crate::session::{Inner, Session, Submission, runner};
use crate::tool::ToolSet;

impl SessionBuilder {
    /// Opens the session. It runs on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if it cannot work with what it was given, or with the settings that its log has. The
    /// store is as it was then: no log was begun, and of one that was to be resumed nothing was set aside or
    /// salvaged. Only where the disk fails after that, a log that was resumed may have been mended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future opens nothing. A new session has no log then, or a whole one that nobody has
    /// open and that can be resumed; an import names it ([`BuildError::AlreadyImported`]). A log that was
    /// to be resumed says what it said. What is under way may end a moment later.
    pub async fn start(mut self) -> Result<Session, BuildError> {
        let tools = self.begin.check_tools(&*self.model)?;
        let mut opening = self.open(&tools).await?;
        let (events, keeper) = self.keep(&mut opening);
        self.go_on(&mut opening, &tools);
        let inputs = std::mem::take(&mut opening.inputs);
        let inner = Arc::new(self.assemble(opening, tools, events, keeper));
        inner.queue.keep(inputs.into_iter().map(|input| Submission::restored(&inner, input)));
        tokio::spawn(runner::run(Arc::clone(&inner)));
        let session = Session::new(inner);
        // If that fails, or nobody waits for it, the session ends and its log is free.
        session.inner.kept().await.map_err(|error| BuildError::Store(error.to_string()))?;
        Ok(session)
    }

    /// Begins to keep what the session changes, if it has a log; its events wait for that then.
    fn keep(&self, opening: &mut Opening) -> (Arc<EventLog>, Option<Keeper>) {
        let state = &opening.state;
        let mut events = EventLog::new(self.begin.event_buffer);
        if opening.writer.is_some() {
            state.keep_journal();
            events = events.behind(Arc::clone(state));
        }
        let events = Arc::new(events);
        let keeper = self.begin.store.clone().zip(opening.writer.take()).map(|(store, writer)| {
            let (state, events) = (Arc::clone(state), Arc::clone(&events));
            Keeper::start(state, events, store, writer, opening.open_turn.as_ref())
        });
        (events, keeper)
    }

    /// Notes how a session that was opened again goes on, and what there is to say of it.
    fn go_on(&self, opening: &mut Opening, tools: &ToolSet) {
        let Opening { state, resumed: Some(resumed), open_turn, left, .. } = opening else {
            return;
        };
        let differences = self.begin_with(state, tools, left.as_ref());
        if let Some(turn) = &*open_turn {
            turn.mend(state);
        }
        let limits = TurnLimits::new(1, tools.handling());
        resumed.unknown_calls = open_turn.iter().flat_map(|it| it.unknown(&limits)).collect();
        resumed.differences.extend(differences);
    }

    /// Notes how the session goes on from now on. Gives what differs from how it was left.
    pub(super) fn begin_with(
        &self,
        state: &SessionState,
        tools: &ToolSet,
        left: Option<&Left>,
    ) -> Vec<String> {
        let Defaults { settings, instructions, store, .. } = &self.begin;
        // Without a log nobody would ever compare.
        let provider = self.model.server();
        let surface = store.as_ref().map(|_| log::surface(provider, instructions.as_ref(), tools));
        let mut differences = Vec::new();
        if let (Some(left), Some(surface)) = (left, &surface) {
            differences = left.differences(settings, surface);
            state.note_opening(differences.clone());
            if left.has_other_tools(surface) {
                // What was approved was to be done by others.
                state.clear_grants();
            }
        }
        if state.settings() != *settings {
            state.set_settings(settings.clone());
        }
        if let Some(surface) = surface {
            state.set_surface(surface);
        }
        differences
    }

    /// The session, with what it begins with and what its builder and its agent say.
    fn assemble(
        self,
        opening: Opening,
        tools: ToolSet,
        events: Arc<EventLog>,
        keeper: Option<Keeper>,
    ) -> Inner {
        let Opening { id, state, resumed, open_turn, imported, recent, .. } = opening;
        Inner {
            id,
            state,
            queue: TurnQueue::default(),
            services: SessionServices {
                model: self.model,
                auth: self.auth,
                context: self.begin.context,
                default_reasoning: self.begin.default_reasoning,
                models: self.begin.models,
                window: self.begin.window,
                prices: self.begin.prices,
            },
            tools: Mutex::new(tools),
            hosted_tools: self.begin.hosted_tools,
            instructions: self.begin.instructions,
            options: self.begin.options,
            bounds: self.begin.bounds,
            compaction: self.begin.compaction,
            gatekeeping: self.begin.gatekeeping,
            task: self.begin.task,
            while_running: self.begin.while_running,
            #[cfg(feature = "coding")]
            review_model: self.begin.review_model,
            data: self.data,
            events,
            keeper,
            resumed,
            imported,
            opened_at: jiff::Timestamp::now(),
            open_turn: Mutex::new(open_turn),
            recent: Mutex::new(recent),
            order: tokio::sync::Mutex::default(),
            wake: Arc::default(),
            answered: Notify::new(),
            tool_holds: Arc::new(watch::Sender::new(0)),
            #[cfg(feature = "coding")]
            work_tree: Arc::default(),
            ended: CancellationToken::new(),
        }
    }
}
