//! How much memory an event takes.

use longhaul_history::turn_item::{AgentPart, TurnItem, TurnItemKind, UserPart};
use longhaul_state::protocol::Event;

use super::SessionEvent;

/// The bytes of an event with what it says, by estimate: texts exactly, the rest not at all.
pub(super) fn bytes_of(event: &Event) -> usize {
    size_of::<SessionEvent>() + said(event)
}

fn said(event: &Event) -> usize {
    match event {
        Event::ItemStarted(item) | Event::ItemCompleted(item) => in_item(item),
        Event::TextDelta(text) | Event::ReasoningDelta(text) | Event::Background(text) => {
            text.len()
        }
        Event::WebSearchBegin { call_id } | Event::ApprovalAnswered { call_id, .. } => {
            call_id.len()
        }
        Event::WebSearchEnd { call_id, query } => call_id.len() + query.len(),
        Event::ToolCallBegin { call_id, name, arguments }
        | Event::ApprovalRequest { call_id, name, arguments, .. } => {
            call_id.len() + name.len() + arguments.len()
        }
        Event::ToolCallDenied { call_id, name, arguments, reason } => {
            call_id.len() + name.len() + arguments.len() + reason.len()
        }
        Event::ToolProgress { call_id, message } => call_id.len() + message.len(),
        Event::ToolCallEnd { call_id, output, .. } => call_id.len() + output.len(),
        Event::TurnComplete { last_agent_message: Some(text) } => text.len(),
        _ => 0,
    }
}

fn in_item(item: &TurnItem) -> usize {
    let texts = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let said = match &item.kind {
        TurnItemKind::UserMessage { content } => content.iter().map(in_user_part).sum(),
        TurnItemKind::AgentMessage { content } => content.iter().map(in_agent_part).sum(),
        TurnItemKind::Reasoning { summary_text, raw_content } => {
            texts(summary_text) + texts(raw_content)
        }
        TurnItemKind::WebSearch { query } => query.len(),
        _ => 0,
    };
    item.id.len() + said
}

fn in_user_part(part: &UserPart) -> usize {
    match part {
        UserPart::Text { text } => text.len(),
        UserPart::Image { image_url } => image_url.len(),
        _ => 0,
    }
}

fn in_agent_part(part: &AgentPart) -> usize {
    part.text().map_or(0, str::len)
}
