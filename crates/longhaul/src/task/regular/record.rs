//! What a response and its calls come to: recorded, and shown to those who watch.

use longhaul_history::Item;
use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_state::protocol::{Event, TurnError};
use longhaul_state::turn::{Answer, CallEnd, Response, TurnRecord};
use longhaul_transport::ErrorCode;

use super::Driver;
use super::sampling::Sampling;
use crate::tool::as_text;

impl Driver<'_> {
    /// Records a response, and shows what of it is to be shown.
    pub(super) fn commit(&mut self, response: Response) {
        let sampling = self.sampling.take();
        let mut started = sampling.map(Sampling::into_started).unwrap_or_default();
        let broken = response.items.iter().filter(|item| item.is_broken_call()).count();
        let ended: Vec<_> = response.items.into_iter().map(|item| started.finish(item)).collect();
        let items: Vec<Item> = ended.iter().map(|ended| ended.item.clone()).collect();
        self.scope.record(items.iter().cloned());
        let spent = Some(self.turn.spent());
        self.scope.note(TurnRecord::Response { items, usage: response.usage, spent });
        for (item, was_started) in ended.into_iter().filter_map(|ended| ended.shown) {
            self.show(item, was_started);
        }
        if broken > 0 {
            let message =
                format!("{broken} calls of the model lacked an id or a name and were left out");
            self.scope.emit(Event::Background(message));
        }
        let usage = response.usage.unwrap_or_default();
        self.scope.state().add_cost(self.scope.context().limits.price.cost(&usage));
        let window = self.scope.context_window();
        let (known, limit) = (window.known_tokens(), window.auto_compact_tokens);
        self.scope.state().record_response(response.usage, known, limit);
        self.scope.emit_token_count();
    }

    /// The turn fails because the conversation is too long: that is shown as a full window.
    pub(super) fn tell_full_window(&self, error: &TurnError) {
        let is_full = error.code() == ErrorCode::ContextWindowExceeded.as_str();
        if let (true, Some(window)) = (is_full, self.scope.context_window().known_tokens()) {
            self.scope.state().mark_window_full(window);
            self.scope.emit_token_count();
        }
    }

    fn show(&self, item: TurnItem, was_started: bool) {
        if !was_started {
            self.scope.emit(Event::ItemStarted(item.clone()));
        }
        let search = match &item.kind {
            TurnItemKind::WebSearch { query } => Some((item.id.clone(), query.clone())),
            _ => None,
        };
        self.scope.emit(Event::ItemCompleted(item));
        if let Some((call_id, query)) = search {
            self.scope.emit(Event::WebSearchEnd { call_id, query });
        }
    }

    /// Records an output, and says so if its tool had begun or was not allowed to.
    pub(super) fn answer(&mut self, answer: Answer) {
        let Answer { call, output, end } = answer;
        let text = as_text(&output);
        let item = Item::output(call.kind, &call.call_id, output);
        let success = end == CallEnd::Ran { success: true };
        self.scope.record_output(if success { item } else { item.failed() });
        self.scope.note(TurnRecord::Answered { position: call.position });
        match end {
            CallEnd::Ran { .. } | CallEnd::Stopped => self.scope.emit(Event::ToolCallEnd {
                duration: self.tools.duration(call.position),
                call_id: call.call_id,
                success,
                output: text,
            }),
            CallEnd::Denied { reason } => self.scope.emit(Event::ToolCallDenied {
                call_id: call.call_id,
                name: call.name,
                arguments: call.arguments,
                reason,
            }),
            _ => {}
        }
    }
}
