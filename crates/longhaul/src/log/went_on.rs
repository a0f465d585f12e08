//! What a turn that goes on has of its own: the settings and the schema that it began with, and what it
//! had said and spent.

use std::sync::Arc;

use longhaul_history::turn_item::is_user_message;
use longhaul_history::{Item, ItemKind, Role};
use longhaul_rollout::{OpenTurn, Replay, ReplayItem, TurnStart};
use longhaul_state::protocol::Settings;
use longhaul_state::turn::TurnRecord;
use serde_json::Value;

use super::payload::{KnownCall, SpentPayload, read_settings};

/// The settings of the turn: those that it began with, or that somebody who opened the session gave it;
/// `None` if the log does not say. What cannot be read of them is as `otherwise` says, and is told.
pub(super) fn settings(
    turn: &OpenTurn,
    otherwise: &Settings,
    unread: &mut Vec<String>,
) -> Option<Settings> {
    let json = turn.context.as_ref()?.get();
    Some(read_settings(json, otherwise, "settings of the turn that was cut off", unread))
}

/// What the turn's final message has to follow.
pub(super) fn output_schema(turn: &OpenTurn) -> Option<Arc<Value>> {
    serde_json::from_str(turn.output_schema.as_ref()?.get()).ok().map(Arc::new)
}

/// A response, by what the log says of it, with these calls. What the turn said last stands before them:
/// that is what its result has.
pub(super) fn response(known: &KnownCall<'_>, calls: Vec<Item>, replay: &Replay) -> TurnRecord {
    let items = last_message(replay).into_iter().chain(calls).collect();
    match known {
        KnownCall::Response { usage, spent, .. } => TurnRecord::Response {
            items,
            usage: *usage,
            spent: spent.map(SpentPayload::into_spent),
        },
        _ => TurnRecord::Response { items, usage: None, spent: None },
    }
}

/// Where the newest turn begins in the conversation; behind its end if that has nothing of it. Where nobody
/// knows, with what the user said last.
pub(super) fn start(replay: &Replay) -> usize {
    let items = &replay.items;
    match replay.turn.as_ref().map(|turn| turn.start) {
        Some(TurnStart::At(start)) => start.min(items.len()),
        Some(TurnStart::Unknown) => {
            let said = |it: &ReplayItem| is_user_message(&it.item) && !it.item.is_pinned();
            items.iter().rposition(said).unwrap_or_default()
        }
        _ => {
            let start = items.iter().rposition(|it| it.starts_turn);
            start.filter(|_| !replay.next_starts_turn).unwrap_or(items.len())
        }
    }
}

/// The last message of the model in the newest turn, if the conversation still has it.
fn last_message(replay: &Replay) -> Option<Item> {
    let is_message = |kind| kind == ItemKind::Message(Role::Assistant);
    let items = &replay.items[start(replay)..];
    items.iter().rfind(|it| is_message(it.item.kind())).map(|it| it.item.clone())
}
