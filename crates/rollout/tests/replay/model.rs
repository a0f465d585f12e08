//! The fold against a model that holds real items in a list, and does what is said of each record
//! in the plainest way.

use longhaul_history::Item;
use longhaul_rollout::{ReplayConfig, ReplayItem, replay};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::log::{Log, new, outline, raw, text};

/// What a session does. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Append,
    Insert(usize),
    Turn {
        told: bool,
        settings: u8,
    },
    /// How many are replaced, and what of it is kept: a bit each, new items between.
    Compact {
        count: usize,
        kept: u16,
        told: Option<u8>,
    },
    Edit {
        count: usize,
        kept: u16,
    },
    Remove(usize),
    Undo,
    Open,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..1_000_usize;
    prop_oneof![
        6 => Just(Step::Append),
        2 => number.clone().prop_map(Step::Insert),
        3 => (any::<bool>(), 0..3_u8).prop_map(|(told, settings)| Step::Turn { told, settings }),
        2 => (number.clone(), any::<u16>(), prop::option::of(0..3_u8))
            .prop_map(|(count, kept, told)| Step::Compact { count, kept, told }),
        1 => (number.clone(), any::<u16>()).prop_map(|(count, kept)| Step::Edit { count, kept }),
        1 => number.prop_map(Step::Remove),
        1 => Just(Step::Undo),
        1 => Just(Step::Open),
    ]
}

type Told = Vec<(usize, u8)>;

/// The list before a compaction and after it, and what the model was told then.
#[derive(Debug, Clone)]
struct Before {
    list: Vec<(String, bool)>,
    after: Vec<(String, bool)>,
    told: Told,
    told_after: Told,
}

#[derive(Debug, Default)]
struct Model {
    /// Texts, and whether a turn starts with each.
    list: Vec<(String, bool)>,
    next_starts_turn: bool,
    told: Told,
    before: Option<Before>,
    count: usize,
    /// What the report of the last compaction says.
    count_at_compaction: usize,
}

impl Model {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("i{}", self.count)
    }

    /// Does the step, and writes its record.
    fn step(&mut self, step: &Step, log: &mut Log) {
        match *step {
            Step::Append => {
                let name = self.name();
                log.user(&name);
                self.list.push((name, std::mem::take(&mut self.next_starts_turn)));
            }
            Step::Insert(at) => {
                let (at, name) = (at % (self.list.len() + 1), self.name());
                log.item_at(at, &name);
                self.list.insert(at, (name, false));
            }
            Step::Turn { told, settings } => {
                log.add("turn_context", json!({"turn_id": "t", "model": settings, "told": told}));
                self.next_starts_turn = true;
                if told && self.told.last().map(|it| it.1) != Some(settings) {
                    self.told.push((self.list.len(), settings));
                }
            }
            Step::Compact { count, kept, told } => {
                let before = self.list.clone();
                let (count, parts) = self.replace(count, kept);
                let settings = told.map_or(Value::Null, |it| json!({"model": it}));
                self.count_at_compaction = self.count;
                log.add(
                    "compacted",
                    json!({"replaced": count, "parts": parts, "told": settings,
                        "report": self.count}),
                );
                let told_before = self.told.clone();
                let last = told.or(self.told.last().map(|it| it.1));
                self.told = last.map(|it| (0, it)).into_iter().collect();
                let (after, told_after) = (self.list.clone(), self.told.clone());
                self.before = Some(Before { list: before, after, told: told_before, told_after });
            }
            Step::Edit { count, kept } => {
                let (count, parts) = self.replace(count, kept);
                log.add("edited", json!({"replaced": count, "parts": parts, "reason": "repaired"}));
            }
            Step::Remove(at) => {
                if self.list.is_empty() {
                    return;
                }
                let at = at % self.list.len();
                let parts = json!([{"keep": [0, at]}]);
                log.add("edited", json!({"replaced": at + 1, "parts": parts, "reason": "removed"}));
                let (_, was_start) = self.list.remove(at);
                match self.list.get_mut(at) {
                    Some(next) => next.1 |= was_start,
                    None => self.next_starts_turn |= was_start,
                }
                for (index, _) in &mut self.told {
                    *index -= usize::from(*index > at);
                }
            }
            Step::Undo => self.undo(log),
            Step::Open => {
                log.epoch += 1;
                log.add("session_opened", json!({"differences": []}));
            }
        }
    }

    /// Replaces the first elements: one is kept where its bit says so, else a new item stands there
    /// for each second one.
    fn replace(&mut self, count: usize, kept: u16) -> (usize, Vec<Value>) {
        let count = count % (self.list.len() + 1);
        let rest = self.list.split_off(count);
        let (mut parts, mut list, mut owed) = (Vec::new(), Vec::new(), false);
        for (index, (name, is_start)) in std::mem::take(&mut self.list).into_iter().enumerate() {
            if kept >> (index % 16) & 1 == 1 {
                parts.push(json!({"keep": [index, index + 1]}));
                list.push((name, is_start | std::mem::take(&mut owed)));
                continue;
            }
            owed |= is_start;
            if index % 2 == 0 {
                let name = self.name();
                parts.push(new(&name));
                list.push((name, false));
            }
        }
        for (name, is_start) in rest {
            list.push((name, is_start | std::mem::take(&mut owed)));
        }
        self.list = list;
        self.next_starts_turn |= owed;
        (count, parts)
    }

    /// Where what the last compaction made still stands at the beginning.
    fn undo(&mut self, log: &mut Log) {
        let Some(before) = self.before.take() else { return };
        if !self.list.starts_with(&before.after) {
            return;
        }
        log.add("compaction_undone", json!({}));
        let since = self.list.split_off(before.after.len());
        self.list = before.list;
        self.list.extend(since);
        self.told = if self.told == before.told_after { before.told } else { Vec::new() };
    }
}

proptest! {
    #[test]
    fn a_log_comes_to_what_its_session_had(steps in prop::collection::vec(step(), 0..60)) {
        let mut log = Log::new();
        let mut model = Model::default();
        for step in &steps {
            model.step(step, &mut log);
            let replay = log.read().map_err(|it| TestCaseError::fail(it.to_string()))?;
            let list: Vec<(String, bool)> = replay.items.iter()
                .map(|ReplayItem { item, starts_turn, .. }| (text(item), *starts_turn))
                .collect();
            prop_assert_eq!(&list, &model.list, "after {:?}: {}", step, outline(&replay));
            prop_assert_eq!(replay.next_starts_turn, model.next_starts_turn, "after {:?}", step);
            let told: Told = replay.told.iter().map(|(at, it)| (*at, model_of(it.get()))).collect();
            prop_assert_eq!(&told, &model.told, "after {:?}", step);
            prop_assert_eq!((replay.next_ordinal, replay.epoch), (log.ordinal, log.epoch));
            check_exchanged(&log, &model);
        }
    }

    #[test]
    fn items_of_any_text_come_back(texts in prop::collection::vec(any::<String>(), 0..20)) {
        let mut log = Log::new();
        for text in &texts {
            log.user(text);
        }
        let replay = log.read().map_err(|it| TestCaseError::fail(it.to_string()))?;
        let items: Vec<Item> = replay.items.into_iter().map(|it| it.item).collect();
        prop_assert_eq!(items, texts.into_iter().map(Item::user).collect::<Vec<_>>());
    }
}

/// Who asks for it is given the list before the last compaction and after it. Where the model says that
/// there is none to take back, the log may still have one: it does not compare.
fn check_exchanged(log: &Log, model: &Model) {
    let mut config = ReplayConfig::default();
    config.exchanged = true;
    let replay = replay(&log.bytes, &(), config).unwrap();
    assert_eq!(replay.has_compaction, replay.exchanged.is_some());
    let fits = |it: &&Before| it.after.len() <= model.list.len();
    let Some(before) = model.before.as_ref().filter(fits) else { return };
    let exchanged = replay.exchanged.unwrap();
    let list = exchanged.before.iter().map(|it| (text(&it.item), it.starts_turn));
    assert_eq!(list.collect::<Vec<_>>(), before.list);
    let after = before.after.iter().map(|it| it.0.clone());
    assert_eq!(exchanged.after.iter().map(text).collect::<Vec<_>>(), after.collect::<Vec<_>>());
    let told = |told: &[(usize, Box<RawValue>)]| -> Told {
        told.iter().map(|(at, it)| (*at, model_of(it.get()))).collect()
    };
    assert_eq!(told(&exchanged.told_before), before.told);
    assert_eq!(told(&exchanged.told_after), before.told_after);
    assert_eq!(exchanged.report.unwrap().get(), model.count_at_compaction.to_string());
}

fn model_of(settings: &str) -> u8 {
    let value: Value = serde_json::from_str(settings).unwrap();
    serde_json::from_value(value["model"].clone()).unwrap()
}

#[test]
fn a_part_of_a_record_is_read_as_it_stands() {
    let mut log = Log::new();
    let item = r#"{"type":"hologram","text":"é \u00e9","n":1e400}"#;
    let payload = format!(r#"{{"replaced":0,"parts":[{{"new": {item} }}],"told": {{"model":1}}}}"#);
    log.seal(&crate::log::record("compacted", &payload));
    let replay = log.read().unwrap();
    assert_eq!(replay.items[0].item.json(), item);
    assert_eq!(replay.told[0].1.get(), raw(&json!({"model": 1})).get());
}
