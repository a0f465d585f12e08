//! One response as it comes: what is shown of it at once, and the fact that it becomes.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::StreamExt;
use longhaul_compaction::Refused;
use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_history::usage::TokenUsage;
use longhaul_history::{Item, ItemKind};
use longhaul_state::protocol::{Event, TurnError};
use longhaul_state::turn::{Fact, Response};
use longhaul_transport::{
    Completed, ErrorCode, ModelError, ResponseEvent, Retrying, SampleEvent, SampleStream, sample,
};
use tokio::time::Instant;

use crate::task::{TaskScope, new_item_id, retrying};

/// A response on its way.
pub(super) struct Sampling {
    stream: SampleStream,
    done: Vec<Item>,
    started: Started,
    /// Tokens of the request, by the local count.
    counted: u64,
    /// What failed attempts used, and nobody was told yet.
    wasted: TokenUsage,
}

impl Sampling {
    /// Sends the next request.
    pub(super) fn start(scope: &TaskScope, deadline: Option<Instant>) -> Self {
        let (request, counted) = scope.next_counted_request();
        let request = Arc::new(request);
        Self {
            counted,
            stream: sample(Arc::clone(scope.model()), request, deadline),
            done: Vec::new(),
            started: Started::default(),
            wasted: TokenUsage::default(),
        }
    }

    /// Shows what comes until it is a fact for the turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; the next call goes on.
    pub(super) async fn next_fact(&mut self, scope: &TaskScope) -> Fact {
        loop {
            let fact = match self.stream.next().await {
                Some(Ok(SampleEvent::Response(event))) => self.take(event, scope),
                Some(Ok(SampleEvent::Retrying(retrying))) => Some(self.retry(retrying, scope)),
                // One request more, and nothing of a response to void.
                Some(Ok(SampleEvent::Refreshed)) => Some(Fact::AttemptFailed),
                Some(Ok(SampleEvent::Recovered { attempts })) => {
                    scope.emit(Event::StreamRecovered { attempts });
                    Some(Fact::StreamRecovered)
                }
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(self.fail(error, scope)),
                None => Some(Fact::Failed(TurnError::Internal(
                    "the model's stream ended without an end".into(),
                ))),
            };
            if let Some(fact) = fact {
                return fact;
            }
        }
    }

    fn take(&mut self, event: ResponseEvent, scope: &TaskScope) -> Option<Fact> {
        match event {
            ResponseEvent::ItemAdded(item) => {
                self.begin(&item, scope);
            }
            ResponseEvent::WebSearchBegin { item } => {
                if let Some(call_id) = self.begin(&item, scope) {
                    scope.emit(Event::WebSearchBegin { call_id });
                }
            }
            ResponseEvent::TextDelta(delta) => scope.emit(Event::TextDelta(delta.text)),
            ResponseEvent::ReasoningSummaryDelta(delta)
            | ResponseEvent::ReasoningTextDelta(delta) => {
                scope.emit(Event::ReasoningDelta(delta.text));
            }
            ResponseEvent::RateLimits(limits) => {
                scope.state().record_rate_limits(limits);
                scope.emit_token_count();
            }
            ResponseEvent::ItemDone(item) => self.done.push(item),
            ResponseEvent::Completed(completed) => return Some(self.complete(&completed)),
            // A call's arguments are shown when it runs; the rest is not for eyes.
            _ => {}
        }
        None
    }

    /// Shows that an item begins, if it is shown at all, and says under which id.
    fn begin(&mut self, item: &Item, scope: &TaskScope) -> Option<String> {
        let shown = self.started.begin(item)?;
        let id = shown.id.clone();
        scope.emit(Event::ItemStarted(shown));
        Some(id)
    }

    fn complete(&mut self, completed: &Completed) -> Fact {
        let items = completed.reconcile(std::mem::take(&mut self.done));
        Fact::ResponseCompleted(Response::new(items, completed.usage))
    }

    /// The attempt is void, and with it all that came of it.
    fn retry(&mut self, event: Retrying, scope: &TaskScope) -> Fact {
        self.done.clear();
        self.started = Started::default();
        self.wasted.add(&retrying::tell(event, scope, scope.context().limits.price));
        Fact::AttemptFailed
    }

    fn fail(&mut self, error: ModelError, scope: &TaskScope) -> Fact {
        self.wasted.add(&retrying::note(&error, scope, scope.context().limits.price));
        if let Some(tokens) = error.context_window() {
            scope.state().learn_window(&scope.context().settings.model, tokens);
        }
        if error.code() == ErrorCode::ContextWindowExceeded && scope.compaction().config.automatic {
            let (prompt, window) = (error.prompt_tokens(), error.context_window());
            let refused = Refused { counted: self.counted, prompt, window };
            return Fact::TooLong { error: error.into(), refused };
        }
        Fact::Failed(error.into())
    }

    /// What failed attempts used since this was asked last.
    pub(super) fn take_wasted(&mut self) -> TokenUsage {
        std::mem::take(&mut self.wasted)
    }

    /// The items that were shown to begin.
    pub(super) fn into_started(self) -> Started {
        self.started
    }
}

/// The items of a response that were shown to begin, so that each ends under the same id.
#[derive(Default)]
pub(super) struct Started {
    items: Vec<Begun>,
}

struct Begun {
    kind: ItemKind,
    server_id: Option<String>,
    shown: TurnItem,
}

impl Started {
    /// An item begins; what is shown of it, if anything.
    fn begin(&mut self, item: &Item) -> Option<TurnItem> {
        let kind = TurnItemKind::of(item)?;
        let server_id = item.id().map(str::to_owned);
        let shown = TurnItem { id: server_id.clone().unwrap_or_else(new_item_id), kind };
        self.items.push(Begun { kind: item.kind(), server_id, shown: shown.clone() });
        Some(shown)
    }

    /// An item is finished. What was shown to begin is shown to end, even if it turns out to be
    /// nothing for eyes: a search on the web that became the visit of a page.
    pub(super) fn finish(&mut self, item: Item) -> Ended {
        let same_id = |begun: &Begun| begun.server_id.as_deref() == item.id();
        let same_kind = |begun: &Begun| begun.kind == item.kind();
        let begun = self.items.iter().position(|begun| same_kind(begun) && same_id(begun));
        let begun = begun.map(|index| self.items.remove(index).shown);
        let was_started = begun.is_some();
        let kind = TurnItemKind::of(&item).or(begun.as_ref().map(|begun| begun.kind.clone()));
        let Some(kind) = kind else {
            return Ended { item, shown: None };
        };
        let carried = item.shown_id().map(Cow::into_owned);
        let is_carried = carried.is_some();
        let id = carried.or(begun.map(|begun| begun.id)).unwrap_or_else(new_item_id);
        let item = if is_carried { item } else { item.with_client_id(&id) };
        Ended { shown: Some((TurnItem { id, kind }, was_started)), item }
    }
}

/// A finished item of a response.
pub(super) struct Ended {
    /// As it is recorded: under the id that it was shown under.
    pub(super) item: Item,
    /// What is shown of it, if anything, and whether it was shown to begin.
    pub(super) shown: Option<(TurnItem, bool)>,
}
