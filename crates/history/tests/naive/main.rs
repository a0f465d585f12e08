//! G1 (sendable), G12 (nothing twice), by another way: a history behaves like a plain list that is searched anew each
//! time, whatever is done to it and its forks, within a segment (64 KiB, 512 items) and across.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod model;

use std::ops::Range;
use std::sync::Arc;

use longhaul_history::tokens::TokenCounter;
use longhaul_history::{
    CallOutput, ContentPart, History, HistoryConfig, ImageEdit, Item, Part, Prompt,
    ReasoningFilter, Role, WireFormat,
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
    MarkTurns,
    Normalise,
    /// The oldest so many, of all.
    RemoveOldest(Index),
    /// Parts of which the ranges are cut to the length; one in some is out of order.
    ReplacePrefix(Index, Vec<RawPart>),
    Compose(Vec<RawPart>),
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

/// An item, or a range between two places of the conversation, in the order that the list says or
/// in any.
#[derive(Clone, Debug)]
enum RawPart {
    New(Item),
    Keep(Index, Index, bool),
}

fn raw_parts() -> impl Strategy<Value = Vec<RawPart>> {
    let is_in_order = prop::bool::weighted(0.97);
    let keep = (any::<Index>(), any::<Index>(), is_in_order)
        .prop_map(|(start, end, is_in_order)| RawPart::Keep(start, end, is_in_order));
    prop::collection::vec(prop_oneof![any_item().prop_map(RawPart::New), keep], 0..5)
}

/// The parts for a prefix of `count` items.
fn parts(raw: Vec<RawPart>, count: usize) -> Vec<Part> {
    let mut at = 0;
    let part = |raw| match raw {
        RawPart::New(item) => Part::New(item),
        RawPart::Keep(start, end, true) => {
            let start = at + start.index((count - at) / 2 + 1);
            at = start + end.index(count - start + 1);
            Part::Keep(start..at)
        }
        RawPart::Keep(start, end, false) => {
            Part::Keep(start.index(count + 2)..end.index(count + 2))
        }
    };
    raw.into_iter().map(part).collect()
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
    let marked = strategies::item().prop_map(|item| item.pinned().failed());
    prop_oneof![
        16 => strategies::item(),
        2 => with_images(),
        2 => context(),
        1 => marked,
        1 => strategies::bridge(),
    ]
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
        (any::<Index>(), raw_parts()).prop_map(|(count, parts)| Op::ReplacePrefix(count, parts)),
        raw_parts().prop_map(Op::Compose),
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
        1 => Just(Op::MarkTurns),
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
            Op::MarkTurns => {
                history.mark_turns();
                naive.mark_turns();
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
            Op::ReplacePrefix(count, raw) => {
                let count = count.index(len + 1);
                let parts = parts(raw, count);
                let replaced = history.replace_prefix(count, parts.clone());
                prop_assert_eq!(replaced, naive.replace_prefix(count, parts));
            }
            Op::Compose(raw) => {
                let parts = parts(raw, len);
                let before = self.clone();
                let composed = self.history.composed(parts.clone());
                prop_assert_eq!(&self.history, &before.history);
                prop_assert_eq!(composed.is_ok(), self.naive.replace_prefix(len, parts).is_ok());
                if let Ok(composed) = composed {
                    self.history = composed;
                }
            }
            Op::ReplaceTooMuch => {
                let refused = history.replace_prefix(len + 1, [Item::user("lost")]);
                prop_assert_eq!(
                    refused,
                    naive.replace_prefix(len + 1, vec![Item::user("lost").into()])
                );
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
        prop_assert!(history.turn_starts(0).eq(naive.turns()));
        prop_assert_eq!(history.turn_count(), naive.turns().len());
        let user_messages = naive.user_messages();
        prop_assert_eq!(history.last_user_message(), user_messages.last().copied());
        prop_assert_eq!(history.user_message_count(), user_messages.len());
        let by_number = (0..=user_messages.len()).map(|n| history.user_message(n));
        prop_assert!(by_number.eq(user_messages.into_iter().map(Some).chain([None])));
        self.check_tokens()?;
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

impl Pair {
    /// The tokens of each item, from both ends, and of all before some of them.
    fn check_tokens(&self) -> Result<(), TestCaseError> {
        let Self { history, naive, .. } = self;
        let len = naive.entries.len();
        let expected: Vec<(&Item, u64)> =
            naive.items().map(|item| (item, naive.tokens_of(item))).collect();
        prop_assert!(history.measured(0..len + 1).eq(expected.iter().copied()));
        prop_assert!(history.measured(0..len).rev().eq(expected.iter().rev().copied()));
        let sum = |items: &[(&Item, u64)]| items.iter().map(|(_, tokens)| tokens).sum::<u64>();
        for at in (0..=len).step_by(len / 16 + 1).chain([len, len + 1]) {
            let (before, behind) = expected.split_at(at.min(len));
            let next = behind.iter().copied().take(40);
            prop_assert!(history.measured(at..at + 40).eq(next));
            prop_assert_eq!(history.tokens_before(at), sum(before));
        }
        prop_assert_eq!(history.tokens(), sum(&expected));
        Ok(())
    }

    /// Whether it begins with another that shares some of it, and with one that shares nothing.
    fn check_prefix(&self, other: &Self) -> Result<(), TestCaseError> {
        let (own, others) = (self.naive.items(), &other.naive);
        let is_prefix = own.zip(others.items()).all(|(one, two)| one == two)
            && others.entries.len() <= self.naive.entries.len();
        prop_assert_eq!(self.history.starts_with(&other.history), is_prefix);
        let read = |item: &Item| Item::from_json(item.json()).unwrap();
        let mut apart = History::default();
        apart.extend(other.naive.items().map(read));
        prop_assert_eq!(self.history.starts_with(&apart), is_prefix);
        Ok(())
    }
}

/// The later one is made of these parts of the earlier; where something was only removed, none is new.
fn check_difference(
    before: &History,
    after: &History,
    only_removed: bool,
) -> Result<(), TestCaseError> {
    let parts = after.parts_of(before);
    let is_new = parts.iter().any(|part| matches!(part, Part::New(_)));
    prop_assert!(!only_removed || !is_new, "{:?}", parts);
    prop_assert!(before.composed(parts).is_ok_and(|composed| composed == *after));
    Ok(())
}

fn run(format: WireFormat, ops: Vec<(Index, Op)>) -> Result<(), TestCaseError> {
    let mut pairs = vec![Pair::in_format(format)];
    for (which, op) in ops {
        let which = which.index(pairs.len());
        if let Op::Fork = op {
            pairs.push(pairs[which].clone());
        }
        let before = pairs[which].history.clone();
        let only_removed =
            matches!(op, Op::RemoveOldest(_) | Op::DropLastTurns(_) | Op::CutBeforeUserMessage(_));
        pairs[which].apply(op)?;
        check_difference(&before, &pairs[which].history, only_removed)?;
    }
    for pair in &pairs {
        pair.check()?;
        pairs.iter().try_for_each(|other| pair.check_prefix(other))?;
    }
    Ok(())
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
        let parts = [
            Part::New(Item::user("instead")),
            Part::Keep(place / 3..place / 2),
            Part::New(Item::assistant("of it")),
            Part::Keep(place.saturating_sub(1)..place),
        ];
        replaced.history.replace_prefix(place, parts.clone()).unwrap();
        replaced.naive.replace_prefix(place, parts.to_vec()).unwrap();
        replaced.check().unwrap();
        assert!(!replaced.history.starts_with(&whole.history));
        let mut cut = whole.clone();
        let (n, turns) = (place / 5, 212 - place / 5);
        cut.apply(Op::CutBeforeUserMessage(n)).unwrap();
        cut.check().unwrap();
        cut.check_prefix(&whole).unwrap();
        whole.check_prefix(&cut).unwrap();
        let mut dropped = whole.clone();
        dropped.apply(Op::DropLastTurns(turns)).unwrap();
        dropped.check().unwrap();
    }
    whole.check().unwrap();
}
