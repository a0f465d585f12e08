//! A conversation as a plain list that is searched anew each time.

use longhaul_history::{
    CallKind, CallOutput, EditError, Item, ItemKind, Part, ReasoningFilter, Repair, RepairKind,
    Role, WireFormat, turn_item,
};
use twox_hash::XxHash3_64;

pub(crate) const PNG: &str = r#"{"type":"input_image","image_url":"data:image/png;base64,AA=="}"#;
pub(crate) const HEIC: &str = r#"{"type":"input_image","image_url":"data:image/heic;base64,AA=="}"#;

#[derive(Clone, Default)]
pub(crate) struct Naive {
    pub(crate) entries: Vec<Entry>,
    format: WireFormat,
    is_marked: bool,
    is_pending: bool,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) item: Item,
    starts_turn: bool,
    /// Its images are left out, and nobody was told yet.
    is_untold: bool,
}

/// What a prompt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) json: String,
    pub(crate) items: usize,
    pub(crate) tokens: u64,
    pub(crate) hash: u64,
}

/// Tokens, so that a test can reckon them: the bytes of the JSON.
pub(crate) fn tokens(item: &Item) -> u64 {
    item.json().len() as u64
}

fn plain(item: Item) -> Entry {
    Entry { item, starts_turn: false, is_untold: false }
}

fn answers(call: &Item, output: &Item) -> bool {
    let kinds_match = match call.kind().call() {
        Some(CallKind::Function) => output.kind() == ItemKind::FunctionCallOutput,
        Some(CallKind::Custom) => output.kind() == ItemKind::CustomToolCallOutput,
        Some(CallKind::LocalShell) => {
            output.kind().is_output() && output.kind() != ItemKind::CustomToolCallOutput
        }
        None => false,
    };
    kinds_match && call.call_id().is_some() && call.call_id() == output.call_id()
}

fn is_user(item: &Item) -> bool {
    item.kind() == ItemKind::Message(Role::User) && !turn_item::is_context(item)
}

fn wire(item: &Item, format: WireFormat) -> Option<String> {
    let mut out = Vec::new();
    let is_sent = item.encode_wire(format, &mut out);
    is_sent.then(|| String::from_utf8(out).unwrap())
}

fn is_incomplete(item: &Item) -> bool {
    item.kind() != ItemKind::GhostSnapshot && wire(item, WireFormat::default()).is_none()
}

/// The item with a text for each of these images, whichever of its two keys comes first.
fn without(item: &Item, image: &str, text: &str) -> Item {
    let part = format!(r#"{{"type":"input_text","text":"{text}"}}"#);
    let edited = item.json().replace(image, &part).replace(&turned(image), &part);
    Item::from_json(&edited).unwrap()
}

fn turned(image: &str) -> String {
    let (kind, url) = image.trim_matches(['{', '}']).split_once(',').unwrap();
    format!("{{{url},{kind}}}")
}

fn count(item: &Item, image: &str) -> usize {
    item.json().matches(image).count() + item.json().matches(&turned(image)).count()
}

impl Naive {
    pub(crate) fn items(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.entries.iter().map(|entry| &entry.item)
    }

    fn item(&self, index: usize) -> &Item {
        &self.entries[index].item
    }

    /// For each output that has one, its call; for each call that has one, its output.
    fn partners(&self) -> Vec<Option<usize>> {
        let mut partners = vec![None; self.entries.len()];
        for output in 0..self.entries.len() {
            if !self.item(output).kind().is_output() {
                continue;
            }
            let answered = |call: &usize| answers(self.item(*call), self.item(output));
            let call = (0..output).rev().find(|call| answered(call) && partners[*call].is_none());
            if let Some(call) = call {
                (partners[call], partners[output]) = (Some(output), Some(call));
            }
        }
        partners
    }

    /// For each item whether it is a call without an output or an output without a call.
    fn broken(&self) -> Vec<bool> {
        let takes_part = |item: &Item| {
            (item.kind().call().is_some() || item.kind().is_output()) && item.call_id().is_some()
        };
        let partners = self.partners().into_iter();
        self.items()
            .zip(partners)
            .map(|(item, partner)| takes_part(item) && partner.is_none())
            .collect()
    }

    /// Whether something of the model's comes behind reasoning.
    fn is_followed(&self, reasoning: usize, broken: &[bool]) -> bool {
        let behind = (reasoning + 1..self.entries.len()).find(|&index| {
            let item = self.item(index);
            let is_orphan = broken[index] && item.kind().is_output();
            let is_skipped = matches!(item.kind(), ItemKind::Reasoning | ItemKind::GhostSnapshot);
            !is_skipped && !is_orphan && !is_incomplete(item)
        });
        behind.is_some_and(|index| match self.item(index).kind() {
            ItemKind::Message(role) => role == Role::Assistant,
            kind => !kind.is_output(),
        })
    }

    pub(crate) fn mark_turns(&mut self) {
        self.is_marked = true;
    }

    pub(crate) fn begin_turn(&mut self) {
        (self.is_marked, self.is_pending) = (true, true);
    }

    pub(crate) fn record(&mut self, item: Item) {
        let starts_turn = self.is_pending || (!self.is_marked && is_user(&item));
        self.is_pending = false;
        let is_untold = item.has_images() && !self.format.images;
        self.entries.push(Entry { item, starts_turn, is_untold });
    }

    pub(crate) fn record_output(&mut self, output: Item) {
        let broken = self.broken();
        let turn = self.turn_start().unwrap_or(0);
        let mut calls = (turn..self.entries.len()).chain((0..turn).rev());
        match calls.find(|&call| broken[call] && answers(self.item(call), &output)) {
            Some(call) => {
                let is_untold = output.has_images() && !self.format.images;
                self.entries.insert(call + 1, Entry { is_untold, ..plain(output) });
            }
            None => self.record(output),
        }
    }

    pub(crate) fn normalise(&mut self) -> Vec<Repair> {
        let broken = self.broken();
        let mut gone = vec![false; self.entries.len()];
        let mut behind: Vec<Option<Item>> = vec![None; self.entries.len()];
        let mut changed: Vec<Item> = self.items().cloned().collect();
        let mut repairs = Vec::new();
        let mut report = |kind, index: usize| {
            let call_id = self.item(index).call_id().map(str::to_owned);
            repairs.push(Repair { kind, call_id, item_index: index });
        };
        for (index, Entry { item, is_untold, .. }) in self.entries.iter().enumerate() {
            if is_incomplete(item) {
                gone[index] = true;
                report(RepairKind::IncompleteItem, index);
            }
            if item.kind() == ItemKind::Reasoning && !self.is_followed(index, &broken) {
                gone[index] = true;
                report(RepairKind::UnfollowedReasoning, index);
            }
            if count(item, HEIC) > 0 {
                changed[index] = without(item, HEIC, "[image left out: no model reads this type]");
                report(RepairKind::UnreadableImage, index);
            }
            if *is_untold {
                report(RepairKind::ImageLeftOut, index);
            }
        }
        let orphans = |index: &usize| broken[*index] && self.item(*index).kind().is_output();
        for index in (0..self.entries.len()).filter(orphans) {
            let output = self.item(index);
            let is_open = |call: &usize| {
                broken[*call] && behind[*call].is_none() && answers(self.item(*call), output)
            };
            let call = (index..self.entries.len()).find(is_open);
            let kind = match call {
                Some(call) => {
                    behind[call] = Some(changed[index].clone());
                    RepairKind::OutputBeforeCall
                }
                None if self.items().any(|call| answers(call, output)) => {
                    RepairKind::DuplicateOutput
                }
                None => RepairKind::OrphanOutput,
            };
            gone[index] = true;
            report(kind, index);
        }
        for call in (0..self.entries.len()).filter(|&index| broken[index]) {
            let Some(kind) = self.item(call).kind().call() else { continue };
            if behind[call].is_none() {
                let id = self.item(call).call_id().unwrap();
                behind[call] = Some(Item::output(kind, id, CallOutput::text("aborted")));
                report(RepairKind::MissingOutput, call);
            }
        }
        repairs.sort_by_key(|repair| repair.item_index);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            entry.item = changed[index].clone();
            entry.is_untold = false;
        }
        self.edit(|index, entry| {
            let kept = (!gone[index]).then(|| entry.clone());
            kept.into_iter().chain(behind[index].clone().map(plain)).collect()
        });
        repairs
    }

    /// Puts others in the place of each entry. Where the first item of a turn goes, the next begins it.
    fn edit(&mut self, edit: impl Fn(usize, &Entry) -> Vec<Entry>) {
        let (mut entries, mut carried) = (Vec::new(), false);
        for (index, entry) in self.entries.iter().enumerate() {
            let edited = edit(index, entry);
            carried |= entry.starts_turn && edited.is_empty();
            for mut new in edited {
                new.starts_turn |= std::mem::take(&mut carried);
                entries.push(new);
            }
        }
        self.is_pending |= carried;
        self.entries = entries;
    }

    pub(crate) fn remove_oldest(&mut self, count: usize) -> usize {
        let before = self.entries.len();
        for _ in 0..count.min(before) {
            if self.entries.is_empty() {
                break;
            }
            let broken = self.broken();
            let is_called_too_late = |call: &usize| {
                broken[0] && broken[*call] && answers(self.item(*call), self.item(0))
            };
            let too_late = (1..self.entries.len()).find(is_called_too_late);
            let counterpart = self.partners()[0].or(too_late);
            self.edit(|index, entry| {
                let is_gone = index == 0 || counterpart == Some(index);
                if is_gone { vec![] } else { vec![entry.clone()] }
            });
        }
        before - self.entries.len()
    }

    pub(crate) fn replace_prefix(
        &mut self,
        count: usize,
        parts: Vec<Part>,
    ) -> Result<(), EditError> {
        if count > self.entries.len() {
            return Err(out_of_range("item", count, self.entries.len()));
        }
        let ranges = parts.iter().filter_map(|part| match part {
            Part::Keep(range) => Some(range.clone()),
            Part::New(_) => None,
        });
        let mut kept: Vec<usize> = Vec::new();
        let mut end = 0;
        for range in ranges {
            if range.start < end || range.end < range.start || range.end > count {
                return Err(EditError::NotInOrder { start: range.start, end: range.end, count });
            }
            end = range.end;
            kept.extend(range);
        }
        kept.extend(count..self.entries.len());
        for index in (0..count).filter(|index| !kept.contains(index)) {
            if !self.entries[index].starts_turn {
                continue;
            }
            match kept.iter().find(|place| **place > index) {
                Some(next) => self.entries[*next].starts_turn = true,
                None => self.is_pending = true,
            }
        }
        let mut entries = Vec::new();
        for part in parts {
            match part {
                Part::Keep(range) => entries.extend(self.entries[range].iter().cloned()),
                Part::New(item) => entries.push(Entry {
                    starts_turn: !self.is_marked && is_user(&item),
                    is_untold: item.has_images() && !self.format.images,
                    item,
                }),
            }
        }
        entries.extend(self.entries.drain(count..));
        self.entries = entries;
        Ok(())
    }

    /// What an item counts as it is sent.
    pub(crate) fn tokens_of(&self, item: &Item) -> u64 {
        if wire(item, self.format).is_none() {
            return 0;
        }
        let text = "[image left out: this model takes no images]";
        let is_whole = self.format.images || !item.has_images();
        if is_whole {
            tokens(item)
        } else {
            tokens(&without(&without(item, PNG, text), HEIC, text))
        }
    }

    pub(crate) fn turns(&self) -> Vec<usize> {
        let starts = self.entries.iter().enumerate().filter(|(_, entry)| entry.starts_turn);
        starts.map(|(index, _)| index).collect()
    }

    pub(crate) fn user_messages(&self) -> Vec<usize> {
        let messages = self.items().enumerate().filter(|(_, item)| is_user(item));
        messages.map(|(index, _)| index).collect()
    }

    pub(crate) fn drop_last_turns(&mut self, count: usize) -> Result<usize, EditError> {
        let turns = self.turns();
        let Some(first) = turns.len().checked_sub(count) else {
            return Err(out_of_range("turn", count, turns.len()));
        };
        Ok(self.cut(turns.get(first).copied().unwrap_or(self.entries.len())))
    }

    pub(crate) fn cut_before_user_message(&mut self, n: usize) -> Result<usize, EditError> {
        let messages = self.user_messages();
        let index = messages.get(n).ok_or(out_of_range("user message", n, messages.len()))?;
        Ok(self.cut(*index))
    }

    fn cut(&mut self, len: usize) -> usize {
        let removed = self.entries.len() - len;
        self.entries.truncate(len);
        removed
    }

    pub(crate) fn replace_images(&mut self, range: std::ops::Range<usize>) -> usize {
        let mut images = 0;
        for entry in self.entries.iter_mut().take(range.end).skip(range.start) {
            for image in [PNG, HEIC] {
                images += count(&entry.item, image);
                entry.item = without(&entry.item, image, "gone");
                entry.is_untold &= entry.item.has_images();
            }
        }
        images
    }

    pub(crate) fn disown_reasoning(&mut self) -> Vec<Repair> {
        let reasoning =
            self.items().enumerate().filter(|(_, item)| item.kind() == ItemKind::Reasoning);
        let kind = RepairKind::ForeignReasoning;
        let repairs: Vec<Repair> =
            reasoning.map(|(item_index, _)| Repair { kind, call_id: None, item_index }).collect();
        self.edit(|_, entry| {
            let is_gone = entry.item.kind() == ItemKind::Reasoning;
            if is_gone { vec![] } else { vec![entry.clone()] }
        });
        repairs
    }

    pub(crate) fn set_format(&mut self, format: WireFormat) {
        let is_news = self.format.images && !format.images;
        self.format = format;
        for entry in &mut self.entries {
            entry.is_untold &= !format.images;
            entry.is_untold |= is_news && entry.item.has_images();
        }
    }

    /// Where the current turn began.
    pub(crate) fn turn_start(&self) -> Option<usize> {
        if self.is_pending { Some(self.entries.len()) } else { self.turns().last().copied() }
    }

    /// What is sent.
    pub(crate) fn prompt(&self, filter: ReasoningFilter) -> Sent {
        let mut repaired = self.clone();
        repaired.normalise();
        let from = match filter {
            ReasoningFilter::KeepAll => 0,
            ReasoningFilter::DropAll => usize::MAX,
            _ => repaired.turn_start().unwrap_or(0),
        };
        let kept = repaired.items().enumerate();
        let kept =
            kept.filter(|(index, item)| item.kind() != ItemKind::Reasoning || *index >= from);
        let (mut wires, mut count) = (Vec::new(), 0);
        for (_, item) in kept {
            let Some(wire) = wire(item, self.format) else { continue };
            wires.push(wire);
            count += self.tokens_of(item);
        }
        let json = format!("[{}]", wires.join(","));
        Sent { json, items: wires.len(), tokens: count, hash: hash(&wires) }
    }
}

fn out_of_range(what: &'static str, asked: usize, available: usize) -> EditError {
    EditError::OutOfRange { what, asked, available }
}

/// The polynomial of the documentation, by Horner's rule.
fn hash(wires: &[String]) -> u64 {
    let prime = u128::from((1_u64 << 61) - 1);
    let base = 0x0c3a_5c85_c97c_b127_u128;
    let item = |wire: &String| u128::from(XxHash3_64::oneshot(wire.as_bytes()));
    let hash = wires.iter().fold(0, |hash, wire| (hash * base + item(wire)) % prime);
    u64::try_from(hash).unwrap()
}
