//! Reading what the log comes to: what is active at its end, and nothing else.

use longhaul_history::turn_item::is_user_message;
use serde_json::value::RawValue;

use super::conversation::Element;
use super::payload::Settings;
use super::reading::Reading;
use super::text::{Entry, Text};
use super::told::Told;
use super::turn::Turn;
use super::{OpenTurn, Replay, ReplayItem, Trouble};
use crate::{Flaw, OnDamage, ReadError};

impl Reading<'_> {
    pub(super) fn finish(mut self) -> Result<Replay, ReadError> {
        let place = self.place;
        let is_salvaged = self.config.on_damage == OnDamage::Salvage && place.next_ordinal > 0;
        if self.fold.meta.is_none() && !is_salvaged {
            return Err(ReadError::NoMeta { torn: self.torn });
        }
        if let Some(asked) = self.config.through.filter(|asked| *asked >= place.next_ordinal) {
            return Err(ReadError::NoSuchOrdinal { asked, available: place.next_ordinal });
        }
        let mut conversation = std::mem::take(&mut self.fold.conversation);
        let exchanged = conversation.take_exchanged();
        let (elements, next_starts_turn, told) = conversation.finish();
        let (mut recent, mut places) = self.fold.recent.read(self.fold.log)?;
        let mut meet = |text, index| places.meet(text, index);
        let mut replay = self.read_conversation(elements, next_starts_turn, told, &mut meet)?;
        recent.meet(places);
        replay.recent = recent;
        replay.has_compaction = exchanged.is_some();
        if let Some(exchanged) = exchanged.filter(|_| self.config.exchanged) {
            replay.exchanged = Some(self.read_exchanged(exchanged)?);
        }
        replay.settings_line = self.fold.settings.as_ref().map(Text::line);
        replay.settings = self.read_newest(|fold| fold.settings.take())?;
        replay.surface = self.read_newest(|fold| fold.surface.take())?;
        replay.token_count = self.read_newest(|fold| fold.token_count.take())?;
        if let Some(sums) = self.read_sums()? {
            replay.token_count = Some(sums);
        }
        let breaker = std::mem::take(&mut self.fold.breaker);
        replay.breaker = self.read_all(breaker)?;
        let inputs = std::mem::take(&mut self.fold.inputs);
        replay.inputs = self.read_all(inputs.into_iter().map(|it| it.text))?;
        let turn = self.fold.turn.take();
        let began = turn.as_ref().map(|turn| turn.offset);
        replay.turn = turn.map(|turn| self.read_turn(turn)).transpose()?;
        if let Some((turn, began)) = replay.turn.as_mut().zip(began) {
            turn.has_lost_lines |= self.damage.iter().any(|damage| damage.offset >= began);
            if turn.has_lost_lines {
                turn.start.forget_index();
            }
        }
        if !self.damage.is_empty() {
            self.fold.grants.clear();
        }
        self.damage.sort_by_key(|damage| damage.offset);
        // What stood before a compaction may stand behind it too.
        self.damage.dedup();
        Ok(Replay {
            meta: self.fold.meta,
            skipped: self.fold.skipped,
            salvaged_from: self.fold.salvaged.and_then(|it| it.from),
            grants: self.fold.grants,
            next_ordinal: place.next_ordinal,
            epoch: place.epoch,
            good_len: place.good_len,
            torn: self.torn,
            damage: self.damage,
            is_foreign: place.is_foreign,
            ..replay
        })
    }

    fn read_turn(&mut self, turn: Turn) -> Result<OpenTurn, ReadError> {
        let Turn { id: turn_id, start, context, schema, calls, told_at, has_lost_lines, .. } = turn;
        let output_schema = schema.map_or(Ok(None), |schema| self.read_json(&schema))?;
        let context = context.map_or(Ok(None), |context| self.read_json(&context))?;
        let calls = self.read_all(calls)?;
        Ok(OpenTurn { turn_id, start, context, output_schema, calls, told_at, has_lost_lines })
    }

    /// The items, and what the model was told at which of them. `meet` is told where each stands in the
    /// log that is there, and its index.
    pub(super) fn read_conversation(
        &mut self,
        elements: Vec<Element<Entry>>,
        next_starts_turn: bool,
        mut told: Told<Settings>,
        meet: &mut dyn FnMut(u64, usize),
    ) -> Result<Replay, ReadError> {
        let mut replay = Replay { next_starts_turn, ..Replay::default() };
        replay.items.reserve_exact(elements.len());
        // An item that starts a turn cannot be read.
        let mut is_lost = false;
        for element in elements {
            let item = element.value.read(self.fold.log);
            let starts_turn = element.starts_turn || is_lost;
            is_lost = starts_turn;
            match self.unless_damaged(element.value.text(), item)?.flatten() {
                Some(item) => {
                    if let Some(text) = element.value.place() {
                        meet(text, replay.items.len());
                    }
                    let starts_turn = starts_turn || self.starts_turn(&item);
                    replay.items.push(ReplayItem { item, starts_turn });
                    if self.config.times {
                        let text = element.value.text();
                        let time = text.map(|it| it.recorded_at(self.fold.log)).transpose()?;
                        replay.times.push(time.flatten());
                    }
                    is_lost = false;
                }
                None => told.remove(replay.items.len()),
            }
        }
        replay.next_starts_turn |= is_lost;
        for (index, settings) in told.into_inner() {
            let json = self.read_json(&settings.text)?;
            replay.told.extend(json.map(|json| (index, json)));
        }
        Ok(replay)
    }

    /// Logs of others do not say where turns start.
    fn starts_turn(&self, item: &longhaul_history::Item) -> bool {
        self.place.is_foreign && is_user_message(item)
    }

    fn read_newest(
        &mut self,
        take: impl FnOnce(&mut super::Fold<'_>) -> Option<Text>,
    ) -> Result<Option<Box<RawValue>>, ReadError> {
        take(&mut self.fold).map_or(Ok(None), |text| self.read_json(&text))
    }

    fn read_all(
        &mut self,
        texts: impl IntoIterator<Item = Text>,
    ) -> Result<Vec<Box<RawValue>>, ReadError> {
        let read = texts.into_iter().map(|text| self.read_json(&text));
        read.filter_map(Result::transpose).collect()
    }

    pub(super) fn read_json(&mut self, text: &Text) -> Result<Option<Box<RawValue>>, ReadError> {
        let json = text.read(self.fold.log).and_then(|json| {
            RawValue::from_string(json).map_err(|it| Flaw::Payload(it.to_string()).into())
        });
        self.unless_damaged(Some(text), json)
    }

    /// What was read; nothing if its line is damaged.
    fn unless_damaged<T>(
        &mut self,
        text: Option<&Text>,
        read: Result<T, Trouble>,
    ) -> Result<Option<T>, ReadError> {
        match (read, text) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(Trouble::Read(error)), _) => Err(error),
            (Err(Trouble::Flaw(flaw)), Some(text)) => {
                self.report(text.damage(flaw))?;
                Ok(None)
            }
            (Err(Trouble::Flaw(_)), None) => Ok(None),
        }
    }
}
