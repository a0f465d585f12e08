//! The newest part of a conversation, which stays as it is.

/// How much of the newest part of a conversation a compaction leaves as it is.
///
/// It never takes more than half of the room that a compacted conversation has, where the window is
/// known. Calls keep their outputs: where a cut would part them, the tail begins later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tail {
    /// Nothing: the bridge stands for everything.
    #[default]
    None,
    /// The last turns. A turn begins with a message of the user that follows something of the model.
    Turns(usize),
    /// The newest items, up to so many tokens.
    Tokens(u64),
}
