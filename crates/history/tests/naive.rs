//! G1 (sendable), by another way: a history behaves like a plain list that is searched anew each time, whatever is
//! done to it and its forks, within a segment (64 KiB, 512 items) and across.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::{
    CallKind, CallOutput, History, Item, ItemKind, Prompt, ReasoningFilter, Repair, RepairKind,
    Role, WireFormat,
};
use longhaul_testkit::strategies;
use proptest::prelude::*;
use proptest::sample::Index;

const FILTERS: [ReasoningFilter; 3] =
    [ReasoningFilter::CurrentTurn, ReasoningFilter::KeepAll, ReasoningFilter::DropAll];

#[derive(Clone, Default)]
struct Naive {
    items: Vec<Item>,
    turn_start: Option<usize>,
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
    item.kind() == ItemKind::Message(Role::User)
}

impl Naive {
    /// For each item whether it is a call without an output or an output without a call.
    fn broken(&self) -> Vec<bool> {
        let takes_part = |item: &Item| {
            (item.kind().call().is_some() || item.kind().is_output()) && item.call_id().is_some()
        };
        let mut broken: Vec<bool> = self.items.iter().map(takes_part).collect();
        for (index, output) in self.items.iter().enumerate() {
            let call =
                (0..index).rev().find(|&call| broken[call] && answers(&self.items[call], output));
            if let Some(call) = call {
                broken[call] = false;
                broken[index] = false;
            }
        }
        broken
    }

    fn record_output(&mut self, output: Item) {
        let broken = self.broken();
        let turn = self.items.iter().rposition(is_user).unwrap_or(0);
        let mut calls = (turn..self.items.len()).chain((0..turn).rev());
        match calls.find(|&call| broken[call] && answers(&self.items[call], &output)) {
            Some(call) => {
                self.items.insert(call + 1, output);
                self.turn_start = self.turn_start.map(|at| at + usize::from(at > call));
            }
            None => self.items.push(output),
        }
    }

    fn normalise(&mut self) -> Vec<Repair> {
        let broken = self.broken();
        let (mut items, mut repairs, mut turn_start) = (Vec::new(), Vec::new(), None);
        for (index, item) in self.items.iter().enumerate() {
            if self.turn_start == Some(index) {
                turn_start = Some(items.len());
            }
            let is_orphan = broken[index] && item.kind().is_output();
            if !is_orphan {
                items.push(item.clone());
            }
            let (Some(call_id), true) = (item.call_id(), broken[index]) else {
                continue;
            };
            if let Some(kind) = item.kind().call() {
                items.push(Item::output(kind, call_id, CallOutput::text("aborted")));
            }
            let kind = if is_orphan { RepairKind::OrphanOutput } else { RepairKind::MissingOutput };
            repairs.push((kind, Some(call_id.to_owned()), index));
        }
        if self.turn_start == Some(self.items.len()) {
            turn_start = Some(items.len());
        }
        *self = Self { items, turn_start };
        repairs
            .into_iter()
            .map(|(kind, call_id, item_index)| Repair { kind, call_id, item_index })
            .collect()
    }

    /// What is sent, and how many items it is.
    fn prompt(&self, filter: ReasoningFilter) -> (String, usize) {
        let mut repaired = self.clone();
        repaired.normalise();
        let last_user = repaired.items.iter().rposition(is_user);
        let from = match filter {
            ReasoningFilter::KeepAll => 0,
            ReasoningFilter::DropAll => usize::MAX,
            _ => repaired.turn_start.or(last_user).unwrap_or(0),
        };
        let kept = repaired.items.iter().enumerate();
        let kept =
            kept.filter(|(index, item)| item.kind() != ItemKind::Reasoning || *index >= from);
        let wire: Vec<String> = kept.filter_map(|(_, item)| wire(item)).collect();
        (format!("[{}]", wire.join(",")), wire.len())
    }
}

fn wire(item: &Item) -> Option<String> {
    let mut out = Vec::new();
    let is_sent = item.encode_wire(WireFormat::default(), &mut out);
    is_sent.then(|| String::from_utf8(out).unwrap())
}

#[derive(Clone, Debug)]
enum Op {
    Record(Item),
    RecordOutput(Item),
    /// So many messages of so many bytes, to cross segments.
    Bulk(usize, usize),
    BeginTurn,
    Normalise,
    /// Goes on with both.
    Fork,
    /// Keeps a prompt, which must never change.
    Snapshot,
}

fn ops(bulk: u32, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(Index, Op)>> {
    let sizes = prop_oneof![
        (500_usize..530, Just(1)),
        (1_usize..4, Just(40_000)),
        (1_usize..3, Just(70_000)),
        (20_usize..60, Just(2_000)),
    ];
    let op = prop_oneof![
        10 => strategies::item().prop_map(Op::Record),
        6 => strategies::call_and_output().prop_map(|(_, output)| Op::RecordOutput(output)),
        1 => strategies::item().prop_map(Op::RecordOutput),
        bulk => sizes.prop_map(|(count, bytes)| Op::Bulk(count, bytes)),
        1 => Just(Op::BeginTurn),
        1 => Just(Op::Normalise),
        1 => Just(Op::Fork),
        1 => Just(Op::Snapshot),
    ];
    prop::collection::vec((any::<Index>(), op), count)
}

#[derive(Clone, Default)]
struct Pair {
    history: History,
    naive: Naive,
    snapshots: Vec<(Prompt, (String, usize))>,
}

impl Pair {
    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        let Self { history, naive, snapshots } = self;
        match op {
            Op::Record(item) => {
                history.record(item.clone());
                naive.items.push(item);
            }
            Op::RecordOutput(item) => {
                history.record_output(item.clone());
                naive.record_output(item);
            }
            Op::Bulk(count, bytes) => {
                let message = Item::assistant("x".repeat(bytes));
                history.extend(vec![message.clone(); count]);
                naive.items.extend(vec![message; count]);
            }
            Op::BeginTurn => {
                history.begin_turn();
                naive.turn_start = Some(naive.items.len());
            }
            Op::Normalise => prop_assert_eq!(history.normalise(), naive.normalise()),
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
        prop_assert!(history.iter().eq(&naive.items));
        prop_assert!(history.iter().rev().eq(naive.items.iter().rev()));
        prop_assert_eq!(history.len(), naive.items.len());
        let by_index = (0..=naive.items.len()).map(|index| history.get(index));
        prop_assert!(by_index.eq(naive.items.iter().map(Some).chain([None])));
        let fresh = FILTERS.map(|filter| (history.prompt(filter), naive.prompt(filter)));
        for (prompt, (json, count)) in fresh.iter().chain(snapshots) {
            prop_assert!(prompt.to_json() == *json, "{:?}\n{}", prompt, json);
            prop_assert_eq!((prompt.byte_len(), prompt.item_count()), (json.len(), *count));
        }
        Ok(())
    }
}

fn run(ops: Vec<(Index, Op)>) -> Result<(), TestCaseError> {
    let mut pairs = vec![Pair::default()];
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
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn small_histories(ops in ops(0, 0..40)) {
        run(ops)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn histories_of_many_segments(ops in ops(8, 20..60)) {
        run(ops)?;
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
