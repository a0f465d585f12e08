//! Events that one says as well as two.

use longhaul_state::protocol::Event;

/// Makes one event of two, where nothing is lost by it.
pub(super) fn join(last: &mut Event, next: &Event) -> bool {
    match (last, next) {
        (Event::TextDelta(text), Event::TextDelta(more))
        | (Event::ReasoningDelta(text), Event::ReasoningDelta(more)) => {
            text.push_str(more);
            true
        }
        (
            Event::ToolProgress { call_id, message },
            Event::ToolProgress { call_id: same, message: newer },
        ) if call_id == same => {
            message.clone_from(newer);
            true
        }
        (Event::Missed { .. }, Event::Missed { .. }) => true,
        _ => false,
    }
}
