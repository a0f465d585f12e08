//! The body of a request, field by field.

use longhaul_history::{History, Item, ReasoningFilter, WireFormat};
use serde_json::json;

use super::*;
use crate::{ErrorCode, Provider, ToolSpec};

fn prompt(format: WireFormat) -> Prompt {
    let mut history = History::new(format);
    history.extend([
        Item::user("u"),
        Item::from_json(r#"{"type":"message","id":"m","role":"assistant","content":[]}"#).unwrap(),
    ]);
    history.prompt(ReasoningFilter::CurrentTurn)
}

fn request(model: &str) -> Request {
    Request::new(model, prompt(WireFormat::default()))
}

/// A request with everything set.
fn full() -> Request {
    let mut request = request("gpt-5");
    request.instructions = Some("Be \"brief\".".into());
    request.tools = ToolList::new(&[
        ToolSpec::function("ls", "Lists.", json!({"type": "object", "properties": {}})),
        ToolSpec::custom("patch", "Edits."),
        ToolSpec {
            name: "grammar".into(),
            description: "Parses.".into(),
            form: ToolForm::Custom { format: Some(json!({"type": "grammar"})) },
        },
        ToolSpec {
            name: "web".into(),
            description: "unused".into(),
            form: ToolForm::Hosted(json!({"type": "web_search"})),
        },
    ]);
    request.tool_choice = ToolChoice::Required;
    request.reasoning =
        Some(Reasoning { effort: Some("low".into()), summary: Some("auto".into()) });
    request.verbosity = Some(Verbosity::High);
    request.output_schema = Some(Arc::new(json!({"type": "object"})));
    request.session_id = "s-1".into();
    request.options = serde_json::from_value(json!({"max_output_tokens": 7, "temperature": 0.5,
        "top_p": 0.9, "service_tier": "flex", "metadata": {"k": "v"},
        "extra": {"truncation": "auto", "user": null}}))
    .unwrap();
    request
}

fn body(request: &Request, provider: &Provider) -> String {
    String::from_utf8(encode(request, provider).unwrap().to_vec()).unwrap()
}

const INPUT: &str = r#""input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"u"}]},{"type":"message","role":"assistant","content":[]}]"#;

#[test]
fn nothing_is_sent_that_was_not_set() {
    let expected = format!(
        r#"{{"model":"m","tools":[],"tool_choice":"auto","parallel_tool_calls":false,"store":false,"stream":true,"include":[],{INPUT}}}"#
    );
    assert_eq!(body(&request("m"), &Provider::neutral()), expected);
}

#[test]
fn everything_set_is_sent() {
    let expected = [
        r#"{"model":"gpt-5","instructions":"Be \"brief\".","#,
        r#""tools":[{"description":"Lists.","name":"ls","parameters":{"properties":{},"type":"object"},"strict":false,"type":"function"},"#,
        r#"{"description":"Edits.","name":"patch","type":"custom"},"#,
        r#"{"description":"Parses.","format":{"type":"grammar"},"name":"grammar","type":"custom"},"#,
        r#"{"type":"web_search"}],"tool_choice":"required","parallel_tool_calls":true,"#,
        r#""reasoning":{"effort":"low","summary":"auto"},"store":false,"stream":true,"#,
        r#""include":["reasoning.encrypted_content"],"prompt_cache_key":"s-1","#,
        r#""text":{"verbosity":"high","format":{"type":"json_schema","strict":true,"schema":{"type":"object"},"name":"codex_output_schema"}},"#,
        r#""max_output_tokens":7,"temperature":0.5,"top_p":0.9,"service_tier":"flex","metadata":{"k":"v"},"#,
        r#""truncation":"auto","user":null,"#,
        INPUT,
        "}",
    ];
    assert_eq!(body(&full(), &Provider::neutral()), expected.concat());
}

#[test]
fn a_server_that_stores_gets_store_and_ids() {
    let provider = Provider::named("azure", Some("https://x.openai.azure.com/openai/v1")).unwrap();
    let request = Request::new("m", prompt(WireFormat::with_item_ids()));
    let body = body(&request, &provider);
    assert!(body.contains(r#""store":true"#), "{body}");
    assert!(
        body.contains(r#"{"type":"message","id":"m","role":"assistant","content":[]}"#),
        "{body}"
    );
}

/// Which of the optional fields are in the body.
fn present(request: &Request, provider: &Provider) -> Vec<&'static str> {
    let body: Value = serde_json::from_str(&body(request, provider)).unwrap();
    let always = [
        "model",
        "input",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "store",
        "stream",
        "include",
    ];
    for field in always {
        assert!(!body[field].is_null(), "{field} of {body}");
    }
    let names = OWN_FIELDS.iter().filter(|name| !always.contains(*name));
    names.copied().filter(|name| body.get(name).is_some()).collect()
}

#[test]
fn features_that_a_server_lacks_are_left_out() {
    let mut provider = Provider::neutral();
    let all = present(&full(), &provider);
    assert_eq!(all.len(), OWN_FIELDS.len() - 8);
    provider.features.reasoning = false;
    let text = body(&full(), &provider);
    assert!(!text.contains("reasoning"), "{text}");
    provider.features.verbosity = false;
    let text = body(&full(), &provider);
    assert!(!text.contains("verbosity") && text.contains("codex_output_schema"), "{text}");
    provider.features.parallel_calls = false;
    assert!(body(&full(), &provider).contains(r#""parallel_tool_calls":false"#));
    let mut plain = full();
    plain.output_schema = None;
    assert!(!present(&plain, &provider).contains(&"text"), "an empty object");
}

#[test]
fn encrypted_reasoning_is_asked_of_models_that_reason() {
    let include = |request: &Request| {
        let body: Value = serde_json::from_str(&body(request, &Provider::neutral())).unwrap();
        body["include"].clone()
    };
    let asked = json!(["reasoning.encrypted_content"]);
    assert_eq!(include(&request("gpt-5-codex")), asked);
    assert_eq!(include(&request("o3")), asked);
    assert_eq!(include(&request("gpt-4.1")), json!([]));
    let mut unknown = request("new-model");
    assert_eq!(include(&unknown), json!([]));
    unknown.reasoning = Some(Reasoning::default());
    assert_eq!(include(&unknown), asked);
}

#[test]
fn no_field_of_a_request_can_be_set_twice() {
    for field in OWN_FIELDS {
        let mut request = request("m");
        request.options.extra.insert((*field).into(), json!(1));
        let error = encode(&request, &Provider::neutral()).unwrap_err();
        assert_eq!(
            (error.code(), error.is_retryable(), error.to_string()),
            (
                ErrorCode::InvalidRequest,
                false,
                format!("`extra` may not set `{field}`: the request has a field for it")
            )
        );
    }
    // All fields that are ever written are guarded.
    let body: Value = serde_json::from_str(&body(&full(), &Provider::neutral())).unwrap();
    let extra = ["truncation", "user"];
    for key in body.as_object().unwrap().keys() {
        assert!(OWN_FIELDS.contains(&key.as_str()) || extra.contains(&key.as_str()), "{key}");
    }
}

#[test]
fn the_same_request_gives_the_same_bytes_and_a_longer_one_extends_them() {
    let provider = Provider::neutral();
    assert_eq!(body(&full(), &provider), body(&full(), &provider));
    let mut history = History::default();
    let mut before = String::new();
    for turn in 0..50 {
        history.record(Item::user(format!("{turn}")));
        let mut request = full();
        request.input = history.prompt(ReasoningFilter::CurrentTurn);
        let body = body(&request, &provider);
        assert!(body.starts_with(before.trim_end_matches("]}")), "turn {turn}");
        before = body;
    }
}
