//! Readers at any pace, against a plain list of all that was sent.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn log(events: usize, bytes: usize) -> Arc<EventLog> {
    Arc::new(EventLog::new(EventBuffer::new(events, bytes)))
}

fn emitter(log: &Arc<EventLog>, id: &str) -> Emitter {
    Emitter::new(Arc::clone(log), id.into())
}

fn background(text: &(impl ToString + ?Sized)) -> Event {
    Event::Background(text.to_string())
}

/// What a reader can have now.
fn ready<T>(next: impl Future<Output = Option<T>>) -> Option<T> {
    futures_util::FutureExt::now_or_never(next).flatten()
}

#[tokio::test]
async fn a_reader_goes_from_what_was_to_what_is_without_a_gap() {
    let log = log(10, 1 << 20);
    let sender = emitter(&log, "1");
    sender.emit(background(&1));
    sender.emit(background(&2));
    let (mut all, mut second) =
        (SessionEvents::from(Arc::clone(&log), 0), SessionEvents::from(Arc::clone(&log), 2));
    let mut late = SessionEvents::from_now(Arc::clone(&log));
    sender.emit(background(&3));
    log.close();
    sender.emit(background(&4));
    for (reader, first) in [(&mut all, 1), (&mut second, 2), (&mut late, 3)] {
        for number in first..=3_u64 {
            let event = reader.next().await.unwrap();
            assert_eq!(event.number, number);
            assert!(matches!(event.event, Event::Background(text) if text == number.to_string()));
        }
        assert!(reader.next().await.is_none(), "the session has ended");
    }
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_each_event_and_by_the_end() {
    let log = log(10, 1 << 20);
    let sender = emitter(&log, "1");
    let mut reader = SessionEvents::from_now(Arc::clone(&log));
    let reading = tokio::spawn(async move {
        let mut numbers = Vec::new();
        while let Some(event) = reader.next().await {
            numbers.push(event.number);
        }
        numbers
    });
    for number in 1..=3 {
        tokio::task::yield_now().await;
        sender.emit(background(&number));
    }
    tokio::task::yield_now().await;
    log.close();
    assert_eq!(reading.await.unwrap(), [1, 2, 3]);
}

#[test]
fn who_falls_behind_is_told_what_is_missing_and_goes_on() {
    let log = log(3, 1 << 20);
    let sender = emitter(&log, "1");
    let mut reader = SessionEvents::from(Arc::clone(&log), 1);
    (1..=10).for_each(|number| sender.emit(background(&number)));
    let missed = ready(reader.next()).unwrap();
    assert_eq!(missed.number, 7);
    assert!(matches!(missed.event, Event::Missed { first: 1, last: 7 }));
    let numbers: Vec<u64> = std::iter::from_fn(|| Some(ready(reader.next())?.number)).collect();
    assert_eq!(numbers, [8, 9, 10]);
}

#[test]
fn what_is_kept_is_bounded_in_bytes_and_the_newest_is_kept_whatever_its_size() {
    let log = log(1000, 10_000);
    let sender = emitter(&log, "1");
    let kept = || {
        let mut reader = SessionEvents::from(Arc::clone(&log), 1);
        std::iter::from_fn(|| ready(reader.next()))
            .filter(|event| !matches!(event.event, Event::Missed { .. }))
            .count()
    };
    (0..100).for_each(|_| sender.emit(background(&"x".repeat(1000))));
    assert!((5..10).contains(&kept()), "{}", kept());
    sender.emit(background(&"x".repeat(100_000)));
    assert_eq!(kept(), 1);
    (0..100).for_each(|_| sender.emit(background("")));
    assert!(kept() > 20, "what is let go is no longer counted: {}", kept());
}

#[test]
fn what_nobody_reads_is_joined_and_loses_no_character() {
    let log = log(4096, 1 << 20);
    let sender = emitter(&log, "1");
    for number in 0..JOIN_FROM * 10 {
        sender.emit(Event::TextDelta(format!("{number} ")));
    }
    sender.emit(background("end"));
    let mut reader = SessionEvents::from(Arc::clone(&log), 1);
    let (mut text, mut count) = (String::new(), 0);
    while let Some(event) = ready(reader.next()) {
        count += 1;
        assert_eq!(event.number, count);
        if let Event::TextDelta(delta) = event.event {
            text.push_str(&delta);
        }
    }
    let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(0..JOIN_FROM * 10));
    assert_eq!(count, JOIN_FROM + 1);
}

#[test]
fn a_submission_has_its_own_events_and_an_end() {
    let log = log(100, 1 << 20);
    let (first, second) = (emitter(&log, "same id"), emitter(&log, "same id"));
    let (mut of_first, mut of_second) = (CourseEvents::of(&first), CourseEvents::of(&second));
    let silent = emitter(&log, "silent");
    let mut of_silent = CourseEvents::of(&silent);
    assert!(ready(of_silent.next()).is_none());
    for number in 1..=4 {
        [&first, &second][number % 2].emit(background(&number));
    }
    let numbers = |events: &mut CourseEvents| -> Vec<u64> {
        std::iter::from_fn(|| Some(ready(events.next())?.number)).collect()
    };
    assert_eq!(numbers(&mut of_first), [2, 4]);
    assert_eq!(numbers(&mut of_second), [1, 3]);
    for ended in [&first, &second, &silent] {
        ended.end();
    }
    second.emit(background("too late"));
    for events in [&mut of_first, &mut of_second, &mut of_silent] {
        let next = futures_util::FutureExt::now_or_never(events.next());
        assert!(next.expect("it has ended, and says so").is_none());
    }
}

#[test]
fn waiting_for_its_turn_a_submission_misses_nothing() {
    let log = log(3, 1 << 20);
    let (running, waiting) = (emitter(&log, "1"), emitter(&log, "2"));
    let mut events = CourseEvents::of(&waiting);
    (0..10).for_each(|number| running.emit(background(&number)));
    waiting.emit(background("mine"));
    assert!(matches!(ready(events.next()).unwrap().event, Event::Background(_)));
}

#[derive(Debug, Clone)]
enum Step {
    Send(u8, u8),
    Read(usize),
    Subscribe(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, any::<u8>()).prop_map(|(who, what)| Step::Send(who, what)),
        3 => any::<usize>().prop_map(Step::Read),
        1 => (0..40_u64).prop_map(Step::Subscribe),
    ]
}

proptest! {
    /// Each reader gets every number from its first on, once and in order, or is told that it missed
    /// it; what it gets is what was sent.
    #[test]
    fn readers_at_any_pace_get_every_number_or_are_told(steps in vec(step(), 0..200)) {
        let log = log(7, 1 << 20);
        let senders = ["a", "b", "c"].map(|id| emitter(&log, id));
        let mut sent: Vec<String> = Vec::new();
        let mut readers: Vec<(SessionEvents, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Send(who, what) => {
                    senders[usize::from(who)].emit(background(&what));
                    sent.push(what.to_string());
                }
                Step::Subscribe(from) => {
                    readers.push((SessionEvents::from(Arc::clone(&log), from), from.max(1)));
                }
                Step::Read(_) if readers.is_empty() => {}
                Step::Read(which) => {
                    let index = which % readers.len();
                    let (reader, expected) = &mut readers[index];
                    let Some(event) = ready(reader.next()) else {
                        prop_assert!(*expected > sent.len() as u64);
                        continue;
                    };
                    if let Event::Missed { first, last } = event.event {
                        prop_assert_eq!(first, *expected);
                        prop_assert_eq!(last, sent.len() as u64 - 7);
                    } else if let Event::Background(text) = event.event {
                        prop_assert_eq!(event.number, *expected);
                        prop_assert_eq!(&text, &sent[usize::try_from(event.number).unwrap() - 1]);
                    }
                    *expected = event.number + 1;
                }
            }
        }
    }
}
