//! What an embedder sets about compaction.

use std::sync::Arc;

use longhaul::compaction::{
    Compaction, Config, LastRung, SUMMARIZATION_PROMPT, Summarise, SummaryModel, Tail,
};
use longhaul::prelude::*;
use longhaul::transport::models::{ModelInfo, ModelTable};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::ResponseBuilder;

use super::support::{bridge, end, kinds, open, prompt, say, sent, told, too_long, words};
use crate::support::{Probe, conversation, items, scripted};

#[tokio::test]
async fn off_is_off_and_asking_still_works() {
    let model = ScriptedModel::new()
        .usage(1_000_000, 0)
        .text("one")
        .text("two")
        .fail(too_long())
        .usage(10, 0)
        .text("SUMMARY")
        .text("four");
    let session = open(scripted(&model).compaction(Compaction::Off)).await;
    say(&session, "first").await;
    say(&session, "second").await;
    let (events, result) = end(session.prompt("third").await.unwrap()).await;
    assert_eq!(events[3..], ["tokens 2000000", "error context_window_exceeded", "complete -"]);
    assert_eq!(result.unwrap_err().code(), "context_window_exceeded");
    assert_eq!(kinds(&model), ["standard"; 3], "an overflow is an error at once");
    session.compact().unwrap().await.unwrap();
    say(&session, "fourth").await;
    let expected = [&bridge(&["first", "second"], "SUMMARY"), "user third", "user fourth"];
    assert_eq!(sent(&model, 4), expected);
    model.assert_complete();
}

/// Off by the local count, too.
#[tokio::test]
async fn off_sends_what_does_not_fit() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let agent = scripted(&model).context_window(8_000).compaction(Compaction::Off);
    let session = open(agent).await;
    for _ in 0..3 {
        say(&session, &words(5_000)).await;
    }
    assert_eq!(kinds(&model), ["standard"; 3]);
}

#[tokio::test]
async fn on_takes_a_limit_and_a_tail() {
    let model = ScriptedModel::new().usage(100, 0).text("one").usage(10, 0).text("x").repeat_last();
    let on = Compaction::On { limit: Some(100), keep_tail: Tail::Turns(1) };
    let session = open(scripted(&model).compaction(on)).await;
    assert_eq!(session.context_window().auto_compact_tokens, 100);
    say(&session, "first").await;
    let events = told(&session, "second").await;
    let is_told = |event: &String| event.starts_with("background") || event.starts_with("warning");
    assert!(!events.iter().any(is_told), "nobody asked: {events:?}");
    assert_eq!(kinds(&model), ["standard", "standard"], "the one turn there is, is the tail");
}

#[tokio::test]
async fn the_newest_turns_stay_as_they_are() {
    for (tail, kept) in [(Tail::Turns(1), 1), (Tail::Turns(2), 2), (Tail::Turns(0), 0)] {
        let model = ScriptedModel::new();
        let model = (1..=3).fold(model, |model, n| {
            let call = format!("c{n}");
            let calls = ResponseBuilder::new().call(&call, "echo", n);
            model.respond(calls).respond(ResponseBuilder::new().text(format!("answer {n}")))
        });
        let model = model.text("SUMMARY").text("four");
        let mut config = Config::default();
        config.keep.tail = tail;
        let agent = scripted(&model).tool(Probe::echo("echo")).compaction_config(config);
        let session = open(agent).await;
        for turn in ["turn 1", "turn 2", "turn 3"] {
            say(&session, turn).await;
        }
        let before = conversation(&session.history());
        session.compact().unwrap().await.unwrap();
        let summed_up = 3 - kept;
        let quoted = ["turn 1", "turn 2", "turn 3"];
        let mut expected = vec![bridge(&quoted[..summed_up], "SUMMARY")];
        expected.extend_from_slice(&before[4 * summed_up..]);
        assert_eq!(conversation(&session.history()), expected, "{tail:?}");
        say(&session, "next").await;
        model.assert_complete();
    }
}

#[tokio::test]
async fn the_newest_tokens_stay_as_they_are_and_no_call_is_parted_from_its_output() {
    for tokens in [0, 5, 20, 40, 80, 200] {
        let model = ScriptedModel::new()
            .call("c1", "echo", "1")
            .text("one")
            .calls([("c2", "echo", "2"), ("c3", "echo", "3")])
            .text("two")
            .text("SUMMARY")
            .text("three");
        let mut config = Config::default();
        config.keep.tail = Tail::Tokens(tokens);
        let agent = scripted(&model).tool(Probe::echo("echo")).compaction_config(config);
        let session = open(agent).await;
        say(&session, "first").await;
        say(&session, "second").await;
        let before = conversation(&session.history());
        let whole = session.history().tokens();
        session.compact().unwrap().await.unwrap();
        let history = session.history();
        let after = conversation(&history);
        if tokens >= whole {
            assert_eq!(after, before, "everything is the tail");
            continue;
        }
        assert!(before.ends_with(&after[1..]), "{tokens}: {after:?}");
        let tail = history.tokens() - history.tokens_before(1);
        assert!(tail <= tokens, "{tail} of {tokens}");
        say(&session, "third").await;
        model.assert_complete();
    }
}

/// Rungs in place of the default ones, with one of another model.
fn summed_up_by(change: impl FnOnce(&mut Summarise)) -> Config {
    let mut summarise = Summarise::default();
    change(&mut summarise);
    let mut config = Config::default();
    config.rungs = vec![Arc::new(summarise)];
    config
}

#[tokio::test]
async fn another_model_may_sum_up() {
    let model = ScriptedModel::new()
        .reasoned_calls("secret", [("c1", "echo", "{}")])
        .reasoned_text("more", "one")
        .text("SUMMARY")
        .text("two");
    let config = summed_up_by(|summarise| {
        summarise.model = Some(SummaryModel { slug: "small".into(), window: None });
    });
    let agent = scripted(&model).tool(Probe::echo("echo")).compaction_config(config);
    let session = open(agent.instructions("Be brief.")).await;
    say(&session, "first").await;
    session.compact().unwrap().await.unwrap();
    say(&session, "second").await;
    let requests = model.requests();
    let models: Vec<_> = requests.iter().map(|request| request.body["model"].clone()).collect();
    assert_eq!(models, ["test-model", "test-model", "small", "test-model"]);
    assert!(sent(&model, 1).contains(&"reasoning secret".to_owned()));
    let expected = ["user first", "call c1 echo {}", "output c1 {}", "assistant one", &prompt()];
    assert_eq!(sent(&model, 2), expected, "what one model thought, another cannot read");
    assert_eq!(requests[2].body["instructions"], "Be brief.");
    assert_eq!(conversation(&session.history())[0], bridge(&["first"], "SUMMARY"));
    model.assert_complete();
}

#[tokio::test]
async fn what_the_summing_model_is_told_can_be_added_to_and_replaced() {
    let guided = summed_up_by(|summarise| summarise.guidance = Some("Mind the lexer.".into()));
    let own = summed_up_by(|summarise| summarise.prompt = "Sum it up.".into());
    let guided_prompt = format!("user {SUMMARIZATION_PROMPT}\n\nMind the lexer.");
    for (config, expected) in [(guided, guided_prompt), (own, "user Sum it up.".into())] {
        let model = ScriptedModel::new().text("one").text("SUMMARY").text("two");
        let session = open(scripted(&model).compaction_config(config)).await;
        say(&session, "first").await;
        session.compact().unwrap().await.unwrap();
        assert_eq!(*sent(&model, 1).last().unwrap(), expected);
        say(&session, "second").await;
        let last = items(&model.requests()[2].input());
        assert!(!last.iter().any(|line| line.contains("Sum it up") || line.contains("lexer")));
    }
}

/// No model helps, and nothing is to be taken without one: the turn fails with a typed error.
#[tokio::test]
async fn without_a_last_rung_a_request_that_cannot_be_sent_fails() {
    let empty = ResponseBuilder::new();
    let model = ScriptedModel::new().text("one").fail(too_long()).respond(empty).text("two");
    let session = open(scripted(&model).last_rung(LastRung::Refuse)).await;
    say(&session, "first").await;
    let (events, result) = end(session.prompt("second").await.unwrap()).await;
    let end = [
        "tokens 30",
        "warning compaction_failed",
        "tokens 30",
        "error context_window_exceeded",
        "complete -",
    ];
    assert_eq!(events[events.len() - 5..], end);
    assert_eq!(result.unwrap_err().code(), "context_window_exceeded");
    let expected = ["user first", "assistant one", "user second"];
    assert_eq!(conversation(&session.history()), expected);
    say(&session, "third").await;
    model.assert_complete();
}

/// A bound of 0 requests: only what needs no model is done, and only where there is no choice.
#[tokio::test]
async fn the_bound_on_requests_holds() {
    let mut config = Config::default();
    config.bounds.max_requests = 0;
    let model = ScriptedModel::new().text("one").fail(too_long()).text("two");
    let session = open(scripted(&model).compaction_config(config)).await;
    say(&session, "first").await;
    let error = session.compact().unwrap().await.unwrap_err();
    assert_eq!(error.code(), "compaction_failed");
    assert!(error.to_string().contains("requests"), "{error}");
    let (events, result) = end(session.prompt("second").await.unwrap()).await;
    assert!(events.contains(&"compacted auto extract requests 0".into()), "{events:?}");
    assert_eq!(result.unwrap().last_message.as_deref(), Some("two"));
    assert_eq!(kinds(&model), ["standard"; 3]);
    model.assert_complete();
}

/// Old outputs make room before a model is asked.
#[tokio::test]
async fn old_outputs_make_room_first() {
    let output = words(4_000);
    let tool = Probe::new("read", move |_, _| {
        let output = output.clone();
        async move { ToolOutput::text(output) }
    });
    let mut model = ScriptedModel::new();
    for n in 0..12 {
        model = model.call(&format!("c{n}"), "read", n);
    }
    let model = model.text("read all").text("answer").repeat_last();
    let agent = scripted(&model).context_window(20_000).tool(tool);
    let session = open(agent).await;
    let (events, _) = end(session.prompt("go").await.unwrap()).await;
    assert!(!kinds(&model).contains(&"compact"), "{:?}", kinds(&model));
    let cleared = events.iter().filter(|event| *event == "compacted auto clear_outputs requests 0");
    let shown = events.iter().filter(|event| !event.starts_with("end")).collect::<Vec<_>>();
    assert!(cleared.count() >= 1, "{shown:?}");
    assert_eq!(conversation(&session.history())[0], "user go", "what was said stays");
}

/// That is enough only if half of the limit is left then; if not, a model sums up at once.
#[tokio::test]
async fn old_outputs_are_cleared_where_that_makes_room_for_long() {
    for (limit, strategy) in [(9_000, "summarise requests 1"), (14_000, "clear_outputs requests 0")]
    {
        let output = words(4_000);
        let tool = Probe::new("read", move |_, _| {
            let output = output.clone();
            async move { ToolOutput::text(output) }
        });
        let mut model = ScriptedModel::new();
        for n in 0..5 {
            model = model.call(&format!("c{n}"), "read", n);
        }
        let model =
            model.usage(15_000, 0).call("c9", "read", 9).usage(10, 0).text("x").repeat_last();
        let agent = scripted(&model).context_window(20_000).auto_compact_token_limit(limit);
        let session = open(agent.tool(tool)).await;
        let (events, _) = end(session.prompt("go").await.unwrap()).await;
        let compacted: Vec<_> =
            events.iter().filter(|event| event.starts_with("compacted")).collect();
        assert_eq!(compacted, [&format!("compacted auto {strategy}")], "{limit}");
    }
}

/// Another model may take no images.
#[tokio::test]
async fn the_summing_model_is_sent_what_it_takes() {
    let mut blind = ModelInfo::default();
    blind.images = Some(false);
    let config = summed_up_by(|summarise| {
        summarise.model = Some(SummaryModel { slug: "blind".into(), window: None });
    });
    let model = ScriptedModel::new().text("one").text("SUMMARY").text("two");
    let models = ModelTable::builtin().with("blind", blind);
    let session = open(scripted(&model).models(models).compaction_config(config)).await;
    let input = Input::from("look").image("https://example.com/a.png");
    session.prompt(input).await.unwrap().await.unwrap();
    session.compact().unwrap().await.unwrap();
    say(&session, "and now?").await;
    let requests = model.requests();
    let shows = |n: usize| requests[n].body.to_string().contains("input_image");
    assert_eq!([0, 1, 2].map(shows), [true, false, true]);
}

/// Instructions and tools take room too.
#[tokio::test]
async fn a_request_for_a_summary_has_room_for_the_instructions() {
    let model = ScriptedModel::new().usage(0, 0).text("x").repeat_last();
    let agent = scripted(&model).context_window(20_000).instructions(words(9_000));
    let session = open(agent).await;
    let own = session.preview_request("x").await.unwrap().len() as u64;
    for _ in 0..8 {
        say(&session, &words(2_000)).await;
    }
    let compactions = kinds(&model).iter().filter(|kind| **kind == "compact").count();
    assert!(compactions >= 1);
    let bytes = |tokens: u64| tokens * 11 / 2;
    for request in model.requests() {
        let size = request.bytes.len() as u64;
        assert!(
            size < bytes(20_000),
            "{size} bytes, {own} of them its own: {}",
            request.task_kind.as_str()
        );
    }
}

/// Who says more than may be kept is told what was cut.
#[tokio::test]
async fn what_is_cut_out_of_a_message_is_told() {
    let model = ScriptedModel::new().text("SUMMARY").text("answer");
    let session = open(scripted(&model).context_window(10_000)).await;
    let text = format!("BEGIN {} END", words(12_000));
    let events = told(&session, &text).await;
    let prefix = "background the last message of the user was too long to be kept whole: ";
    let cut = events.iter().find_map(|event| event.strip_prefix(prefix)).unwrap();
    let (tokens, rest) = cut.split_once(' ').unwrap();
    assert_eq!(rest, "tokens of its middle were cut");
    assert!((8_000..16_500).contains(&tokens.parse::<u64>().unwrap()), "{tokens}");
    let last = super::support::last_sent(&model);
    assert_eq!(last.len(), 1);
    assert!(
        last[0].contains("BEGIN some words") && last[0].contains("some words  END"),
        "{last:?}"
    );
}
