//! The newest messages of a session, also those that its conversation no longer has.
//!
//! While a log is read, references to messages are kept, a bounded number of them; at the end the
//! newest are read. A compaction takes none away: they were said. An edit does: what it removes was
//! taken back.

use std::collections::{BTreeSet, VecDeque};

use longhaul_history::Item;
use longhaul_history::turn_item::TurnItem;

use super::conversation::Piece;
use super::shown::{read, read_shown, shown, texts};
use super::stands::{Places, Stands};
use super::text::{Entry, Log, Text};
use super::{ReadError, Trouble};

/// So many messages are given at most.
pub const RECENT_MESSAGES: usize = 1_000;

/// And so many bytes of their texts: 1 MiB.
pub const RECENT_BYTES: usize = 1024 * 1024;

/// References to so many are kept, since not all of them are shown: contexts are messages too.
const MAX_REFERENCES: usize = 4 * RECENT_MESSAGES;

/// What was said in a session last, for a user interface that shows it again.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RecentMessages {
    /// Messages of the user and of the model, and reasoning, oldest first: at most
    /// [`RECENT_MESSAGES`] with [`RECENT_BYTES`] of text. Of images, those at a web address.
    pub items: Vec<TurnItem>,
    /// There were more, or some could not be read.
    pub is_truncated: bool,
    stands: Stands,
}

impl PartialEq for RecentMessages {
    fn eq(&self, other: &Self) -> bool {
        (&self.items, self.is_truncated) == (&other.items, other.is_truncated)
    }
}

impl Eq for RecentMessages {}

impl RecentMessages {
    /// The newest messages among these items, which are in order.
    pub fn of<'a>(items: impl DoubleEndedIterator<Item = &'a Item>) -> Self {
        let mut newest = Newest::default();
        for item in items.rev() {
            newest.is_truncated |= item.is_bridge();
            if shown(item).is_some_and(|item| newest.add(item).is_err()) {
                break;
            }
        }
        newest.finish()
    }

    /// Those that the conversation no longer has, oldest first, each with the index of the item before
    /// which it was said; a larger one than any if that is behind all items. So a new session keeps
    /// them which takes over the conversation alone.
    pub fn gone(&self) -> Vec<(usize, &TurnItem)> {
        self.stands.gone(&self.items)
    }

    /// Keeps what was said before the first of these messages of the user, by their indices in the
    /// conversation: all from there to its end. Says whether that is known.
    pub(super) fn cut(&mut self, users: &[usize]) -> bool {
        let Some(place) = self.stands.find(users, &self.items) else { return false };
        if place == 0 && self.is_truncated {
            return false;
        }
        self.items.truncate(place);
        self.stands.cut(users.first().copied().unwrap_or_default());
        true
    }

    pub(super) fn meet(&mut self, places: Places) {
        self.stands = places.finish();
    }
}

/// The newest first, until there are enough.
#[derive(Default)]
struct Newest {
    items: VecDeque<TurnItem>,
    bytes: usize,
    is_truncated: bool,
}

impl Newest {
    /// Adds one that is older; fails if that is one too many.
    fn add(&mut self, item: TurnItem) -> Result<(), ()> {
        self.bytes += texts(&item.kind).map(str::len).sum::<usize>();
        if self.items.len() == RECENT_MESSAGES || self.bytes > RECENT_BYTES {
            self.is_truncated = true;
            return Err(());
        }
        self.items.push_front(item);
        Ok(())
    }

    fn finish(self) -> RecentMessages {
        let stands = Stands::default();
        RecentMessages { items: self.items.into(), is_truncated: self.is_truncated, stands }
    }
}

/// References to messages, oldest first.
#[derive(Default)]
pub(super) struct Recent {
    texts: VecDeque<Said>,
    is_cut: bool,
}

/// A message where it stands in the log.
struct Said {
    text: Text,
    /// As it is shown; else as an item.
    is_shown: bool,
}

impl Said {
    fn place(&self) -> u64 {
        self.text.place()
    }
}

impl Recent {
    /// An item was recorded; in this place, if it was not appended.
    pub(super) fn record(&mut self, text: Text, place: Option<usize>) {
        self.insert(Said { text, is_shown: false }, place);
    }

    /// A message that the conversation never had.
    pub(super) fn record_shown(&mut self, text: Text) {
        self.insert(Said { text, is_shown: true }, None);
    }

    fn insert(&mut self, said: Said, place: Option<usize>) {
        self.texts.insert(place.unwrap_or(self.texts.len()), said);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        let excess = self.texts.len().saturating_sub(MAX_REFERENCES);
        self.is_cut |= excess > 0;
        self.texts.drain(..excess);
    }

    /// `pieces` take the place of the first `count` elements.
    pub(super) fn edit(&mut self, elements: &[&Entry], count: usize, pieces: &[Piece<Entry>]) {
        let (mut gone, mut new, mut at) = (BTreeSet::new(), Vec::new(), 0);
        for piece in pieces {
            match piece {
                Piece::Keep(range) => {
                    gone.extend(elements[at..range.start].iter().filter_map(|it| it.place()));
                    at = range.end;
                }
                Piece::New(Entry::Stored(text)) => new.push((at, text)),
                Piece::New(_) => {}
            }
        }
        gone.extend(elements[at..count].iter().filter_map(|it| it.place()));
        let place = |at: usize| self.place_behind(&elements[..at], &elements[at..]);
        let new: Vec<_> = new.into_iter().map(|(at, text)| (place(at), text)).collect();
        // From the last on, so that places stay where they are.
        for (place, text) in new.into_iter().rev() {
            self.texts.insert(place, Said { text: text.clone(), is_shown: false });
        }
        self.texts.retain(|said| !gone.contains(&said.place()));
        self.forget_oldest();
    }

    /// These elements at the end of the conversation were taken back.
    pub(super) fn roll_back(&mut self, elements: &[&Entry]) {
        let gone: BTreeSet<u64> = elements.iter().filter_map(|it| it.place()).collect();
        self.texts.retain(|said| !gone.contains(&said.place()));
    }

    /// Where one stands that comes behind the elements `before`, and before those `behind`.
    pub(super) fn place_behind(&self, before: &[&Entry], behind: &[&Entry]) -> usize {
        let find = |entry: &&Entry| {
            let place = entry.place()?;
            self.texts.iter().rposition(|said| said.place() == place)
        };
        let place = before.iter().rev().find_map(find).map(|place| place + 1);
        place.or_else(|| behind.iter().find_map(find)).unwrap_or(self.texts.len())
    }

    /// Reads the newest. What cannot be read, or is too long to be shown, is left out: the conversation
    /// does without it.
    pub(super) fn read(&self, log: Log<'_>) -> Result<(RecentMessages, Places), ReadError> {
        let mut newest = Newest { is_truncated: self.is_cut, ..Newest::default() };
        let (mut found, mut is_cut) = (Vec::new(), self.is_cut);
        for said in self.texts.iter().rev() {
            let newer = newest.items.len();
            let read = if said.is_shown { read_shown } else { read };
            let item = read(&said.text, log);
            let item = match item {
                Ok(None) => continue,
                Ok(item) => item,
                Err(Trouble::Flaw(_)) => {
                    newest.is_truncated = true;
                    None
                }
                Err(Trouble::Read(error)) => return Err(error),
            };
            let is_shown = item.is_some();
            if item.is_some_and(|item| newest.add(item).is_err()) {
                is_cut = true;
                break;
            }
            found.push((said.place(), newer, is_shown));
        }
        let places = Places::new(found, newest.items.len(), is_cut);
        Ok((newest.finish(), places))
    }
}
