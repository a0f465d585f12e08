//! The changes that a session tells, in order, make its conversation again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use longhaul_history::{CallOutput, History, Item, Part, ReasoningFilter, WireFormat};
use longhaul_state::protocol::{Settings, SettingsUpdate};
use longhaul_state::{
    AcceptedInput, Change, ContextMessages, EditCause, SessionState, Surface, TurnStarts,
};
use longhaul_transport::RateLimits;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

/// What somebody does to a session.
#[derive(Debug, Clone)]
enum Step {
    BeginTurn,
    Say(u8),
    Call(u8),
    Answer(u8),
    Remove(usize),
    Send,
    Compact { replaced: usize, kept: (usize, usize), tells: bool },
    UndoCompaction,
    Move(u8),
    Learn(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::BeginTurn),
        4 => any::<u8>().prop_map(Step::Say),
        4 => (0..4_u8).prop_map(Step::Call),
        4 => (0..4_u8).prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::Remove),
        2 => Just(Step::Send),
        1 => (any::<usize>(), any::<(usize, usize)>(), any::<bool>())
            .prop_map(|(replaced, kept, tells)| Step::Compact { replaced, kept, tells }),
        1 => Just(Step::UndoCompaction),
        1 => (0..3_u8).prop_map(Step::Move),
        1 => any::<u64>().prop_map(Step::Learn),
    ]
}

/// Tells the folder, once for each.
struct Folder;

impl ContextMessages for Folder {
    fn messages(&self, told: Option<&Settings>, now: &Settings) -> Vec<Item> {
        let is_new = told.is_none_or(|told| told.cwd != now.cwd);
        is_new
            .then(|| Item::user(format!("<environment_context>{:?}", now.cwd)))
            .into_iter()
            .collect()
    }
}

fn apply(state: &SessionState, step: &Step) {
    match *step {
        Step::BeginTurn => state.begin_turn(&Arc::from("t"), &state.settings(), &Folder),
        Step::Say(n) => state.record([Item::user(format!("{n}"))]),
        Step::Call(n) => state.record([Item::function_call(&format!("c{n}"), "tool", "{}")]),
        Step::Answer(n) => {
            let output = Item::function_call_output(&format!("c{n}"), CallOutput::text("out"));
            state.record_output(output);
        }
        Step::Remove(index) => {
            let history = state.history();
            if let Some(item) = history.get(index % history.len().max(1)) {
                state.remove(index % history.len(), item);
            }
        }
        Step::Send => drop(state.prompt(ReasoningFilter::default(), WireFormat::default())),
        Step::Compact { replaced, kept: (from, to), tells } => {
            let base = state.history();
            let replaced = replaced % (base.len() + 1);
            let from = from % (replaced + 1);
            let to = from + to % (replaced - from + 1);
            let report = json!({"trigger": "manual", "strategy": "s", "tokens_before": 9,
                "tokens_after": 1, "kept_items": 0, "dropped_items": 0, "trimmed_items": 0,
                "cut_tokens": 0, "requests": 1, "duration_ms": 1});
            let bridge: serde_json::Value =
                serde_json::from_str(Item::user("bridge").json()).unwrap();
            let compacted = json!({"replaced": replaced, "report": report,
                "parts": [{"new": bridge}, {"keep": [from, to]}]});
            let told = tells.then(|| state.settings());
            let compacted = serde_json::from_value(compacted).unwrap();
            state.install(&base, &compacted, told).unwrap();
        }
        Step::UndoCompaction => drop(state.undo_compaction()),
        Step::Move(n) => {
            let mut update = SettingsUpdate::default();
            update.cwd = Some(format!("/{n}").into());
            state.update_settings(update);
        }
        Step::Learn(tokens) => state.learn_window("m", tokens),
    }
}

/// A session out of its changes, without a history: a list, and what is known besides.
#[derive(Default)]
struct Naive {
    items: Vec<Item>,
    turns: TurnStarts,
    /// The list before the last compaction, and how long that left it.
    before: Option<(Vec<Item>, usize)>,
    settings: Option<Settings>,
    window: Option<u64>,
}

impl Naive {
    /// All that is new.
    fn take(&mut self, state: &SessionState) {
        for change in changes(state) {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::TurnBegan { settings, .. } => {
                self.settings = Some(settings);
                self.turns.next = true;
            }
            Change::Settings(settings) => self.settings = Some(settings),
            Change::Recorded { item, at: None, .. } => {
                if std::mem::take(&mut self.turns.next) {
                    self.turns.items.push(self.items.len());
                }
                self.items.push(item);
            }
            Change::Recorded { item, at: Some(at), .. } => {
                self.turns.items.iter_mut().for_each(|turn| *turn += usize::from(*turn >= at));
                self.items.insert(at, item);
            }
            Change::Edited(edit) => {
                self.items = compose(&self.items, edit.parts);
                self.turns = edit.turns;
                if let EditCause::Removed(index) = edit.cause {
                    assert!(index <= self.items.len());
                }
            }
            Change::Compacted { compacted, turns, .. } => {
                let before = std::mem::take(&mut self.items);
                self.items = compose(&before[..compacted.replaced], compacted.parts);
                self.items.extend_from_slice(&before[compacted.replaced..]);
                self.before = Some((before, self.items.len()));
                self.turns = turns;
            }
            Change::CompactionUndone { turns } => {
                let (mut items, replaced) = self.before.take().unwrap();
                items.extend(self.items.drain(replaced..));
                (self.items, self.turns) = (items, turns);
            }
            Change::Used(known) => {
                self.window = known.models.get("m").and_then(|model| model.window);
            }
            other => panic!("nobody did that: {other:?}"),
        }
    }
}

fn compose(items: &[Item], parts: Vec<Part>) -> Vec<Item> {
    let parts = parts.into_iter().flat_map(|part| match part {
        Part::Keep(range) => items[range].to_vec(),
        Part::New(item) => vec![item],
    });
    parts.collect()
}

fn changes(state: &SessionState) -> Vec<Change> {
    match state.poll_changes(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some((changes, _))) => changes,
        Poll::Ready(None) | Poll::Pending => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn changes_make_the_session_again(steps in vec((step(), any::<bool>()), 1..40)) {
        let state = SessionState::new(History::default(), Settings::new("m"));
        state.keep_journal();
        // As every session does before it says anything.
        apply(&state, &Step::BeginTurn);
        let mut naive = Naive::default();
        for (step, takes) in steps {
            apply(&state, &step);
            if takes {
                naive.take(&state);
            }
        }
        naive.take(&state);
        let history = state.history();
        prop_assert!(history.iter().eq(&naive.items), "{:?}\n{:?}", history, naive.items);
        prop_assert!(history.turn_starts(0).eq(naive.turns.items));
        prop_assert_eq!(history.awaits_turn(), naive.turns.next);
        prop_assert_eq!(state.learned_window("m"), naive.window.filter(|tokens| *tokens > 0));
        if let Some(settings) = naive.settings {
            prop_assert_eq!(state.settings(), settings);
        }
    }
}

#[test]
fn a_copy_keeps_no_journal_and_a_closed_one_ends() {
    let state = SessionState::new(History::default(), Settings::new("m"));
    let poll = |state: &SessionState| {
        state.poll_changes(&mut Context::from_waker(Waker::noop())).map(|some| some.map(|it| it.1))
    };
    assert_eq!(poll(&state), Poll::Ready(None), "nobody asked for one");
    state.keep_journal();
    assert_eq!(poll(&state), Poll::Pending);
    state.record([Item::user("a"), Item::user("b")]);
    let fork = state.fork();
    fork.record([Item::user("c")]);
    assert_eq!((poll(&fork), fork.change_count()), (Poll::Ready(None), 0));
    state.record([Item::user("d")]);
    state.close_journal();
    assert_eq!(poll(&state), Poll::Ready(Some(3)));
    assert_eq!(poll(&state), Poll::Ready(None));
}

/// What is to be kept, by kinds.
fn kinds(state: &SessionState) -> Vec<&'static str> {
    let kind = |change| match change {
        Change::Settings(_) => "settings",
        Change::Surface(_) => "surface",
        Change::Used(_) => "used",
        Change::Recorded { input: None, .. } => "recorded",
        Change::Recorded { input: Some(_), .. } => "taken",
        Change::InputAccepted(_) => "accepted",
        Change::InputGone(_) => "gone",
        Change::Place(_) => "place",
        other => panic!("nobody did that: {other:?}"),
    };
    changes(state).into_iter().map(kind).collect()
}

fn kept() -> SessionState {
    let state = SessionState::new(History::default(), Settings::new("m"));
    state.keep_journal();
    state
}

fn accept(state: &SessionState, id: &str) {
    state.note_accepted(|| AcceptedInput::new(id, "s", Item::user(id)));
}

/// Whoever keeps changes takes none for a long time.
#[test]
fn what_waits_to_be_kept_does_not_grow_with_what_is_taken_back_or_said_anew() {
    let state = kept();
    for n in 0..1_000_u16 {
        apply(&state, &Step::Move(u8::from(n % 2 == 0)));
        accept(&state, &n.to_string());
        let mut surface = Surface::default();
        surface.provider = Some(n.to_string());
        state.set_surface(surface);
        state.add_cost(1.0);
        state.note_place().unwrap();
        state.note_gone(n.to_string().into());
    }
    assert_eq!(kinds(&state), ["settings", "surface", "used", "place"]);
    assert_eq!(state.change_count(), 6_000);
}

#[test]
fn what_is_left_of_changes_says_all_that_they_said() {
    let state = kept();
    accept(&state, "a");
    accept(&state, "b");
    state.note_gone("a".into());
    state.record_input(Item::user("b"), "b".into());
    assert_eq!(kinds(&state), ["recorded"], "it never waited");
    accept(&state, "c");
    accept(&state, "d");
    assert_eq!(kinds(&state), ["accepted", "accepted"]);
    state.note_gone("c".into());
    state.record_input(Item::user("d"), "d".into());
    assert_eq!(kinds(&state), ["gone", "taken"], "that they wait is kept already");
    let places = (state.note_place().unwrap(), state.note_place().unwrap());
    assert_eq!(kinds(&state), ["place", "place"], "somebody asks for both");
    drop(places);
}

/// Whoever waits for a change that was taken back waits for nothing.
#[test]
fn what_nothing_is_left_of_is_told_too() {
    let state = kept();
    let poll = || state.poll_changes(&mut Context::from_waker(Waker::noop()));
    accept(&state, "a");
    state.note_gone("a".into());
    assert!(matches!(poll(), Poll::Ready(Some((changes, 2))) if changes.is_empty()));
    assert!(poll().is_pending());
}

#[test]
fn limits_of_the_server_go_with_the_next_change() {
    let limits = |percent| {
        let mut limits = RateLimits::default();
        let window = json!({"used_percent": percent});
        limits.primary = Some(serde_json::from_value(window).unwrap());
        limits
    };
    let state = kept();
    let known = || {
        changes(&state).into_iter().find_map(|change| match change {
            Change::Used(known) => Some(known.rate_limits),
            _ => None,
        })
    };
    state.record_rate_limits(limits(1.0));
    assert_eq!((state.change_count(), changes(&state).len()), (0, 0));
    state.record_rate_limits(limits(2.0));
    state.record([Item::user("a")]);
    assert_eq!((state.change_count(), known()), (1, Some(Some(limits(2.0)))));
    state.record([Item::user("b")]);
    assert_eq!(known(), None, "they are kept");
    state.record_rate_limits(limits(3.0));
    state.close_journal();
    assert_eq!(known(), Some(Some(limits(3.0))), "or with the end");
}
