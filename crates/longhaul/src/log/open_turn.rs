//! A turn that was cut off, out of the log.

use std::borrow::Cow;
use std::sync::Arc;

use longhaul_history::turn_item::is_user_message;
use longhaul_history::{CallKind, CallOutput, Item, ItemView};
use longhaul_rollout::{Replay, TurnStart};
use longhaul_state::SessionState;
use longhaul_state::protocol::{Settings, SettingsUpdate};
use longhaul_state::turn::{TurnLimits, TurnRecord};
use serde_json::Value;
use serde_json::value::RawValue;

use super::payload::{Call, KnownCall};
use super::records::call_arguments;
use super::step::{Open, Step};
use super::went_on;

/// A turn that was cut off.
pub(crate) struct OpenTurn {
    pub(crate) turn_id: Arc<str>,
    pub(crate) settings: Settings,
    /// What its final message has to follow.
    pub(crate) output_schema: Option<Arc<Value>>,
    /// What became of the calls of its newest response.
    pub(crate) records: Vec<TurnRecord>,
    /// What the log does not say yet: that calls are answered, as their outputs say (behind the next
    /// response nobody could tell its calls from them), and settings that it has from now on.
    unsaid: Vec<TurnRecord>,
    calls: Vec<OpenCall>,
    /// Calls that never run: of a response that was recorded in part, as the end of the log was torn, or
    /// of one whose other calls the conversation no longer has.
    aborted: Vec<OpenCall>,
}

/// A call that has no output.
struct OpenCall {
    item: Item,
    kind: CallKind,
    had_started: bool,
    /// What the model is told instead, where it may not run.
    denial: Option<String>,
}

impl OpenTurn {
    /// The ids of calls that had started, and that may not run again.
    pub(crate) fn unknown(&self, limits: &TurnLimits) -> Vec<String> {
        let may_run_again = |call: &OpenCall| match call.item.view() {
            ItemView::FunctionCall { name, .. } | ItemView::CustomToolCall { name, .. } => {
                limits.handling_of(&name).may_run_again
            }
            _ => false,
        };
        let unknown = self.calls.iter().filter(|call| !may_run_again(call)).chain(&self.aborted);
        let unknown = unknown.filter(|call| call.had_started);
        unknown.filter_map(|call| call.item.call_id().map(str::to_owned)).collect()
    }

    /// Who opens the session wants other settings, of this turn too, whoever goes on with it.
    pub(crate) fn update_settings(&mut self, changes: &[SettingsUpdate]) {
        let before = self.settings.clone();
        for change in changes {
            self.settings.update(change.clone());
        }
        if self.settings != before {
            self.unsaid.push(TurnRecord::Settings { settings: self.settings.clone() });
        }
    }

    /// The outputs of its calls where nobody goes on with it.
    pub(crate) fn outputs(&self) -> Vec<Item> {
        self.calls.iter().map(OpenCall::output).collect()
    }

    /// Says what the log does not: what is answered, which settings are new, and what became of calls that
    /// never run; the model is asked again.
    pub(crate) fn mend(&self, state: &SessionState) {
        for record in &self.unsaid {
            state.note_call(&self.turn_id, record.clone());
        }
        for call in &self.aborted {
            state.record_output(call.output());
        }
    }
}

impl OpenCall {
    fn of(open: &Open<'_>) -> Option<Self> {
        let Open { call, had_started, denial, .. } = *open;
        let denial = denial.map(str::to_owned);
        Some(Self { item: call.clone(), kind: call.kind().call()?, had_started, denial })
    }

    fn output(&self) -> Item {
        let aborted = longhaul_state::turn::aborted(self.had_started);
        let denial = self.denial.as_deref().filter(|_| !self.had_started);
        let text = denial.unwrap_or(aborted);
        let call_id = self.item.call_id().unwrap_or_default();
        Item::output(self.kind, call_id, CallOutput::text(text)).failed()
    }
}

/// The turn that was cut off, and what became of the calls of its newest response.
/// What cannot be read of its settings is as those of the `session` are, and is told; where they are lost,
/// it has those from now on.
pub(super) fn cut_off(
    replay: &Replay,
    session: &Settings,
    unread: &mut Vec<String>,
) -> Option<OpenTurn> {
    let goes_on = |turn: &&longhaul_rollout::OpenTurn| {
        turn.start != TurnStart::Marked
            || !turn.calls.is_empty()
            || turn.has_lost_lines && has_open_calls(replay)
            || asks(replay)
    };
    let turn = replay.turn.as_ref().filter(goes_on)?;
    let read = |call: &RawValue| serde_json::from_str::<Call<'_>>(call.get()).map(|it| it.known);
    let known: Vec<_> = turn.calls.iter().filter_map(|call| read(call).ok()).collect();
    // What cannot be read may say that a call has started, as what is lost may.
    let has_lost_lines = turn.has_lost_lines || known.len() < turn.calls.len();
    let step = Step::of(&known, &replay.items, has_lost_lines);
    // That a call is answered is what its output says: a torn end may have that alone.
    let answer = |position| TurnRecord::Answered { position };
    let mut unsaid: Vec<_> = step.answered().filter(|at| !step.is_said(*at)).map(answer).collect();
    let settings = went_on::settings(turn, session, unread).unwrap_or_else(|| {
        unsaid.push(TurnRecord::Settings { settings: session.clone() });
        session.clone()
    });
    let mut records: Vec<_> = known.iter().flat_map(|it| records(it, &step, replay)).collect();
    if !step.is_over() {
        records.extend(step.answered().map(answer));
    }
    let (calls, aborted): (Vec<_>, Vec<_>) =
        step.open(went_on::start(replay)).partition(|open| open.goes_on);
    Some(OpenTurn {
        turn_id: turn.turn_id.as_str().into(),
        settings,
        output_schema: went_on::output_schema(turn),
        records,
        unsaid,
        calls: calls.iter().filter_map(OpenCall::of).collect(),
        aborted: aborted.iter().filter_map(OpenCall::of).collect(),
    })
}

/// Whether calls stand behind the beginning of the turn, of which all else is lost.
fn has_open_calls(replay: &Replay) -> bool {
    Step::of(&[], &replay.items, true).open(went_on::start(replay)).next().is_some()
}

/// What a record says to the turn, but for outputs. Of a response that is over only that it was there.
fn records(known: &KnownCall<'_>, step: &Step<'_>, replay: &Replay) -> Vec<TurnRecord> {
    match known {
        KnownCall::Response { .. } if step.is_over() => {
            vec![went_on::response(known, Vec::new(), replay), TurnRecord::Over]
        }
        KnownCall::Response { .. } => {
            vec![went_on::response(known, step.calls().cloned().collect(), replay)]
        }
        KnownCall::Spent { spent, has_shrunk } => {
            vec![TurnRecord::Spent { spent: spent.into_spent(), has_shrunk: *has_shrunk }]
        }
        _ if step.is_over() => Vec::new(),
        known => record(known, step).into_iter().collect(),
    }
}

/// What is known of one of these calls, but for its output.
fn record(known: &KnownCall<'_>, step: &Step<'_>) -> Option<TurnRecord> {
    let text = |text: &Cow<'_, str>| text.clone().into_owned();
    match known {
        KnownCall::Asked { position, arguments } => {
            let given = || step.call(*position).map(call_arguments);
            let arguments = arguments.as_ref().map(text).or_else(given).unwrap_or_default();
            Some(TurnRecord::Asked { position: *position, arguments })
        }
        KnownCall::Allowed { position, arguments } => {
            let arguments = arguments.as_ref().map(text);
            Some(TurnRecord::Allowed { position: *position, arguments })
        }
        KnownCall::Denied { position, reason } => {
            Some(TurnRecord::Denied { position: *position, reason: text(reason) })
        }
        KnownCall::Started { position } => Some(TurnRecord::Started { position: *position }),
        _ => None,
    }
}

/// Whether the newest turn has something to ask. Where the end of a log was torn, its beginning may be
/// there without its input, which was never acknowledged then.
fn asks(replay: &Replay) -> bool {
    let items = &replay.items;
    items[went_on::start(replay)..].iter().any(|it| is_user_message(&it.item))
        || items.last().is_some_and(|it| it.item.bridge_parts().is_some())
}
