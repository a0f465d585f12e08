//! A conversation becomes cells, and cells are found in it again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_history::{CallOutput, History, Item, ItemView};

use super::calls::tool;
use super::items::streamed;
use super::{Cell, CellKind, CompactionState, ItemState, ToolState, Transcript};
use crate::tool::as_text;

/// A message of the user that is to be said differently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// Where its cell is.
    pub cell: usize,
    /// Which message of the user it is in the conversation, from 0: a fork keeps what stands strictly
    /// before it, and [`History::cut_before_user_message`] takes this number. `None` if the
    /// conversation does not hold the message any more, because a compaction has replaced it: no
    /// place in it is the right one then.
    pub before: Option<usize>,
    /// Its texts, joined: what the user edits.
    pub text: String,
    /// How many images came with it, which are not in the text.
    pub images: usize,
    /// The item that it is.
    pub item_id: String,
}

impl Transcript {
    /// The cells of a conversation that was not followed from its beginning: a resumed or forked one.
    /// Calls have their outputs; one without has an unknown end. Its messages of the user are those
    /// that `history` counts.
    ///
    /// Events of what `history` holds already would add it again: take it while no turn runs, and
    /// apply what comes from then on.
    pub fn of_history(history: &History) -> Self {
        let mut transcript = Self::new();
        let mut open = Vec::new();
        for item in history.iter() {
            transcript.add(item, &mut open);
        }
        transcript
    }

    /// The `n`-th message of the user, counted from 0, to be said differently in a fork of `history`,
    /// which is the conversation as it now is. [`trim`](Self::trim) with the same number shows what is
    /// left.
    ///
    /// Of a conversation its events do not tell all: a compaction keeps some messages and not others,
    /// it can be undone, pinned items are recorded in silence. So nothing is counted here that
    /// `history` counts: the message is looked for in it, by its id.
    ///
    /// Looks at the messages of the user in `history` and here.
    ///
    /// ```
    /// use longhaul::history::{History, Item};
    /// use longhaul::transcript::Transcript;
    ///
    /// let mut history = History::default();
    /// history.extend([Item::user("Mend the roof."), Item::assistant("Done."), Item::user("And now?")]);
    /// let mut transcript = Transcript::of_history(&history);
    ///
    /// let selection = transcript.select(1, &history).unwrap();
    /// assert_eq!((selection.before, &*selection.text), (Some(1), "And now?"));
    /// let mut fork = history.clone();
    /// fork.cut_before_user_message(1)?;
    /// transcript.trim(1);
    /// assert_eq!((fork.len(), transcript.cells().len()), (2, 2));
    /// # Ok::<(), longhaul::history::EditError>(())
    /// ```
    pub fn select(&self, n: usize, history: &History) -> Option<Selection> {
        let index = self.user_cell(n)?;
        let cell = self.cells.get(index)?;
        let CellKind::User { text, images, .. } = &cell.kind else {
            return None;
        };
        Some(Selection {
            cell: index,
            before: self.positions(history).get(n).copied().flatten(),
            text: text.clone(),
            images: *images,
            item_id: cell.item_id.clone().unwrap_or_default(),
        })
    }

    /// For each message of the user here, which one of `history` it is, from 0; `None` for those that
    /// it does not hold any more. This is what [`select`](Self::select) says, for all at once.
    pub fn positions(&self, history: &History) -> Vec<Option<usize>> {
        let users = self.cells.iter().filter(|cell| matches!(cell.kind, CellKind::User { .. }));
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (nth, cell) in users.enumerate() {
            places.entry(cell.item_id.as_deref().unwrap_or_default()).or_default().push(nth);
        }
        let mut positions = vec![None; self.user_messages];
        // From the end, because what is gone is gone from the beginning; and in one order, because
        // items without an id that say the same are shown under the same.
        let mut end = self.user_messages;
        for position in (0..history.user_message_count()).rev() {
            let item = history.user_message(position).and_then(|index| history.get(index));
            let id = item.and_then(shown_id);
            let nths = id.as_deref().and_then(|id| places.get_mut(id));
            let nth = nths.and_then(|nths| {
                nths.truncate(nths.partition_point(|nth| *nth < end));
                nths.pop()
            });
            if let Some(nth) = nth {
                end = nth;
                positions[nth] = Some(position);
            }
        }
        positions
    }

    /// Adds what is shown of an item; `open` are the calls without an output.
    fn add(&mut self, item: &Item, open: &mut Vec<usize>) {
        if let Some(shown) = TurnItem::of(item) {
            // No call of an earlier turn gets an output of a later one that shares its id.
            if matches!(shown.kind, TurnItemKind::UserMessage { .. }) {
                open.clear();
            }
            self.add_shown(shown);
            return;
        }
        let Some(call_id) = item.call_id() else {
            return;
        };
        match item.view() {
            ItemView::Output(output) => self.answer(call_id, item.is_failed(), &output, open),
            view => {
                if let Some((name, arguments)) = view.into_call() {
                    open.push(self.cells.len());
                    self.add_cell(None, tool([call_id, &name, &arguments], ToolState::Unknown));
                }
            }
        }
    }

    fn add_shown(&mut self, shown: TurnItem) {
        let kind = match &shown.kind {
            TurnItemKind::UserMessage { content } => self.user_cell_of(content),
            TurnItemKind::ContextCompaction => {
                let state = CompactionState::Done { report: None };
                CellKind::Compaction { trigger: None, state }
            }
            kind => match streamed(kind) {
                Some((streamed, text)) => streamed.cell(text, ItemState::Complete),
                None => return,
            },
        };
        self.add_cell(Some(shown.id), kind);
    }

    /// Outputs stand in the order of their calls, also where calls share an id.
    fn answer(
        &mut self,
        call_id: &str,
        is_failed: bool,
        output: &CallOutput,
        open: &mut Vec<usize>,
    ) {
        let is_its = |index: &usize| {
            let kind = self.cells.get(*index).map(|cell| &cell.kind);
            matches!(kind, Some(CellKind::Tool { call_id: id, .. }) if id == call_id)
        };
        let Some(place) = open.iter().position(is_its) else {
            return;
        };
        let index = open.remove(place);
        if let Some(Cell { kind: CellKind::Tool { state, .. }, .. }) = self.cells.get_mut(index) {
            let output = as_text(output);
            *state = ToolState::Ended { success: !is_failed, output, duration: None };
        }
    }

    fn add_cell(&mut self, item_id: Option<String>, kind: CellKind) {
        let (turn_id, submission_id): (Arc<str>, Arc<str>) = (Arc::default(), Arc::default());
        let id = self.next_id;
        self.cells.push(Cell { id, changed: 0, turn_id, submission_id, item_id, kind });
        self.next_id += 1;
    }
}

/// The id under which an item is shown.
fn shown_id(item: &Item) -> Option<String> {
    let carried = item.shown_id().map(Cow::into_owned);
    carried.or_else(|| TurnItem::of(item).map(|shown| shown.id))
}
