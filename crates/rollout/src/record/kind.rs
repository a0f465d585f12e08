//! What records are.

/// What a record's payload is: the `type` of the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// `session_meta`: which session this is; the first record of a log.
    SessionMeta,
    /// `session_opened`: the log was opened again, for writing.
    SessionOpened,
    /// `turn_context`: the settings of a turn, which begins.
    TurnContext,
    /// `settings`: settings that changed between turns.
    Settings,
    /// `surface`: instructions and tools, by their digests.
    Surface,
    /// `response_item`: an item of the conversation.
    ResponseItem,
    /// `shown`: a message that the conversation does not have, as it is shown.
    Shown,
    /// `compacted`: what took the place of the conversation so far.
    Compacted,
    /// `compaction_undone`: the conversation that a compaction replaced stands again.
    CompactionUndone,
    /// `edited`: what took the place of items that were removed or put right.
    Edited,
    /// `event_msg`: an event that clients were sent.
    EventMsg,
    /// `breaker`: what is remembered of automatic compactions.
    Breaker,
    /// `call`: how far a call of a tool has come.
    Call,
    /// `grant`: an approval for the length of the session.
    Grant,
    /// `input`: an input that waits, or waits no more.
    Input,
    /// `lost_item`: the place of an item that was lost with its line. A salvage writes it.
    LostItem,
    /// `salvaged`: places are counted without those of lost items from here on. A salvage ends so, and
    /// names the damaged log.
    Salvaged,
    /// Any other type, by its name. The name of a known type is not an other type: it is written
    /// as given and read back as the known one.
    Other(String),
}

impl RecordKind {
    /// The name of the type in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::SessionMeta => "session_meta",
            Self::SessionOpened => "session_opened",
            Self::TurnContext => "turn_context",
            Self::Settings => "settings",
            Self::Surface => "surface",
            Self::ResponseItem => "response_item",
            Self::Shown => "shown",
            Self::Compacted => "compacted",
            Self::CompactionUndone => "compaction_undone",
            Self::Edited => "edited",
            Self::EventMsg => "event_msg",
            Self::Breaker => "breaker",
            Self::Call => "call",
            Self::Grant => "grant",
            Self::Input => "input",
            Self::LostItem => "lost_item",
            Self::Salvaged => "salvaged",
            Self::Other(name) => name,
        }
    }

    /// The type called `name`, if it is known.
    pub(crate) fn known(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"session_meta" => Self::SessionMeta,
            b"session_opened" => Self::SessionOpened,
            b"turn_context" => Self::TurnContext,
            b"settings" => Self::Settings,
            b"surface" => Self::Surface,
            b"response_item" => Self::ResponseItem,
            b"shown" => Self::Shown,
            b"compacted" => Self::Compacted,
            b"compaction_undone" => Self::CompactionUndone,
            b"edited" => Self::Edited,
            b"event_msg" => Self::EventMsg,
            b"breaker" => Self::Breaker,
            b"call" => Self::Call,
            b"grant" => Self::Grant,
            b"input" => Self::Input,
            b"lost_item" => Self::LostItem,
            b"salvaged" => Self::Salvaged,
            _ => return None,
        })
    }
}

impl From<&str> for RecordKind {
    fn from(name: &str) -> Self {
        Self::known(name.as_bytes()).unwrap_or_else(|| Self::Other(name.into()))
    }
}

impl From<String> for RecordKind {
    fn from(name: String) -> Self {
        Self::known(name.as_bytes()).unwrap_or(Self::Other(name))
    }
}
