//! Script, log and complaints of the scripted model.

use futures_util::{FutureExt, StreamExt};
use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_transport::{ResponseEvent, TaskKind};

use super::*;

fn request(items: impl IntoIterator<Item = Item>) -> Request {
    let mut history = History::default();
    history.extend(items);
    Request::new("m", history.prompt(ReasoningFilter::KeepAll))
}

/// The names of the events, or the error, of an answer that waits for nothing.
fn ask(model: &ScriptedModel, request: &Request) -> Vec<String> {
    let stream = model.stream(request).now_or_never().unwrap();
    match stream {
        Ok(stream) => {
            let events = stream.map(|event| name(&event)).collect::<Vec<_>>();
            events.now_or_never().unwrap()
        }
        Err(error) => vec![format!("request: {error}")],
    }
}

fn name(event: &Result<ResponseEvent, ModelError>) -> String {
    match event {
        Ok(ResponseEvent::TextDelta(delta)) => format!("delta {}", delta.text),
        Ok(ResponseEvent::ItemDone(item)) => {
            format!("done {:?} {}", item.kind(), item.call_id().unwrap_or("-"))
        }
        Ok(ResponseEvent::Completed(end)) => {
            let usage = end.usage.unwrap();
            let id = end.response_id.as_deref().unwrap();
            format!("completed {id} {}+{}", usage.input, usage.output)
        }
        Ok(_) => "-".into(),
        Err(error) => format!("{:?}: {error}", error.stage()),
    }
}

/// Without the events that no assertion is about.
fn facts(model: &ScriptedModel) -> Vec<String> {
    let mut names = ask(model, &request([Item::user("u")]));
    names.retain(|name| name != "-");
    names
}

#[test]
fn answers_come_in_the_order_of_the_script() {
    let failed = ResponseBuilder::new().text("x").failed("server_error", "sorry");
    let model = ScriptedModel::new()
        .text("a b")
        .usage(100, 7)
        .calls([("c1", "ls", "{}"), ("c2", "ls", "{}")])
        .fail(ModelError::new(ErrorCode::ServerError, "busy"))
        .break_after(
            ResponseBuilder::new().text("cut"),
            ModelError::new(ErrorCode::StreamIncomplete, "gone"),
        )
        .respond(failed)
        .reasoned_text("why", "t")
        .respond_with(|request| ResponseBuilder::new().text(format!("{}", request.order)).into());
    assert_eq!(
        facts(&model),
        ["delta a ", "delta b", "done Message(Assistant) -", "completed resp_1 10+5"]
    );
    assert_eq!(
        facts(&model),
        ["done FunctionCall c1", "done FunctionCall c2", "completed resp_2 100+7"]
    );
    assert_eq!(facts(&model), ["request: busy"]);
    assert_eq!(facts(&model), ["delta cut", "done Message(Assistant) -", "Stream: gone"]);
    assert_eq!(facts(&model), ["delta x", "done Message(Assistant) -", "Stream: sorry"]);
    assert_eq!(
        facts(&model),
        ["done Reasoning -", "delta t", "done Message(Assistant) -", "completed resp_6 100+7"]
    );
    assert_eq!(facts(&model)[0], "delta 6");
    model.assert_complete();
    assert!(model.requests().iter().all(|r| r.end == Some(StreamEnd::Read)));
}

#[test]
fn requests_are_kept_whole() {
    let model = ScriptedModel::new().text("a").text("b");
    let mut asked = request([Item::user("u")]);
    asked.task_kind = TaskKind::Compact;
    ask(&model, &asked);
    let recorded = &model.requests()[0];
    assert_eq!(recorded.task_kind, TaskKind::Compact);
    assert_eq!(recorded.bytes, model.encode(&asked).unwrap());
    assert_eq!(recorded.body["model"], "m");
    assert_eq!(
        recorded.input(),
        [serde_json::json!({"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": "u"}]})]
    );
}

#[test]
fn what_the_script_did_not_foresee_is_complained_of() {
    let left = ScriptedModel::new().text("a").text("b");
    facts(&left);
    assert_eq!(left.problems(), ["1 of 2 scripted answers were not used."]);

    let exhausted = ScriptedModel::new().text("a");
    facts(&exhausted);
    let error = "request: The script is exhausted: this is request 2, it has 1 answers.";
    assert_eq!(facts(&exhausted), [error]);
    assert_eq!(exhausted.problems(), ["2 requests came, but only 1 answers were scripted."]);

    let endless = ScriptedModel::new().text("a").repeat_last();
    for _ in 0..3 {
        assert_eq!(facts(&endless).last().unwrap(), "completed resp_1 10+5");
    }
    endless.assert_complete();
}

#[test]
#[should_panic(expected = "1 of 1 scripted answers were not used.")]
fn a_test_fails_where_answers_are_left() {
    ScriptedModel::new().hang().assert_complete();
}

#[test]
fn broken_pairing_is_refused_and_remembered() {
    // No history sends this, so the request is forged.
    let body = br#"{"input":[{"type":"function_call_output","call_id":"c","output":"x"}]}"#;
    let mut recorded = Recorded::new(body.as_slice().into(), TaskKind::Standard);
    let mut state = State::default();
    let sentence =
        "input[0]: this function_call_output answers call `c`, which is not in the input.";
    let error = state.take(&mut recorded).err().unwrap();
    assert_eq!((error.to_string().as_str(), error.is_retryable()), (sentence, false));
    assert_eq!(state.problems()[0], format!("requests()[0]: {sentence}"));
}

#[tokio::test]
async fn held_and_hanging_answers_wait_for_the_test() {
    let (before, within) = (Gate::new("before"), Gate::new("within"));
    let text = || Answer::from(ResponseBuilder::new().text("t"));
    let model = ScriptedModel::new()
        .hold(&before)
        .respond(text().unfinished().hold(&within).then(text().terminal()))
        .hang();
    let asked = request([Item::user("u")]);

    let mut start = model.stream(&asked);
    assert!((&mut start).now_or_never().is_none());
    assert_eq!(model.requests().len(), 1);
    before.open();
    let mut stream = start.await.unwrap();
    let mut count = 0;
    while let Some(event) = stream.next().now_or_never() {
        assert!(!event.unwrap().unwrap().is_terminal());
        count += 1;
    }
    assert!(count > 3);
    assert_eq!(model.requests()[0].end, None);
    within.open();
    assert!(stream.next().await.unwrap().unwrap().is_terminal());
    assert_eq!(model.wait_until_ended(0).await, StreamEnd::Read);

    let mut hanging = model.stream(&asked);
    assert!((&mut hanging).now_or_never().is_none());
    drop(hanging);
    assert_eq!(model.wait_until_ended(1).await, StreamEnd::Dropped);
    model.assert_complete();
}
