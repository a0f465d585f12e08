//! What is shown beside the cells.

use std::time::Duration;

use longhaul_history::usage::TokenUsageInfo;
use longhaul_state::protocol::Event;
use longhaul_transport::RateLimits;

use super::support::*;
use crate::transcript::*;

#[test]
fn a_retry_is_shown_until_something_comes_of_it() {
    let error = || Event::Error(failed());
    let table = [
        (recovered(), false),
        (text("x"), false),
        (think("x"), false),
        (started(agent("m", "")), false),
        (completed(agent("m", "x")), false),
        (started(bridge("b")), false),
        (started(user("u", "left")), false),
        (Event::WebSearchBegin { call_id: "s".into() }, false),
        (run("c", "{}"), false),
        (ask("c", "{}"), false),
        (denied("c", "{}"), false),
        (compacting(), false),
        (compacted("x"), false),
        (abort(), false),
        (complete(), false),
        (begin(), false),
        (Event::ShutdownComplete, false),
        (tokens(), true),
        (error(), true),
        (progress("c", "late"), true),
        (Event::Background("x".into()), true),
    ];
    for (event, is_shown) in table {
        let name = format!("{event:?}");
        let mut reader = Reader::of([begin(), retry(1), retry(2)]);
        let delay = Duration::from_secs(1);
        let problem = Problem::of(&failed());
        let expected = Retry { attempt: 2, max_attempts: 5, delay, problem };
        assert_eq!(reader.transcript.status().retry, Some(expected));
        reader.read([event]);
        assert_eq!(reader.transcript.status().retry.is_some(), is_shown, "{name}");
    }
    let mut reader = Reader::of([begin(), retry(1)]);
    reader.miss(1);
    assert_eq!(reader.transcript.status().retry, None);
}

#[test]
fn what_a_session_does_is_seen_from_its_cells() {
    let table = [
        (vec![], Activity::Idle),
        (vec![begin()], Activity::Model),
        (said("u", "go").into(), Activity::Model),
        (vec![started(reasoning("r", &[]))], Activity::Response),
        (vec![completed(reasoning("r", &["hm"])), tokens()], Activity::Model),
        (vec![started(agent("m", "")), retry(1)], Activity::Retry),
        (vec![recovered()], Activity::Model),
        (vec![run("a", "1"), ask("b", "2"), ask("c", "3")], Activity::Approval { cell: 3 }),
        (vec![answered("b", "2", true)], Activity::Approval { cell: 4 }),
        (vec![answered("c", "3", false)], Activity::Tools),
        (vec![run("b", "2"), denied("c", "3")], Activity::Tools),
        (vec![end("a", true, "")], Activity::Tools),
        (vec![end("b", true, "")], Activity::Model),
        (vec![compacting()], Activity::Compaction),
        (vec![retry(1)], Activity::Retry),
        (vec![recovered()], Activity::Compaction),
        (vec![compacted("x")], Activity::Model),
        (vec![started(bridge("b"))], Activity::Response),
        (vec![completed(bridge("b"))], Activity::Model),
        (vec![reviewing("it")], Activity::Model),
        (vec![run("d", "4")], Activity::Tools),
        (vec![end("d", true, ""), reviewed(None)], Activity::Model),
        (vec![Event::UndoStarted { message: None }], Activity::Undo),
        (vec![complete()], Activity::Idle),
    ];
    let mut reader = Reader::new();
    for (step, (events, expected)) in table.into_iter().enumerate() {
        reader.read(events);
        assert_eq!(reader.transcript.activity(), expected, "{step}: {:?}", reader.lines());
    }
}

#[test]
fn gauges_show_what_was_told_last_and_none_of_a_review() {
    let count = |tokens: u64, used_percent: f64| {
        let mut info = TokenUsageInfo::default();
        info.set_context_tokens(tokens);
        let primary = longhaul_transport::rate_limits::RateLimitWindow {
            used_percent,
            window_minutes: None,
            resets_at: None,
        };
        let limits = RateLimits { primary: Some(primary), secondary: None };
        (info, limits)
    };
    let event = |(info, limits): (TokenUsageInfo, RateLimits)| Event::TokenCount {
        info: Some(info),
        rate_limits: Some(limits),
    };
    let mut reader = Reader::of([begin(), event(count(5, 1.0)), event(count(7, 2.0))]);
    reader.read([reviewing("it"), event(count(1, 3.0))]);
    let mut expected = Status {
        turn_id: Some("t".into()),
        usage: Some(count(7, 0.0).0),
        rate_limits: Some(count(0, 3.0).1),
        model_context_window: Some(100),
        ..Status::default()
    };
    assert_eq!(*reader.transcript.status(), expected);
    reader.read([reviewed(None), event(count(9, 3.0)), complete()]);
    reader.turn = "";
    reader.read([Event::ShutdownComplete]);
    expected.usage = Some(count(9, 0.0).0);
    (expected.turn_id, expected.has_ended) = (None, true);
    assert_eq!(*reader.transcript.status(), expected);
}
