//! The usual way to compact, step by step as the seed does it: all typed items are copied, each is read
//! into a second type, the user's texts are joined, and where they are too long their middle is cut out
//! with an exact count of its tokens.

use longhaul::compaction::{Bridge, Error};
use tiktoken_rs::CoreBPE;

use crate::clone_and_scan::TypedItem;

/// How much of the joined text a bridge has.
pub const MAX_BYTES: usize = 80_000;

/// What a transcript shows of an item.
enum Shown {
    User(String),
    Other { _text: String },
}

impl Shown {
    fn read(item: TypedItem) -> Self {
        let join = |parts: Vec<crate::clone_and_scan::Part>| {
            let texts: Vec<String> = parts.into_iter().map(|part| part.text).collect();
            texts.join("")
        };
        match item {
            TypedItem::Message { role, content } if role == "user" => Self::User(join(content)),
            TypedItem::Message { content, .. } => Self::Other { _text: join(content) },
            TypedItem::Reasoning { summary, .. } => Self::Other { _text: join(summary) },
            TypedItem::FunctionCall { arguments: text, .. }
            | TypedItem::FunctionCallOutput { output: text, .. }
            | TypedItem::CustomToolCall { input: text, .. }
            | TypedItem::CustomToolCallOutput { output: text, .. } => Self::Other { _text: text },
        }
    }
}

/// The user's texts, joined and cut.
pub fn user_messages(items: &[TypedItem], bpe: &CoreBPE) -> String {
    // The whole list is copied under its lock before an item is read.
    let copy: Vec<TypedItem> = items.to_vec();
    let shown: Vec<Shown> = copy.into_iter().map(Shown::read).collect();
    let users = shown.into_iter().filter_map(|shown| match shown {
        Shown::User(text) => Some(text),
        Shown::Other { .. } => None,
    });
    let joined = users.collect::<Vec<_>>().join("\n\n");
    cut(bpe, &joined).0
}

/// The conversation after it: one message.
///
/// # Errors
///
/// None: the message can be rendered.
pub fn compacted(
    items: &[TypedItem],
    summary: &str,
    bpe: &CoreBPE,
) -> Result<Vec<TypedItem>, Error> {
    let messages = [user_messages(items, bpe)];
    let text = Bridge { user_messages: &messages, summary }.render()?;
    let part = crate::clone_and_scan::Part { r#type: "input_text".into(), text };
    Ok(vec![TypedItem::Message { role: "user".into(), content: vec![part] }])
}

/// The text as `truncate::middle` cuts it, its tokens, and a marker that counts those that were
/// removed; until the width of the marker does not change any more, for which two rounds are enough.
pub fn cut(bpe: &CoreBPE, text: &str) -> (String, usize) {
    let tokens = bpe.encode_with_special_tokens(text).len();
    if text.len() <= MAX_BYTES {
        return (text.to_owned(), tokens);
    }
    let mut marker = format!("…{tokens} tokens truncated…\n");
    for _ in 0..4 {
        let kept = MAX_BYTES - marker.len();
        let head = &text[..kept / 2];
        let tail = &text[text.len() - (kept - kept / 2)..];
        let prefix = &head[..head.rfind('\n').map_or(head.len(), |newline| newline + 1)];
        let suffix = &tail[tail.find('\n').map_or(0, |newline| newline + 1)..];
        let removed = &text[prefix.len()..text.len() - suffix.len()];
        let tokens = bpe.encode_with_special_tokens(removed).len();
        let width = marker.len();
        marker = format!("…{tokens} tokens truncated…\n");
        if marker.len() == width {
            return ([prefix, &marker, suffix].concat(), tokens);
        }
    }
    (marker, tokens)
}
