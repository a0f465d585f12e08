//! The body of a request, field by field.

mod presence;
mod repeated;

use longhaul_history::{History, ReasoningFilter, WireFormat};
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
    request.reasoning =
        Some(Reasoning { effort: Some("low".into()), summary: Some("auto".into()) });
    request.verbosity = Some(Verbosity::High);
    request.output_schema = Some(Arc::new(json!({"type": "object"})));
    request.session_id = "s-1".into();
    request.options = serde_json::from_value(json!({"max_output_tokens": 7, "temperature": 0.5,
        "top_p": 0.9, "service_tier": "flex", "safety_identifier": "u-1",
        "metadata": {"k": "v"}, "tool_choice": "required",
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
        r#""max_output_tokens":7,"temperature":0.5,"top_p":0.9,"service_tier":"flex","#,
        r#""safety_identifier":"u-1","metadata":{"k":"v"},"truncation":"auto","#,
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
                format!(
                    "request option `extra.{field}`: the request has a field of that name; \
                     use it instead"
                )
            )
        );
    }
    // All fields that are ever written are guarded.
    let body: Value = serde_json::from_str(&body(&full(), &Provider::neutral())).unwrap();
    for key in body.as_object().unwrap().keys() {
        assert!(OWN_FIELDS.contains(&key.as_str()) || key == "truncation", "{key}");
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
        assert!(body.starts_with(before.strip_suffix("]}").unwrap_or_default()), "turn {turn}");
        before = body;
    }
}

#[test]
fn a_path_into_a_field_collides_too_and_a_name_that_begins_like_one_does_not() {
    let with = |key: &str| {
        let mut request = request("m");
        request.options.extra.insert(key.into(), json!(1));
        encode(&request, &Provider::neutral()).map_err(|error| error.to_string())
    };
    for key in ["text.verbosity", "reasoning.effort", "tools.0.name"] {
        let error = with(key).unwrap_err();
        assert!(error.contains(&format!("`extra.{key}`")), "{error}");
    }
    for key in ["texts", "reasoning_effort", "", ".text", "Model", "truncation.x"] {
        assert!(with(key).is_ok(), "{key}");
    }
}

#[test]
fn numbers_without_a_form_in_json_are_refused_by_name() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut request = request("m");
        request.options.top_p = Some(bad);
        let error = encode(&request, &Provider::neutral()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRequest);
        let sentence = "request option `top_p` is not a finite number: set one, or leave it out";
        assert_eq!(error.to_string(), sentence);
        request.options.temperature = Some(bad);
        let error = encode(&request, &Provider::neutral()).unwrap_err();
        assert!(error.to_string().contains("`temperature`"), "{error}");
    }
}

#[test]
fn a_custom_tool_is_refused_where_nobody_knows_it() {
    let mut provider = Provider::named("mine", Some("http://localhost/v1")).unwrap();
    let known = body(&full(), &provider);
    provider.features.custom_tools = false;
    let error = encode(&full(), &provider).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unsupported, false));
    assert_eq!(
        error.to_string(),
        "tool `patch` takes free text, which provider `mine` does not know: \
         give the tool JSON arguments, or use another provider"
    );
    let mut functions = full();
    let raw = ToolForm::Hosted(json!({"type": "custom", "name": "raw"}));
    let spec = |form| ToolSpec { name: "x".into(), description: String::new(), form };
    functions.tools = ToolList::new(&[ToolSpec::function("ls", "", json!({})), spec(raw)]);
    let error = encode(&functions, &provider).unwrap_err();
    assert!(error.to_string().contains("tool `raw`"), "{error}");
    functions.tools = ToolList::new(&[ToolSpec::function("custom", "", json!({}))]);
    assert!(encode(&functions, &provider).is_ok());
    assert!(known.contains(r#""name":"patch""#));
}

#[test]
fn a_tool_choice_is_a_word_or_what_the_server_wants() {
    for json in [r#""auto""#, r#""none""#, r#""required""#, r#"{"type":"function","name":"ls"}"#] {
        let choice: ToolChoice = serde_json::from_str(json).unwrap();
        let back: Value = serde_json::from_str(&serde_json::to_string(&choice).unwrap()).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(json).unwrap());
        let mut request = request("m");
        request.options.tool_choice = Some(choice);
        let body: Value = serde_json::from_str(&body(&request, &Provider::neutral())).unwrap();
        assert_eq!(body["tool_choice"], back);
    }
    for bad in [r#""always""#, "1", "[]", "true"] {
        let error = serde_json::from_str::<ToolChoice>(bad).unwrap_err().to_string();
        assert!(error.contains("`auto`, `none`, `required` or an object"), "{bad}: {error}");
    }
}

/// The text between a field's name and the next field's.
fn bytes_of<'a>(body: &'a str, field: &str, next: &str) -> &'a str {
    let start = body.find(&format!("\"{field}\":")).unwrap();
    let length = body[start..].find(&format!(",\"{next}\":")).unwrap();
    &body[start..start + length]
}

/// The server's prompt cache holds what begins alike.
#[test]
fn a_compaction_request_is_the_ordinary_one_with_an_item_more() {
    let provider = Provider::neutral();
    for items in [0, 1, 2, 700] {
        let mut history = History::default();
        history.extend((0..items).map(|number| Item::user(format!("{number}"))));
        let mut ordinary = full();
        ordinary.input = history.prompt(ReasoningFilter::CurrentTurn);
        ordinary.output_schema = Some(Arc::new(json!({"type": "object"})));
        let compaction = ordinary.compaction("Sum \"it\" up.");
        let (before, after) = (body(&ordinary, &provider), body(&compaction, &provider));
        for (field, next) in
            [("model", "instructions"), ("instructions", "tools"), ("tools", "tool_choice")]
        {
            assert_eq!(bytes_of(&before, field, next), bytes_of(&after, field, next));
        }
        let input = |body: &str| body[body.find("\"input\":").unwrap()..].to_owned();
        let prefix = input(&before).strip_suffix("]}").unwrap().to_owned();
        let prompt = serde_json::to_string(&json!("Sum \"it\" up.")).unwrap();
        let comma = if items == 0 { "" } else { "," };
        let tail = format!(
            r#"{comma}{{"type":"message","role":"user","content":[{{"type":"input_text","text":{prompt}}}]}}]}}"#
        );
        assert_eq!(input(&after), format!("{prefix}{tail}"));
        let [before, after]: [Value; 2] =
            [before, after].map(|body| serde_json::from_str(&body).unwrap());
        assert_eq!(after["tool_choice"], "none");
        assert_eq!(after["text"], json!({"verbosity": "high"}), "no schema");
        let changed = ["tool_choice", "text", "input"];
        for (field, value) in before.as_object().unwrap() {
            assert!(changed.contains(&field.as_str()) || after[field] == *value, "{field}");
        }
        assert_eq!(compaction.task_kind, TaskKind::Compact);
        assert_eq!(compaction.input.item_count(), items + 1);
        assert_eq!(compaction.input.byte_len(), compaction.input.to_json().len());
        assert_eq!(ordinary.input.item_count(), items, "the ordinary one is as it was");
    }
}

#[test]
fn instructions_are_sent_as_they_are() {
    for text in ["", "plain", "\"quoted\"\n\u{7}\u{1f600}", "null"] {
        let mut request = request("m");
        for instructions in
            [Instructions::from(text), text.to_owned().into(), Arc::<str>::from(text).into()]
        {
            request.instructions = Some(instructions);
            let body: Value = serde_json::from_str(&body(&request, &Provider::neutral())).unwrap();
            assert_eq!(body["instructions"], text);
        }
    }
}
