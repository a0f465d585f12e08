//! What a repair does.

use super::Target;

/// The smallest change that makes a refused request acceptable.
///
/// [`History::mend`](crate::History::mend) applies it to a history, for what is sent from now on; the
/// log keeps what was said. In all of them: an item that goes takes its counterpart along, so that calls and
/// outputs still pair up (a call its outputs; an output its call, unless the call is answered
/// anew); what is put in its place is the same whenever it is done, so that the prompt cache hits
/// again from the second request on; and a target that selects nothing changes nothing, which the
/// caller treats like a refusal that repeats itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// A call has no output that the server sees: each selected call gets its output directly behind
    /// it. One that has none is answered in its own kind, as an interrupted call is; a history that
    /// is normalised has no such call, but an output may stand where the server does not look.
    AnswerCall(Target),
    /// An output has no call that the server sees: each selected output without a call before it
    /// goes. If all of them have one, as in a history that is normalised, they and their calls go.
    RemoveOutput(Target),
    /// A call id is one that the server does not take (too long, of odd characters), or it occurs
    /// more than once. Each selected call but the first of an id that is in order, and the output
    /// that answers it, get an id of their own: what can be taken of the old one, and a number behind
    /// it if another call has that id. Outputs beyond one a call go, and so do calls for which no id
    /// is left that is short enough.
    RenameCalls {
        /// The calls and outputs; an index may be that of either.
        target: Target,
        /// The longest id that the server takes, in bytes. New ids hold ASCII letters, digits, `_`
        /// and `-` only, which all servers take.
        max_bytes: usize,
    },
    /// Reasoning is not wanted, or not where it stands: the selected reasoning items go.
    RemoveReasoning(Target),
    /// Encrypted content cannot be read any more: the selected items that have some go. A compaction
    /// item that says the same in plain text, in `summary` or `content`, is replaced by a message of
    /// the model with that text.
    RemoveEncrypted(Target),
    /// The server does not know an item's own `id`, or ties it to others: it is not sent. Items of
    /// types that this crate knows keep it as their
    /// [client's id](crate::Item::with_client_id), so that they are shown under it as before; a local
    /// shell call or output that is paired by it has it as its `call_id` then.
    RemoveItemId(Target),
    /// The item is of a type, or in a form, that the server does not take: it goes.
    RemoveItem(Target),
    /// The server does not know the type of some item, and does not say of which: all go that are
    /// not messages, reasoning, or function calls and their outputs.
    RemoveUncommonItems,
    /// A field or a part of an item is not wanted: it is not sent. An item that cannot be without it
    /// (its type, its call id, the last part of a message) goes; an output keeps a short text in the
    /// place of its last part.
    RemoveField {
        /// The items.
        target: Target,
        /// Where it is in each: names, and positions from 0 in brackets (`action.env`,
        /// `content[0].detail`).
        path: String,
    },
    /// A text is too long: its middle is cut out, so that at most `max_bytes` are left. Of a `name`
    /// the beginning is left, for the mark of a cut has no place in it.
    ShortenField {
        /// The items.
        target: Target,
        /// Where the text is in each, as in [`Remedy::RemoveField`]. `arguments` of a call stay
        /// JSON: if they must be shortened, an empty object takes their place.
        path: String,
        /// The longest text that the server takes. It counts characters; bytes are never fewer.
        max_bytes: usize,
    },
    /// The server does not take an image: a short text that says so takes the place of each that
    /// is selected, in messages and in outputs.
    ReplaceImages(Images),
}

/// Which images of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Images {
    /// One part of one item.
    Part {
        /// The item's position in the request's `input`, from 0.
        item: usize,
        /// The part's position in the item's `content` or `output`, from 0.
        part: usize,
    },
    /// All of the item at this position in the request's `input`, from 0.
    OfItem(usize),
    /// All that are given by their web address, not as a `data:` URL.
    Linked,
    /// All but the newest of the request; 1 or more are kept.
    AllBut {
        /// How many are kept.
        newest: usize,
    },
    /// All.
    All,
}

impl Remedy {
    /// The same repair with the widest reach that its reason justifies, for a refusal that comes
    /// again in other places: a rotated key spoils all encrypted content, not one item's. `None` if
    /// it reaches that far already.
    ///
    /// One item becomes all; where that would be every item of the request
    /// ([`Remedy::RemoveItem`], [`Remedy::RemoveField`], [`Remedy::ShortenField`]), all of its type.
    ///
    /// ```
    /// use longhaul_history::remedy::{Remedy, Target};
    ///
    /// let one = Remedy::RemoveEncrypted(Target::ItemId("rs_1".into()));
    /// let all = Remedy::RemoveEncrypted(Target::All);
    /// assert_eq!(one.widened(), Some(all.clone()));
    /// assert_eq!(all.widened(), None);
    /// ```
    #[must_use]
    pub fn widened(&self) -> Option<Self> {
        let all = |target: &Target| (*target != Target::All).then_some(Target::All);
        Some(match self {
            Self::AnswerCall(target) => Self::AnswerCall(all(target)?),
            Self::RemoveOutput(target) => Self::RemoveOutput(all(target)?),
            Self::RenameCalls { target, max_bytes } => {
                Self::RenameCalls { target: all(target)?, max_bytes: *max_bytes }
            }
            Self::RemoveReasoning(target) => Self::RemoveReasoning(all(target)?),
            Self::RemoveEncrypted(target) => Self::RemoveEncrypted(all(target)?),
            Self::RemoveItemId(target) => Self::RemoveItemId(all(target)?),
            Self::RemoveItem(target) => Self::RemoveItem(target.alike()?),
            Self::RemoveField { target, path } => {
                Self::RemoveField { target: target.alike()?, path: path.clone() }
            }
            Self::ShortenField { target, path, max_bytes } => Self::ShortenField {
                target: target.alike()?,
                path: path.clone(),
                max_bytes: *max_bytes,
            },
            Self::ReplaceImages(Images::Part { item, .. }) => {
                Self::ReplaceImages(Images::OfItem(*item))
            }
            Self::ReplaceImages(Images::All) | Self::RemoveUncommonItems => return None,
            Self::ReplaceImages(_) => Self::ReplaceImages(Images::All),
        })
    }
}
