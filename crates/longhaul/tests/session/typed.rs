//! Turns whose answer is a value.

use longhaul::output::OutputError;
use longhaul::prelude::*;
use longhaul::transport::{ErrorCode, ModelError};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::Answer;
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;

use super::support::{Probe, conversation, items, scripted};

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
struct City {
    name: String,
    people: Option<u32>,
}

async fn open(model: &ScriptedModel) -> Session {
    let agent = scripted(model).tool(Probe::echo("look"));
    agent.build().unwrap().session().start().await.unwrap()
}

#[tokio::test]
async fn the_answer_is_a_value_and_the_schema_is_of_that_turn_alone() {
    let model = ScriptedModel::new()
        .call("c1", "look", "{}")
        .text(r#"{"name":"Oslo","people":null}"#)
        .text("prose");
    let session = open(&model).await;
    let mut turn = session.prompt_as::<City>("which?").await.unwrap();
    let mut ends = 0;
    while let Some(event) = turn.next().await {
        ends += usize::from(matches!(event, Event::TurnComplete { .. }));
    }
    let (city, result) = turn.result().await.unwrap();
    assert_eq!(city, City { name: "Oslo".into(), people: None });
    assert_eq!((ends, result.model_calls), (1, 2));
    session.prompt("and in words?").await.unwrap().await.unwrap();
    let format = |request: usize| model.requests()[request].body["text"]["format"].clone();
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"name": {"type": "string"}, "people": format(0)["schema"]["properties"]["people"]},
        "required": format(0)["schema"]["required"]});
    for request in [0, 1] {
        assert_eq!(format(request)["schema"], schema);
        assert_eq!(format(request)["strict"], true);
    }
    assert_eq!(schema["required"].as_array().unwrap().len(), 2, "all properties");
    assert_eq!(format(2), json!(null));
    model.assert_complete();
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_asked_for_again_in_the_same_turn() {
    let model = ScriptedModel::new().text("It is Oslo.").text(r#"{"name":"Oslo","people":7}"#);
    let session = open(&model).await;
    let (city, result) = session.prompt_as::<City>("which?").await.unwrap().result().await.unwrap();
    assert_eq!(city.people, Some(7));
    assert_eq!((result.model_calls, result.usage.total), (2, 30), "both are counted");
    let seen = items(&model.requests()[1].input());
    assert_eq!(seen[..2], ["user which?", "assistant It is Oslo."]);
    assert!(seen[2].contains("cannot be read: the answer is not JSON"), "{seen:?}");
    assert_eq!(session.history().user_message_count(), 1, "that is not the user's");
    model.assert_complete();
}

#[tokio::test]
async fn repairs_are_bounded_and_the_raw_text_is_in_the_error() {
    for (repairs, calls) in [(0, 1), (1, 2), (3, 4)] {
        let model = ScriptedModel::new().text(r#"{"name":7,"people":null}"#).repeat_last();
        let session = open(&model).await;
        let turn = session.prompt_as_with::<City>("which?", repairs).await.unwrap();
        let error = turn.await.unwrap_err();
        assert_eq!(error.raw(), Some(r#"{"name":7,"people":null}"#));
        let OutputError::Unreadable { error, .. } = error else {
            panic!("it is no city: {error}");
        };
        assert!(error.to_string().contains("does not fit"), "{error}");
        assert_eq!(model.requests().len(), calls);
        session.prompt("on").await.unwrap().await.unwrap();
    }
}

/// A response whose one message refuses.
fn refusal() -> ResponseBuilder {
    let message = json!({"type": "message", "role": "assistant", "id": "m1", "status": "completed",
        "content": [{"type": "refusal", "refusal": "I would rather not."}]});
    ResponseBuilder::new().item(message)
}

#[tokio::test]
async fn a_refusal_a_cut_and_prose_are_told_apart() {
    let cut = ResponseBuilder::new().text(r#"{"name":"Os"#).incomplete("max_output_tokens");
    let model = ScriptedModel::new()
        .respond(refusal())
        .respond(Answer::from(cut))
        .text("prose")
        .text("prose again");
    let session = open(&model).await;
    let refused = session.prompt_as::<City>("1").await.unwrap().await.unwrap_err();
    assert!(
        matches!(&refused, OutputError::Refused { refusal } if refusal == "I would rather not.")
    );
    let cut = session.prompt_as::<City>("2").await.unwrap().await.unwrap_err();
    let OutputError::Truncated { raw, error } = &cut else {
        panic!("it was cut: {cut}");
    };
    assert_eq!((&**raw, error.reason()), (r#"{"name":"Os"#, Some("max_output_tokens")));
    let prose = session.prompt_as::<City>("3").await.unwrap().await.unwrap_err();
    assert!(matches!(&prose, OutputError::Unreadable { raw, .. } if raw == "prose again"));
    model.assert_complete();
}

#[tokio::test]
async fn a_type_without_a_strict_schema_is_refused_before_any_request() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[expect(dead_code, reason = "it is only a schema")]
    struct Counts {
        by_name: std::collections::BTreeMap<String, u32>,
    }
    let model = ScriptedModel::new();
    let session = open(&model).await;
    let error = session.prompt_as::<Counts>("count").await.err().unwrap();
    assert_eq!(error.code(), "invalid_submission");
    assert!(error.to_string().contains("by_name"), "{error}");
    assert!(conversation(&session.history()).is_empty());
}

#[tokio::test]
async fn an_interrupted_turn_has_no_value_and_is_not_repaired() {
    let model = ScriptedModel::new().hang();
    let session = open(&model).await;
    let turn = session.prompt_as::<City>("which?").await.unwrap();
    model.wait_for_requests(1).await;
    session.interrupt();
    assert!(matches!(turn.await, Err(OutputError::Interrupted)));
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn an_earlier_refusal_is_none_of_a_later_answer() {
    let model =
        ScriptedModel::new().respond(refusal()).respond(ResponseBuilder::new()).repeat_last();
    let session = open(&model).await;
    let first = session.prompt_as::<City>("which?").await.unwrap().await.unwrap_err();
    assert!(matches!(first, OutputError::Refused { .. }), "{first}");
    let second = session.prompt_as_with::<City>("and now?", 0).await.unwrap().await.unwrap_err();
    assert!(!matches!(second, OutputError::Refused { .. }), "{second}");
}

#[tokio::test]
async fn what_could_not_be_read_is_not_lost_where_asking_again_fails() {
    let error = ModelError::new(ErrorCode::InvalidRequest, "no").retryable(false);
    let model = ScriptedModel::new().text("in prose").fail(error);
    let session = open(&model).await;
    let error = session.prompt_as::<City>("which?").await.unwrap().await.unwrap_err();
    assert_eq!(error.raw(), Some("in prose"));
    assert!(matches!(error, OutputError::NotAskedAgain { .. }), "{error}");
}
