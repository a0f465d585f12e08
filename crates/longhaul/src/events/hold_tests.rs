//! Events behind a log that is slow, against a plain list of all that was sent.

use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_history::{History, Item};
use longhaul_state::SessionState;
use longhaul_state::protocol::Settings;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Events of a session whose changes are to be kept, and the session.
fn kept(events: usize, bytes: usize) -> (Arc<EventLog>, Arc<SessionState>) {
    let state = Arc::new(SessionState::new(History::default(), Settings::new("m")));
    state.keep_journal();
    let log = EventLog::new(EventBuffer::new(events, bytes)).behind(Arc::clone(&state));
    (Arc::new(log), state)
}

fn emitter(log: &Arc<EventLog>) -> Emitter {
    Emitter::new(Arc::clone(log), "1".into())
}

fn item(id: usize) -> Event {
    let kind = TurnItemKind::AgentMessage { content: Vec::new() };
    Event::ItemCompleted(TurnItem { id: id.to_string(), kind })
}

/// All that a reader can have now, a word each; texts that follow each other are one.
fn told(reader: &mut SessionEvents) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_text = false;
    while let Some(Some(event)) = futures_util::FutureExt::now_or_never(reader.next()) {
        match (&event.event, words.last_mut()) {
            (Event::TextDelta(text), Some(last)) if is_text => last.push_str(text),
            (Event::TextDelta(text), _) => words.push(text.clone()),
            (Event::ItemCompleted(item), _) => words.push(format!("item {}", item.id)),
            (Event::Missed { first, last }, _) => words.push(format!("missed {first}-{last}")),
            (event, _) => words.push(format!("{event:?}")),
        }
        is_text = matches!(event.event, Event::TextDelta(_));
    }
    words
}

#[test]
fn deltas_that_wait_take_what_they_say_and_lose_no_character() {
    let (log, state) = kept(10_000, 1 << 20);
    let mut reader = SessionEvents::from(Arc::clone(&log), 1);
    let sender = emitter(&log);
    state.record([Item::user("a")]);
    sender.emit(item(0));
    for n in 0..100_000 {
        sender.emit(Event::TextDelta((n % 10).to_string()));
    }
    let (count, bytes) = log.waiting();
    assert_eq!(count, 2);
    assert!(bytes < 101_000, "{bytes}");
    assert_eq!(told(&mut reader), [""; 0]);
    log.release(1);
    assert_eq!(told(&mut reader), ["item 0".to_owned(), "0123456789".repeat(10_000)]);
    assert_eq!(log.waiting(), (0, 0));
}

#[test]
fn what_waits_is_bounded_and_says_so_and_no_completed_item_is_lost() {
    let (log, state) = kept(64, 1 << 20);
    let mut reader = SessionEvents::from(Arc::clone(&log), 1);
    let sender = emitter(&log);
    state.record([Item::user("a")]);
    for n in 0..10_000 {
        sender.emit(Event::TextDelta(format!("t{n}")));
        sender.emit(Event::ReasoningDelta("r".into()));
        // Other changes go on.
        state.add_cost(1.0);
        let progress = Event::ToolProgress { call_id: "c".into(), message: n.to_string() };
        sender.emit(progress);
        if n % 1_000 == 999 {
            sender.emit(item(n));
        }
    }
    let (count, bytes) = log.waiting();
    assert!(count <= 64 + 10 + 11 && bytes < 40_000, "{count} events of {bytes} bytes");
    log.release(state.change_count());
    let told = told(&mut reader);
    let items: Vec<&String> = told.iter().filter(|it| it.starts_with("item")).collect();
    assert_eq!(items.len(), 10);
    let missed = told.iter().filter(|it| it.starts_with("missed")).count();
    // Once for what the buffer did not hold, and once between two items.
    assert_eq!(missed, 1 + 10, "{told:?}");
    assert_eq!(log.waiting(), (0, 0));
}

#[test]
fn bytes_that_wait_are_bounded_too() {
    let (log, state) = kept(10_000, 50_000);
    let mut reader = SessionEvents::from(Arc::clone(&log), 1);
    let sender = emitter(&log);
    state.record([Item::user("a")]);
    for _ in 0..1_000 {
        sender.emit(Event::TextDelta("x".repeat(1_000)));
    }
    sender.emit(item(1));
    let (count, bytes) = log.waiting();
    assert!(count == 3 && bytes < 52_000, "{count} events of {bytes} bytes");
    log.release(1);
    assert_eq!(told(&mut reader)[1..], ["missed 2-2", "item 1"]);
}

#[test]
fn a_submission_that_nobody_waits_for_leaves_nothing_behind() {
    let (log, state) = kept(64, 1 << 20);
    let sender = emitter(&log);
    state.record([Item::user("a")]);
    sender.emit(item(1));
    for _ in 0..1_000 {
        let withdrawn = emitter(&log);
        let mut events = CourseEvents::of(&withdrawn);
        withdrawn.end();
        let next = futures_util::FutureExt::now_or_never(events.next());
        assert!(next.expect("it has ended, and says so").is_none());
    }
    assert_eq!(log.waiting().0, 1);
    let mut events = CourseEvents::of(&sender);
    sender.end();
    assert_eq!(log.waiting().0, 2, "its end comes behind its event");
    log.release(1);
    assert_eq!(futures_util::FutureExt::now_or_never(events.next()).unwrap().unwrap().number, 1);
    assert!(futures_util::FutureExt::now_or_never(events.next()).unwrap().is_none());
}

/// What happens to a session and its log.
#[derive(Debug, Clone)]
enum Step {
    Change,
    Text,
    Complete,
    Background,
    /// So many of the changes that are not kept yet are.
    Release(u64),
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Change),
        5 => Just(Step::Text),
        2 => Just(Step::Complete),
        1 => Just(Step::Background),
        2 => any::<u64>().prop_map(Step::Release),
        1 => Just(Step::Fail),
    ]
}

proptest! {
    /// All is told in order and once, but for items that could not be kept; and no item before it is.
    #[test]
    fn events_behind_a_log_come_in_order_and_items_when_they_are_kept(steps in vec(step(), 0..80)) {
        let (log, state) = kept(10_000, 1 << 20);
        let mut reader = SessionEvents::from(Arc::clone(&log), 1);
        let sender = emitter(&log);
        let mut kept = 0;
        // What was sent, and of items the change that they wait for, until they are kept or lost.
        let mut sent: Vec<(String, Option<u64>)> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for (n, step) in steps.into_iter().chain([Step::Release(0)]).enumerate() {
            match step {
                Step::Change => state.record([Item::user("a")]),
                Step::Text => {
                    sender.emit(Event::TextDelta(format!("{n} ")));
                    sent.push((format!("{n} "), None));
                }
                Step::Complete => {
                    sender.emit(item(n));
                    sent.push((format!("item {n}"), Some(state.change_count())));
                }
                Step::Background => {
                    sender.emit(Event::ShutdownComplete);
                    sent.push(("ShutdownComplete".into(), None));
                }
                Step::Release(n) => {
                    let missing = state.change_count() - kept;
                    kept += if n == 0 { missing } else { n % (missing + 1) };
                    log.release(kept);
                }
                Step::Fail => {
                    log.fail();
                    sent.retain(|(_, needs)| needs.is_none_or(|needs| needs <= kept));
                }
            }
            for word in told(&mut reader) {
                if let Some(id) = word.strip_prefix("item ") {
                    let needs = sent.iter().find(|(it, _)| it == &format!("item {id}"));
                    prop_assert!(needs.unwrap().1.unwrap() <= kept);
                }
                seen.push(word);
            }
        }
        let sent: String = sent.into_iter().map(|(word, _)| word).collect();
        prop_assert_eq!(seen.concat(), sent);
        prop_assert_eq!(log.waiting(), (0, 0));
    }
}
