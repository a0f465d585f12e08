//! A common way to keep the user's messages: all of them joined, the middle of which is cut out where
//! they are too long. The message that stands for a conversation is a message of the user's too, so
//! that the next one holds it, and its summary.

use longhaul::compaction::Bridge;
use longhaul::compaction::truncate::middle;

use super::{Summariser, Turn};

const MAX_BYTES: usize = 80_000;

/// What is left of a conversation that is compacted after each of the turns `after`.
///
/// # Errors
///
/// None: every bridge can be rendered.
pub fn remains(
    turns: &[Turn],
    after: &[usize],
    summariser: Summariser,
) -> Result<String, longhaul::compaction::Error> {
    let (mut users, mut others): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for (index, turn) in turns.iter().enumerate() {
        // Nothing is pinned there: the user can only say it.
        users.extend(turn.pinned.map(str::to_owned));
        users.push(turn.message.clone());
        others.extend(turn.outputs.iter().map(String::as_str).chain([&*turn.answer]));
        if after.contains(&(index + 1)) {
            let joined = users.join("\n\n");
            let shown = [&*joined, &others.join("\n\n")].concat();
            let summary = summariser.summary(&shown, 1);
            let messages = [middle(&joined, MAX_BYTES).text.into_owned()];
            users = vec![Bridge { user_messages: &messages, summary: &summary }.render()?];
            others.clear();
        }
    }
    Ok([users.join("\n\n"), others.join("\n\n")].concat())
}
