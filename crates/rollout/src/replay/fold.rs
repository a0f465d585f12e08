//! What each record of ours does.

use std::collections::BTreeMap;

use super::conversation::Conversation;
use super::payload::{
    Breaker, Call, Grant, Input, Replacement, Salvaged, Settings, TurnContext, Turns, Undone,
    event_type, read,
};
use super::recent::Recent;
use super::shown::{has_shown_type, may_be_shown};
use super::sums::Sums;
use super::text::{Entry, Log, Text};
use super::turn::Turn;
use super::{Trouble, foreign};
use crate::scan::{Line, Scan};
use crate::{FORMAT_VERSION, Flaw, ReadError, RecordKind, SessionMeta};

/// What the records so far come to.
pub(super) struct Fold<'a> {
    pub(super) log: Log<'a>,
    pub(super) meta: Option<SessionMeta>,
    pub(super) conversation: Conversation<Entry, Settings>,
    /// The report of the last compaction.
    pub(super) report: Option<Text>,
    pub(super) recent: Recent,
    pub(super) settings: Option<Text>,
    pub(super) surface: Option<Text>,
    /// The newest of another program.
    pub(super) token_count: Option<Text>,
    pub(super) sums: Sums,
    /// The newest `breaker`, and before it those that tell of what was seen.
    pub(super) breaker: Vec<Text>,
    /// The newest `breaker` tells of nothing that was seen.
    is_breaker_state_alone: bool,
    pub(super) grants: Vec<String>,
    pub(super) inputs: Vec<Waiting>,
    pub(super) turn: Option<Turn>,
    /// The newest that an input brought which was taken while no turn had begun.
    schema: Option<Text>,
    /// What the last record says, if a salvage ended with it.
    pub(super) salvaged: Option<Salvaged>,
    /// What another program recorded and nobody here understands, by its type.
    pub(super) skipped: BTreeMap<String, u64>,
}

/// An input that waits.
pub(super) struct Waiting {
    id: String,
    /// The whole payload.
    pub(super) text: Text,
    /// The item of it.
    item: Option<Text>,
    /// What the final message has to follow.
    schema: Option<Text>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(log: Log<'a>) -> Self {
        Self {
            log,
            meta: None,
            conversation: Conversation::default(),
            report: None,
            recent: Recent::default(),
            settings: None,
            surface: None,
            token_count: None,
            sums: Sums::default(),
            breaker: Vec::new(),
            is_breaker_state_alone: false,
            grants: Vec::new(),
            inputs: Vec::new(),
            turn: None,
            schema: None,
            salvaged: None,
            skipped: BTreeMap::new(),
        }
    }

    /// Adds a record. One that is at fault changes nothing.
    pub(super) fn add(&mut self, line: &Line, scan: &Scan<'_>) -> Result<(), Trouble> {
        let text = Text::payload(line);
        self.salvaged = None;
        if line.head.kind == Some(RecordKind::ResponseItem) {
            if let Some(id) = &line.head.input {
                return Ok(self.take_input(id)?);
            }
            self.add_item(line.head.at, Entry::Stored(text.clone()))?;
            if may_be_shown(line, scan)? {
                self.remember(text, line.head.at);
            }
            return Ok(());
        }
        if line.head.kind == Some(RecordKind::Shown) && !scan.is_foreign() {
            self.recent.record_shown(text);
            return Ok(());
        }
        // Only where it is looked at: a later version's may be long.
        let payload = || scan.bytes(line.payload());
        if scan.is_foreign() {
            return foreign::add(self, line.head.kind.as_ref(), text, &payload()?);
        }
        match line.head.kind {
            Some(RecordKind::SessionMeta) => self.add_meta(&payload()?),
            Some(RecordKind::Compacted) => Ok(self.compact(&text, &payload()?)?),
            Some(RecordKind::Edited) => Ok(self.edit(&text, &payload()?)?),
            Some(RecordKind::CompactionUndone) => Ok(self.undo_compaction(&payload()?)?),
            Some(RecordKind::TurnContext) => Ok(self.begin_turn(text, &payload()?)?),
            Some(RecordKind::Settings) => {
                self.settings = Some(text);
                Ok(())
            }
            Some(RecordKind::Surface) => {
                self.surface = Some(text);
                Ok(())
            }
            Some(RecordKind::EventMsg) => Ok(self.add_event(&text, &payload()?)?),
            Some(RecordKind::Call) => {
                self.add_call(text, &payload()?);
                Ok(())
            }
            Some(RecordKind::Breaker) => Ok(self.add_breaker(text, &payload()?)?),
            Some(RecordKind::Grant) => Ok(self.add_grant(&payload()?)?),
            Some(RecordKind::Input) => Ok(self.add_input(text, &payload()?)?),
            Some(RecordKind::LostItem) => Ok(self.add_item(line.head.at, Entry::Lost)?),
            Some(RecordKind::Salvaged) => {
                self.salvaged = Some(read(&payload()?)?);
                self.conversation.forget(|entry| matches!(entry, Entry::Lost));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An item cannot be read. Its place is kept, so that records which count items count right.
    pub(super) fn lose_item(&mut self, at: Option<usize>) {
        // What is not sound may name any place: then it has none.
        let _ = self.add_item(at, Entry::Lost);
    }

    fn add_item(&mut self, at: Option<usize>, entry: Entry) -> Result<(), Flaw> {
        match at {
            Some(at) => self.conversation.insert(at, entry)?,
            None => self.conversation.append(entry),
        }
        Ok(())
    }

    /// An item that may be shown was recorded.
    fn remember(&mut self, text: Text, at: Option<usize>) {
        let place = at.map(|at| {
            let elements: Vec<&Entry> = self.conversation.iter().collect();
            self.recent.place_behind(&elements[..at], &elements[at..])
        });
        self.recent.record(text, place);
    }

    /// The first names the session.
    fn add_meta(&mut self, payload: &[u8]) -> Result<(), Trouble> {
        let meta: SessionMeta = read(payload)?;
        let missing = || Flaw::Payload("no `format_version`".into());
        let found = meta.format_version.ok_or_else(missing)?;
        if found > FORMAT_VERSION {
            return Err(ReadError::NewerFormat { found, known: FORMAT_VERSION }.into());
        }
        self.meta.get_or_insert(meta);
        Ok(())
    }

    fn compact(&mut self, text: &Text, payload: &[u8]) -> Result<(), Flaw> {
        let made: Replacement<'_> = read(payload)?;
        let told = made
            .told
            .map(|told| Settings::read(text.part(payload, told.get()), told.get().as_bytes()));
        let pieces = made.pieces(text, payload);
        self.conversation.compact(made.replaced, pieces, told.transpose()?)?;
        if let Some(turn) = &mut self.turn {
            turn.told_at = None;
            turn.start.forget_index();
        }
        self.report = made.report.map(|report| text.part(payload, report.get()));
        self.sums.forget_measured();
        self.set_turns(made.turns);
        Ok(())
    }

    fn undo_compaction(&mut self, payload: &[u8]) -> Result<(), Flaw> {
        let undone: Undone = read(payload)?;
        self.conversation.undo_compaction()?;
        self.turn.iter_mut().for_each(|turn| turn.start.forget_index());
        self.sums.forget_measured();
        self.set_turns(undone.turns);
        Ok(())
    }

    fn set_turns(&mut self, turns: Option<Turns>) {
        if let Some(Turns { items, next }) = turns {
            self.conversation.set_turns(&items, next);
        }
    }

    fn edit(&mut self, text: &Text, payload: &[u8]) -> Result<(), Flaw> {
        let edit: Replacement<'_> = read(payload)?;
        let pieces = edit.pieces(text, payload);
        let shown = edit.pieces_of(&pieces, has_shown_type);
        let before: Vec<Entry> = self.conversation.iter().take(edit.replaced).cloned().collect();
        self.conversation.edit(edit.replaced, pieces)?;
        self.turn.iter_mut().for_each(|turn| turn.start.forget_index());
        let before: Vec<&Entry> = before.iter().collect();
        self.recent.edit(&before, edit.replaced, &shown);
        if edit.reason.as_deref() == Some("removed") {
            edit.removed().into_iter().for_each(|index| self.conversation.told.remove(index));
        }
        self.set_turns(edit.turns);
        Ok(())
    }

    fn begin_turn(&mut self, text: Text, payload: &[u8]) -> Result<(), Flaw> {
        let context: TurnContext = read(payload)?;
        let mut told_at = None;
        if context.told {
            let settings = Settings::of_object(text.clone(), payload);
            let len = self.conversation.len();
            told_at = self.conversation.told.note(len, settings).then_some(len);
        }
        self.conversation.begin_turn();
        self.settings = Some(text.clone());
        self.schema = None;
        self.turn = Some(Turn::begin(context.turn_id, text, told_at));
        Ok(())
    }

    /// A call may be of a turn that no line has begun.
    fn add_call(&mut self, text: Text, payload: &[u8]) {
        let call: Option<Call<'_>> = read(payload).ok();
        let is_own = |turn: &Turn| call.as_ref().is_none_or(|it| it.turn_id == turn.id);
        if !self.turn.as_ref().is_some_and(is_own) {
            let Some(call) = &call else { return };
            let turn = Turn::unbegun(call, self.conversation.len());
            self.turn = Some(Turn { schema: self.schema.take(), ..turn });
        }
        if let Some(turn) = &mut self.turn {
            turn.add_call(call.as_ref(), text);
        }
    }

    fn add_event(&mut self, text: &Text, payload: &[u8]) -> Result<(), Flaw> {
        match &*event_type(payload)? {
            "token_count" => self.sums.add(text, payload)?,
            "task_complete" | "turn_aborted" => (self.turn, self.schema) = (None, None),
            _ => {}
        }
        Ok(())
    }

    fn add_breaker(&mut self, text: Text, payload: &[u8]) -> Result<(), Flaw> {
        let breaker: Breaker<'_> = read(payload)?;
        if breaker.anew {
            self.breaker.clear();
        }
        let is_state_alone = self.is_breaker_state_alone;
        self.breaker.pop_if(|_| is_state_alone);
        self.is_breaker_state_alone = breaker.seen.is_none();
        self.breaker.push(text);
        Ok(())
    }

    fn add_grant(&mut self, payload: &[u8]) -> Result<(), Flaw> {
        let grant: Grant = read(payload)?;
        if grant.cleared {
            self.grants.clear();
        }
        let digest = grant.digest.filter(|digest| !self.grants.contains(digest));
        self.grants.extend(digest);
        Ok(())
    }

    /// The item is the one that the input brought. If that is lost, it keeps a place.
    fn take_input(&mut self, taken: &str) -> Result<(), Flaw> {
        let waiting = self.inputs.extract_if(.., |it| it.id == taken).last();
        let (item, schema) = waiting.map(|it| (it.item, it.schema)).unwrap_or_default();
        if let Some(schema) = schema {
            let taken = self.turn.as_mut().map_or(&mut self.schema, |turn| &mut turn.schema);
            *taken = Some(schema);
        }
        let missing = || Flaw::Payload(format!("no input `{taken}` waits"));
        let found = item.as_ref().map(|_| ()).ok_or_else(missing);
        if let Some(item) = &item {
            self.remember(item.clone(), None);
        }
        self.add_item(None, item.map_or(Entry::Lost, Entry::Stored))?;
        found
    }

    fn forget_input(&mut self, gone: &str) {
        self.inputs.retain(|it| it.id != gone);
    }

    fn add_input(&mut self, text: Text, payload: &[u8]) -> Result<(), Flaw> {
        let input: Input<'_> = read(payload)?;
        match input.state.as_str() {
            "accepted" => {
                let item = input.item.map(|item| text.part(payload, item.get()));
                let schema = input.output_schema.map(|it| text.part(payload, it.get()));
                self.inputs.push(Waiting { id: input.id, text, item, schema });
            }
            "withdrawn" | "taken" => self.forget_input(&input.id),
            _ => {}
        }
        Ok(())
    }
}
