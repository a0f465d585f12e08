//! The message that stands for a conversation which was compacted.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::mark::BRIDGE;
use super::{ContentPart, Item, ItemView, Role};

/// What a bridge carries over from the conversation that it stands for. The next compaction takes
/// the bridge apart and makes a new one of it, so that bridges never nest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgeParts {
    /// What the user said, oldest first, each message as a text.
    pub user_messages: Vec<String>,
    /// What else was said and done, in the words of whoever summed it up.
    pub summary: String,
}

/// [`BridgeParts`] as the item's JSON holds them.
#[derive(Serialize, Deserialize)]
struct Pieces {
    user_messages: Vec<Piece>,
    summary: Piece,
}

/// A text, or where in the text of the bridge it stands, as bytes: so a log holds it once.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Piece {
    Range(usize, usize),
    Text(String),
}

impl Item {
    /// The message that stands for a conversation which was compacted: `content` is what the model
    /// reads, and `parts` what [`bridge_parts`](Self::bridge_parts) gives back.
    ///
    /// The field `longhaul_bridge` says where in the first text of `content` the parts stand: the
    /// messages in their order, the summary behind them. A part that does not stand there word for
    /// word is written into the field. The field is not sent, and counts no tokens.
    ///
    /// ```
    /// use longhaul_history::{BridgeParts, ContentPart, Item};
    ///
    /// let text = "The user asked:\nMend the roof.\nSo far: The ladder stands.".into();
    /// let parts = BridgeParts {
    ///     user_messages: vec!["Mend the roof.".into()],
    ///     summary: "The ladder stands.".into(),
    /// };
    /// let bridge = Item::bridge(&[ContentPart::InputText { text }], &parts);
    /// let field = r#""longhaul_bridge":{"user_messages":[[16,30]],"summary":[39,57]}}"#;
    /// assert!(bridge.json().ends_with(field));
    /// assert!(bridge.is_bridge());
    /// assert_eq!(bridge.bridge_parts(), Some(parts));
    /// ```
    pub fn bridge(content: &[ContentPart], parts: &BridgeParts) -> Self {
        let pieces = Pieces::find(parts, first_text(content));
        // Numbers, strings and lists of them always serialise; the empty object is unreachable.
        let pieces = serde_json::to_string(&pieces).unwrap_or_else(|_| "{}".into());
        Self::message(Role::User, content).with_own(BRIDGE, &pieces)
    }

    /// What [`bridge`](Self::bridge) was given; `None` if the item is no bridge, or if its text was
    /// edited so that a part cannot stand there any more.
    ///
    /// Reads the item's JSON.
    pub fn bridge_parts(&self) -> Option<BridgeParts> {
        let field = self.own(BRIDGE).filter(|_| self.is_bridge())?;
        let pieces: Pieces = serde_json::from_str(field).ok()?;
        let ItemView::Message { content, .. } = self.view() else {
            return None;
        };
        pieces.read(first_text(&content))
    }
}

fn first_text(content: &[ContentPart]) -> &str {
    content.iter().find_map(ContentPart::text).unwrap_or_default()
}

impl Pieces {
    /// Looks for each part in `text` behind the one before.
    fn find(parts: &BridgeParts, text: &str) -> Self {
        let mut at = 0;
        let user_messages = parts.user_messages.iter();
        let user_messages = user_messages.map(|part| Piece::find(part, text, &mut at)).collect();
        Self { user_messages, summary: Piece::find(&parts.summary, text, &mut at) }
    }

    fn read(self, text: &str) -> Option<BridgeParts> {
        let user_messages = self.user_messages.into_iter().map(|piece| piece.read(text));
        Some(BridgeParts {
            user_messages: user_messages.collect::<Option<_>>()?,
            summary: self.summary.read(text)?,
        })
    }
}

impl Piece {
    /// Looks for `part` in `text` from `at` on, and goes on behind it.
    fn find(part: &str, text: &str, at: &mut usize) -> Self {
        match found(part, text, *at) {
            Some(range) => {
                *at = range.end;
                Self::Range(range.start, range.end)
            }
            None => Self::Text(part.to_owned()),
        }
    }

    fn read(self, text: &str) -> Option<String> {
        match self {
            Self::Range(start, end) => text.get(start..end).map(str::to_owned),
            Self::Text(part) => Some(part),
        }
    }
}

fn found(part: &str, text: &str, at: usize) -> Option<Range<usize>> {
    let start = at + text.get(at..)?.find(part)?;
    Some(start..start + part.len())
}
