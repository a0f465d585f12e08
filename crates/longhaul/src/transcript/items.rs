//! Items: what the user says, and what a response consists of.

use longhaul_history::turn_item::{TurnItem, TurnItemKind, UserPart, is_context};
use longhaul_history::{ContentPart, Item, Role};

use super::fold::Fold;
use super::{CellKind, CompactionState, ItemState, Transcript};

/// What comes in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streamed {
    Agent,
    Reasoning,
    WebSearch,
}

impl Streamed {
    fn of(kind: &CellKind) -> Option<Self> {
        match kind {
            CellKind::Agent { .. } => Some(Self::Agent),
            CellKind::Reasoning { .. } => Some(Self::Reasoning),
            CellKind::WebSearch { .. } => Some(Self::WebSearch),
            _ => None,
        }
    }

    /// What is coming of a cell; `None` if it is something else, or whole.
    fn coming(kind: &CellKind) -> Option<Self> {
        Self::of(kind).filter(|_| kind.is_open())
    }

    /// Whether the cell is a part of a response that is coming.
    pub(super) fn is_part(kind: &CellKind) -> bool {
        let is_server_compaction =
            matches!(kind, CellKind::Compaction { trigger: None, state: CompactionState::Running });
        is_server_compaction || Self::coming(kind).is_some()
    }

    pub(super) fn cell(self, text: String, state: ItemState) -> CellKind {
        match self {
            Self::Agent => CellKind::Agent { text, state },
            Self::Reasoning => CellKind::Reasoning { text, state },
            Self::WebSearch => CellKind::WebSearch { query: text, state },
        }
    }
}

impl Fold<'_> {
    /// An item begins.
    pub(super) fn start(&mut self, item: &TurnItem) {
        match (&item.kind, streamed(&item.kind)) {
            (TurnItemKind::UserMessage { content }, _) => {
                let index = self.push_user(content, item);
                self.transcript.running.open.push(index);
            }
            (TurnItemKind::ContextCompaction, _) => self.start_bridge(&item.id),
            (_, Some((streamed, text))) if self.transcript.running.review.is_none() => {
                self.start_streamed(streamed, text, &item.id);
            }
            _ => {}
        }
    }

    /// An item is whole, and recorded.
    pub(super) fn complete(&mut self, item: &TurnItem) {
        match (&item.kind, streamed(&item.kind)) {
            (TurnItemKind::UserMessage { content }, _) => self.complete_user(content, item),
            (TurnItemKind::ContextCompaction, _) => self.complete_bridge(&item.id),
            (_, Some((streamed, text))) if self.transcript.running.review.is_none() => {
                if streamed == Streamed::WebSearch {
                    self.transcript.running.ended_search = Some(item.id.clone());
                }
                self.complete_streamed(streamed, text, &item.id);
            }
            _ => {}
        }
    }

    /// A piece comes: to the item that began last, or to one that was not seen to begin.
    pub(super) fn stream(&mut self, streamed: Streamed, delta: &str) {
        if self.transcript.running.review.is_some() {
            return;
        }
        let mut open = self.transcript.running.open.iter().copied().rev();
        let index = open.find(|index| self.takes_pieces(*index, streamed));
        match index {
            Some(index) => self.change(index, |cell| {
                if let Some((text, _)) = parts(&mut cell.kind) {
                    text.push_str(delta);
                }
            }),
            None => {
                self.push_open(streamed.cell(delta.to_owned(), ItemState::Coming));
            }
        }
    }

    /// The event says the same as the one before it that begins the item, unless that was missed.
    pub(super) fn begin_search(&mut self, call_id: &str) {
        if self.transcript.running.review.is_none()
            && self.coming(Streamed::WebSearch, call_id).is_none()
        {
            self.start_streamed(Streamed::WebSearch, String::new(), call_id);
        }
    }

    /// The event says the same as the one before it that ends the item, unless that was missed.
    pub(super) fn end_search(&mut self, call_id: &str, query: &str) {
        let has_ended = self.transcript.running.ended_search.take().as_deref() == Some(call_id);
        if !has_ended && self.transcript.running.review.is_none() {
            self.complete_streamed(Streamed::WebSearch, query.to_owned(), call_id);
        }
    }

    /// Where pieces came of an item before it began, it is the same: servers differ.
    fn start_streamed(&mut self, streamed: Streamed, text: String, id: &str) {
        let nameless = self.nameless(streamed).filter(|_| !self.transcript.running.is_torn);
        let index = match nameless {
            Some(index) => index,
            None => self.push_open(streamed.cell(text, ItemState::Coming)),
        };
        self.change(index, |cell| cell.item_id = Some(id.to_owned()));
    }

    fn complete_streamed(&mut self, streamed: Streamed, text: String, id: &str) {
        self.transcript.running.is_committing = true;
        let index = self.coming(streamed, id).or_else(|| self.nameless(streamed));
        let index = match index {
            Some(index) => index,
            None => self.push_open(streamed.cell(String::new(), ItemState::Coming)),
        };
        self.finish(index, |cell| {
            cell.item_id = Some(id.to_owned());
            cell.kind = streamed.cell(text, ItemState::Complete);
        });
    }

    /// The cell of an item that began and is not whole. If servers number items anew the oldest is
    /// meant, but for one from before a gap.
    fn coming(&self, streamed: Streamed, id: &str) -> Option<usize> {
        let mut found = None;
        for index in self.transcript.running.open.iter().copied() {
            let cell = self.transcript.cells.get(index);
            let is_it = cell.is_some_and(|cell| {
                Streamed::coming(&cell.kind) == Some(streamed)
                    && cell.item_id.as_deref() == Some(id)
            });
            match is_it {
                true if !self.is_unsure(index) => return Some(index),
                true => found = found.or(Some(index)),
                false => {}
            }
        }
        found
    }

    /// The cell of an item of which pieces came and no more is known.
    fn nameless(&self, streamed: Streamed) -> Option<usize> {
        let gap = self.transcript.gap;
        self.open(|cell| {
            Streamed::coming(&cell.kind) == Some(streamed)
                && cell.item_id.is_none()
                && cell.changed > gap
        })
    }

    /// Behind a gap nobody knows whose the pieces are.
    fn takes_pieces(&self, index: usize, streamed: Streamed) -> bool {
        let coming = self.kind(index).and_then(Streamed::coming);
        coming == Some(streamed) && !self.is_unsure(index)
    }

    fn complete_user(&mut self, content: &[UserPart], item: &TurnItem) {
        let begun = self.open(|cell| {
            matches!(cell.kind, CellKind::User { .. } | CellKind::Context { .. })
                && cell.item_id.as_deref() == Some(&item.id)
        });
        match begun {
            Some(index) => self.forget(index),
            None => {
                self.push_user(content, item);
            }
        }
    }

    fn push_user(&mut self, content: &[UserPart], item: &TurnItem) -> usize {
        let kind = self.transcript.user_cell_of(content);
        let index = self.push(kind);
        self.change(index, |cell| cell.item_id = Some(item.id.clone()));
        index
    }
}

impl Transcript {
    /// The cell of the user's next message, which is counted. Whether it is one is for the
    /// conversation to say, so that nobody counts otherwise.
    pub(super) fn user_cell_of(&mut self, content: &[UserPart]) -> CellKind {
        let text = content.iter().filter_map(UserPart::text).collect();
        let parts = content.iter().map(|part| match part {
            UserPart::Text { text } => ContentPart::InputText { text: text.clone() },
            // Which image it is does not matter, and it may be large.
            _ => ContentPart::InputImage { image_url: String::new() },
        });
        if is_context(&Item::message(Role::User, &parts.collect::<Vec<_>>())) {
            return CellKind::Context { text };
        }
        let is_image = |part: &&UserPart| matches!(part, UserPart::Image { .. });
        let (images, nth) = (content.iter().filter(is_image).count(), self.user_messages);
        self.user_messages += 1;
        CellKind::User { text, images, nth }
    }
}

/// What a part of a response is, and its text.
pub(super) fn streamed(kind: &TurnItemKind) -> Option<(Streamed, String)> {
    match kind {
        TurnItemKind::AgentMessage { .. } => {
            Some((Streamed::Agent, kind.message_text().unwrap_or_default()))
        }
        TurnItemKind::Reasoning { summary_text, raw_content } => {
            let texts: Vec<&str> =
                summary_text.iter().chain(raw_content).map(String::as_str).collect();
            Some((Streamed::Reasoning, texts.join("\n\n")))
        }
        TurnItemKind::WebSearch { query } => Some((Streamed::WebSearch, query.clone())),
        _ => None,
    }
}

/// The text and the state of what comes in pieces.
fn parts(kind: &mut CellKind) -> Option<(&mut String, &mut ItemState)> {
    match kind {
        CellKind::Agent { text, state }
        | CellKind::Reasoning { text, state }
        | CellKind::WebSearch { query: text, state } => Some((text, state)),
        _ => None,
    }
}
