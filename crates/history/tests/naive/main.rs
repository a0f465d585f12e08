//! G1 (sendable), G12 (nothing twice), by another way: a history behaves like a plain list that is searched anew each
//! time, whatever is done to it and its forks, within a segment (64 KiB, 512 items) and across.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod model;

use std::ops::Range;
use std::sync::Arc;

use longhaul_history::tokens::TokenCounter;
use longhaul_history::{
    CallOutput, ContentPart, History, HistoryConfig, ImageEdit, Item, Prompt, ReasoningFilter,
    Role, WireFormat,
};
use longhaul_testkit::strategies;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use model::{HEIC, Naive, PNG, Sent};

const FILTERS: [ReasoningFilter; 3] =
    [ReasoningFilter::CurrentTurn, ReasoningFilter::KeepAll, ReasoningFilter::DropAll];

#[derive(Clone, Debug)]
enum Op {
    Record(Item),
    RecordOutput(Item),
    /// So many messages of so many bytes, to cross segments.
    Bulk(usize, usize),
    BeginTurn,
    Normalise,
    /// The oldest so many, of all.
    RemoveOldest(Index),
    ReplacePrefix(Index, Vec<Item>),
    ReplaceTooMuch,
    DropLastTurns(usize),
    CutBeforeUserMessage(usize),
    ReplaceImages(Index, Index),
    DisownReasoning,
    SetFormat(WireFormat),
    /// Goes on with both.
    Fork,
    /// Keeps a prompt, which must never change.
    Snapshot,
}

fn formats() -> Vec<WireFormat> {
    let mut formats = Vec::new();
    for (item_ids, images) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut format = WireFormat::default();
        (format.item_ids, format.images) = (item_ids, images);
        formats.push(format);
    }
    formats
}

fn with_images() -> impl Strategy<Value = Item> {
    let part = select(vec![PNG, HEIC, r#"{"type":"input_text","text":"look"}"#]);
    let field = select(vec![
        r#""type":"message","role":"user","content""#,
        r#""type":"message","role":"developer","content""#,
        r#""type":"function_call_output","call_id":"call_1","output""#,
    ]);
    (field, prop::collection::vec(part, 1..4)).prop_map(|(field, parts)| {
        Item::from_json(&format!("{{{field}:[{}]}}", parts.join(","))).unwrap()
    })
}

fn context() -> impl Strategy<Value = Item> {
    let texts = ["<environment_context>\n</environment_context>", " <USER_INSTRUCTIONS>x"];
    select(texts.map(Item::user).to_vec())
}

fn any_item() -> impl Strategy<Value = Item> {
    prop_oneof![8 => strategies::item(), 1 => with_images(), 1 => context()]
}

fn ops(bulk: u32, count: Range<usize>) -> impl Strategy<Value = Vec<(Index, Op)>> {
    let sizes = prop_oneof![
        (500_usize..530, Just(1)),
        (1_usize..4, Just(40_000)),
        (1_usize..3, Just(70_000)),
        (20_usize..60, Just(2_000)),
    ];
    let edit = prop_oneof![
        any::<Index>().prop_map(Op::RemoveOldest),
        (any::<Index>(), prop::collection::vec(any_item(), 0..3))
            .prop_map(|(count, items)| Op::ReplacePrefix(count, items)),
        (0_usize..4).prop_map(Op::DropLastTurns),
        (0_usize..6).prop_map(Op::CutBeforeUserMessage),
        any::<(Index, Index)>().prop_map(|(from, to)| Op::ReplaceImages(from, to)),
        Just(Op::DisownReasoning),
        select(formats()).prop_map(Op::SetFormat),
        Just(Op::ReplaceTooMuch),
    ];
    let op = prop_oneof![
        20 => any_item().prop_map(Op::Record),
        12 => strategies::call_and_output().prop_map(|(_, output)| Op::RecordOutput(output)),
        2 => any_item().prop_map(Op::RecordOutput),
        bulk * 2 => sizes.prop_map(|(count, bytes)| Op::Bulk(count, bytes)),
        2 => Just(Op::BeginTurn),
        2 => Just(Op::Normalise),
        8 => edit,
        2 => Just(Op::Fork),
        2 => Just(Op::Snapshot),
    ];
    prop::collection::vec((any::<Index>(), op), count)
}

struct Bytes;

impl TokenCounter for Bytes {
    fn count_text(&self, text: &str) -> u64 {
        text.len() as u64
    }

    fn count_item(&self, item: &Item) -> u64 {
        model::tokens(item)
    }
}

#[derive(Clone)]
struct Pair {
    history: History,
    naive: Naive,
    snapshots: Vec<(Prompt, Sent)>,
}

impl Default for Pair {
    fn default() -> Self {
        Self::in_format(WireFormat::default())
    }
}

impl Pair {
    fn in_format(format: WireFormat) -> Self {
        let mut config = HistoryConfig::default();
        (config.counter, config.format) = (Arc::new(Bytes), format);
        let mut naive = Naive::default();
        naive.set_format(format);
        Self { history: History::with_config(config), naive, snapshots: Vec::new() }
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        let Self { history, naive, snapshots } = self;
        let len = naive.entries.len();
        match op {
            Op::Record(item) => {
                history.record(item.clone());
                naive.record(item);
            }
            Op::RecordOutput(item) => {
                history.record_output(item.clone());
                naive.record_output(item);
            }
            Op::Bulk(count, bytes) => {
                let message = Item::assistant("x".repeat(bytes));
                history.extend(vec![message.clone(); count]);
                for _ in 0..count {
                    naive.record(message.clone());
                }
            }
            Op::BeginTurn => {
                history.begin_turn();
                naive.begin_turn();
            }
            Op::Normalise => prop_assert_eq!(history.normalise(), naive.normalise()),
            Op::RemoveOldest(count) => {
                let count = count.index(len.min(20) + 2);
                prop_assert_eq!(history.remove_oldest(count), naive.remove_oldest(count));
            }
            Op::ReplacePrefix(count, items) => {
                let count = count.index(len + 1);
                let replaced = history.replace_prefix(count, items.clone());
                prop_assert_eq!(replaced, naive.replace_prefix(count, items));
            }
            Op::ReplaceTooMuch => {
                let refused = history.replace_prefix(len + 1, [Item::user("lost")]);
                prop_assert_eq!(refused, naive.replace_prefix(len + 1, vec![Item::user("lost")]));
            }
            Op::DropLastTurns(count) => {
                prop_assert_eq!(history.drop_last_turns(count), naive.drop_last_turns(count));
            }
            Op::CutBeforeUserMessage(n) => {
                let cut = history.cut_before_user_message(n);
                prop_assert_eq!(cut, naive.cut_before_user_message(n));
            }
            Op::ReplaceImages(from, to) => {
                let range = from.index(len + 1)..to.index(len + 3);
                let edit = ImageEdit::replace("gone");
                let edited = history.edit_images(range.clone(), &edit);
                prop_assert_eq!(edited, naive.replace_images(range));
            }
            Op::DisownReasoning => {
                prop_assert_eq!(history.disown_reasoning(), naive.disown_reasoning());
            }
            Op::SetFormat(format) => {
                history.set_format(format);
                naive.set_format(format);
            }
            Op::Snapshot => {
                let filter = ReasoningFilter::CurrentTurn;
                snapshots.push((history.prompt(filter), naive.prompt(filter)));
            }
            Op::Fork => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Self { history, naive, snapshots } = self;
        prop_assert!(history.iter().eq(naive.items()));
        prop_assert!(history.iter().rev().eq(naive.items().rev()));
        let len = naive.entries.len();
        prop_assert_eq!(history.len(), len);
        let by_index = (0..=len).map(|index| history.get(index));
        prop_assert!(by_index.eq(naive.items().map(Some).chain([None])));
        prop_assert_eq!(history.turn_start(), naive.turn_start());
        prop_assert_eq!(history.turn_count(), naive.turns().len());
        let user_messages = naive.user_messages();
        prop_assert_eq!(history.last_user_message(), user_messages.last().copied());
        prop_assert_eq!(history.user_message_count(), user_messages.len());
        let by_number = (0..=user_messages.len()).map(|n| history.user_message(n));
        prop_assert!(by_number.eq(user_messages.into_iter().map(Some).chain([None])));
        let fresh = FILTERS.map(|filter| (history.prompt(filter), naive.prompt(filter)));
        for (prompt, sent) in fresh.iter().chain(snapshots) {
            prop_assert!(prompt.to_json() == *sent.json, "{:?}\n{}", prompt, sent.json);
            prop_assert_eq!(prompt.byte_len(), sent.json.len());
            let Sent { json, .. } = sent.clone();
            let (items, tokens, hash) =
                (prompt.item_count(), prompt.tokens(), prompt.prefix_hash());
            prop_assert_eq!(&Sent { json, items, tokens, hash }, sent);
        }
        Ok(())
    }
}

fn run(format: WireFormat, ops: Vec<(Index, Op)>) -> Result<(), TestCaseError> {
    let mut pairs = vec![Pair::in_format(format)];
    for (which, op) in ops {
        let which = which.index(pairs.len());
        if let Op::Fork = op {
            pairs.push(pairs[which].clone());
        }
        pairs[which].apply(op)?;
    }
    pairs.iter().try_for_each(Pair::check)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn small_histories(format in select(formats()), ops in ops(0, 0..40)) {
        run(format, ops)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn histories_of_many_segments(format in select(formats()), ops in ops(8, 20..60)) {
        run(format, ops)?;
    }
}

/// An output for the call at every place of a history of several segments.
#[test]
fn insertion_at_and_around_segment_boundaries() {
    let places =
        (0..1_100).filter(|place| place % 512 < 3 || place % 512 > 509 || place % 100 == 7);
    for place in places {
        let mut pair = Pair::default();
        let call = Item::function_call("c", "t", "{}");
        let output = Item::function_call_output("c", CallOutput::text("o"));
        let ops = [
            Op::Bulk(place, 10),
            Op::Record(Item::reasoning(&["r"], None)),
            Op::Record(call),
            Op::Bulk(1_100 - place, 10),
            Op::Snapshot,
            Op::BeginTurn,
            Op::RecordOutput(output),
            Op::Record(Item::reasoning(&["r"], None)),
        ];
        for op in ops {
            pair.apply(op).unwrap();
        }
        pair.check().unwrap();
    }
}

/// Cuts and removals at and around every place where one segment ends and the next begins.
#[test]
fn edits_at_and_around_segment_boundaries() {
    let mut whole = Pair::default();
    for number in 0..1_060 {
        let item = match number % 5 {
            0 => Item::user(format!("{number}")),
            1 => Item::reasoning(&["r"], None),
            2 => Item::function_call("c", "t", &number.to_string()),
            3 => Item::function_call_output("c", CallOutput::text("o")),
            _ => Item::message(Role::Assistant, &[ContentPart::OutputText { text: "a".into() }]),
        };
        whole.apply(Op::Record(item)).unwrap();
    }
    for place in
        [0, 1, 2, 3, 4, 5, 509, 510, 511, 512, 513, 514, 515, 1_023, 1_024, 1_025, 1_059, 1_060]
    {
        let mut removed = whole.clone();
        assert_eq!(removed.history.remove_oldest(place), removed.naive.remove_oldest(place));
        removed.check().unwrap();
        let mut replaced = whole.clone();
        let items = vec![Item::user("instead"), Item::assistant("of it")];
        replaced.history.replace_prefix(place, items.clone()).unwrap();
        replaced.naive.replace_prefix(place, items).unwrap();
        replaced.check().unwrap();
        let mut cut = whole.clone();
        let (n, turns) = (place / 5, 212 - place / 5);
        cut.apply(Op::CutBeforeUserMessage(n)).unwrap();
        cut.check().unwrap();
        let mut dropped = whole.clone();
        dropped.apply(Op::DropLastTurns(turns)).unwrap();
        dropped.check().unwrap();
    }
    whole.check().unwrap();
}
