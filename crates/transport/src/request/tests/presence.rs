//! Which field is there, by profile, model and setting.

use super::*;
use crate::models::ModelTable;
use crate::provider::Features;

/// The fields that are always there.
const ALWAYS: [&str; 8] =
    ["model", "input", "tools", "tool_choice", "parallel_tool_calls", "store", "stream", "include"];

fn json_body(request: &Request, provider: &Provider) -> Value {
    serde_json::from_str(&body(request, provider)).unwrap()
}

/// The fields that are not always there, in order.
fn present(body: &Value) -> Vec<&str> {
    for field in ALWAYS {
        assert!(!body[field].is_null(), "{field} of {body}");
    }
    let names = body.as_object().unwrap().keys().map(String::as_str);
    let mut names: Vec<_> = names.filter(|name| !ALWAYS.contains(name)).collect();
    names.sort_unstable();
    names
}

/// One provider of each kind.
fn providers() -> [(&'static str, Provider); 4] {
    let azure = "https://x.openai.azure.com/openai/v1";
    [("openai", None), ("chatgpt", None), ("azure", Some(azure)), ("mine", Some("http://[::1]/v1"))]
        .map(|(name, url)| (name, Provider::named(name, url).unwrap()))
}

type Setting = (&'static str, fn(&mut Request), &'static str, Value);

/// Each setting, the field that it brings, and that field's value.
fn settings() -> Vec<Setting> {
    vec![
        ("instructions", |r| r.instructions = Some("i".into()), "instructions", json!("i")),
        ("session", |r| r.session_id = "s".into(), "prompt_cache_key", json!("s")),
        (
            "cache key",
            |r| r.options.prompt_cache_key = Some("k".into()),
            "prompt_cache_key",
            json!("k"),
        ),
        (
            "reasoning",
            |r| r.reasoning = Some(Reasoning { effort: Some("low".into()), summary: None }),
            "reasoning",
            json!({"effort": "low"}),
        ),
        ("verbosity", |r| r.verbosity = Some(Verbosity::Low), "text", json!({"verbosity": "low"})),
        (
            "schema",
            |r| r.output_schema = Some(Arc::new(json!({}))),
            "text",
            json!({"format": {"type": "json_schema", "strict": true, "schema": {},
                "name": "codex_output_schema"}}),
        ),
        (
            "named schema",
            |r| {
                r.output_schema = Some(Arc::new(json!({})));
                r.options.output_schema_name = Some("plan".into());
            },
            "text",
            json!({"format": {"type": "json_schema", "strict": true, "schema": {},
                "name": "plan"}}),
        ),
        (
            "max_output_tokens",
            |r| r.options.max_output_tokens = Some(1),
            "max_output_tokens",
            json!(1),
        ),
        ("temperature", |r| r.options.temperature = Some(0.0), "temperature", json!(0.0)),
        ("top_p", |r| r.options.top_p = Some(0.5), "top_p", json!(0.5)),
        ("tier", |r| r.options.service_tier = Some("flex".into()), "service_tier", json!("flex")),
        (
            "safety_identifier",
            |r| r.options.safety_identifier = Some("u".into()),
            "safety_identifier",
            json!("u"),
        ),
        (
            "metadata",
            |r| drop(r.options.metadata.insert("k".into(), "v".into())),
            "metadata",
            json!({"k": "v"}),
        ),
        ("extra", |r| drop(r.options.extra.insert("user".into(), json!("u"))), "user", json!("u")),
    ]
}

#[test]
fn each_field_is_sent_if_and_only_if_it_is_set() {
    for (profile, provider) in providers() {
        assert_eq!(present(&json_body(&request("m"), &provider)), [""; 0], "{profile}");
        for (setting, set, field, value) in settings() {
            let mut request = request("m");
            set(&mut request);
            let body = json_body(&request, &provider);
            assert_eq!(present(&body), [field], "{setting} at {profile}");
            assert_eq!(body[field], value, "{setting} at {profile}");
        }
    }
    // What is set without what it belongs to is nothing.
    let mut alone = request("m");
    alone.options.output_schema_name = Some("plan".into());
    alone.options.extra.insert("user".into(), Value::Null);
    assert_eq!(present(&json_body(&alone, &Provider::neutral())), [""; 0]);
    // An own cache key stands in for the session's.
    let mut both = request("m");
    both.session_id = "s".into();
    both.options.prompt_cache_key = Some("k".into());
    assert_eq!(json_body(&both, &Provider::neutral())["prompt_cache_key"], "k");
}

#[test]
fn the_fields_that_are_always_there_have_their_values() {
    for (profile, provider) in providers() {
        let plain = json_body(&request("m"), &provider);
        let stores = profile == "azure";
        let expected = json!({"model": "m", "input": plain["input"], "tools": [],
            "tool_choice": "auto", "parallel_tool_calls": false, "store": stores, "stream": true,
            "include": []});
        assert_eq!(plain, expected, "{profile}");
        let full = json_body(&full(), &provider);
        let values = ["parallel_tool_calls", "store", "stream", "include"].map(|key| &full[key]);
        let include = json!(["reasoning.encrypted_content"]);
        assert_eq!(values, [&json!(true), &json!(stores), &json!(true), &include], "{profile}");
    }
}

/// What of reasoning, verbosity and parallel calls is in the body of a request that sets all.
fn sent(model: &str, info: Option<ModelInfo>, features: Features) -> [bool; 4] {
    let mut provider = Provider::neutral();
    provider.features = features;
    let mut request = full();
    request.model = model.into();
    request.model_info = info;
    let body = json_body(&request, &provider);
    assert!(body["text"]["format"].is_object(), "a schema is always sent");
    [
        body.get("reasoning").is_some(),
        body["include"] == json!(["reasoning.encrypted_content"]),
        body["text"].get("verbosity").is_some(),
        body["parallel_tool_calls"] == true,
    ]
}

#[test]
fn what_a_provider_or_a_model_does_not_know_is_left_out() {
    let all = Features::default();
    let info = |reasoning, verbosity, parallel_calls| {
        Some(ModelInfo { reasoning, verbosity, parallel_calls, ..ModelInfo::default() })
    };
    let (yes, no) = (Some(true), Some(false));
    let table = [
        // The built-in table.
        ("gpt-5", None, all, [true, true, true, true]),
        ("codex-exp-1", None, all, [true, true, true, true]),
        ("o3", None, all, [true, true, false, true]),
        ("gpt-4.1", None, all, [false, false, false, true]),
        ("gpt-oss-20b", None, all, [true, true, false, true]),
        ("new", None, all, [true, true, true, true]),
        // A table of the user's.
        ("gpt-5", info(None, None, None), all, [true, true, true, true]),
        ("gpt-5", info(no, no, no), all, [false, false, false, false]),
        ("gpt-4.1", info(yes, None, None), all, [true, true, true, true]),
        ("new", info(yes, yes, no), all, [true, true, true, false]),
        // The provider.
        ("gpt-5", None, Features { reasoning: false, ..all }, [false, false, true, true]),
        ("gpt-5", None, Features { verbosity: false, ..all }, [true, true, false, true]),
        ("gpt-5", None, Features { parallel_calls: false, ..all }, [true, true, true, false]),
        (
            "new",
            info(yes, yes, yes),
            Features { reasoning: false, ..all },
            [false, false, true, true],
        ),
    ];
    for (model, info, features, expected) in table {
        assert_eq!(sent(model, info, features), expected, "{model} {info:?} {features:?}");
    }
}

#[test]
fn encrypted_reasoning_is_asked_of_models_that_reason() {
    let include = |model: &str, info: Option<ModelInfo>, reasoning: Option<Reasoning>| {
        let mut request = request(model);
        (request.model_info, request.reasoning) = (info, reasoning);
        json_body(&request, &Provider::neutral())["include"] != json!([])
    };
    let own = ModelTable::empty().with("new", ModelTable::builtin().find("o3")).find("new-model");
    let table = [
        ("gpt-5-codex", None, None, true),
        ("o3", None, None, true),
        ("gpt-4.1", None, None, false),
        ("gpt-oss-20b", None, None, false),
        ("new-model", None, None, false),
        ("new-model", Some(own), None, true),
        ("o3", Some(ModelInfo::default()), None, false),
        ("new-model", None, Some(Reasoning::default()), true),
        ("gpt-4.1", None, Some(Reasoning::default()), false),
    ];
    for (model, info, reasoning, expected) in table {
        assert_eq!(include(model, info, reasoning.clone()), expected, "{model} {reasoning:?}");
    }
}

#[test]
fn no_tools_are_no_parallel_calls_and_no_empty_object_is_sent() {
    let mut bare = full();
    bare.tools = ToolList::default();
    let mut provider = Provider::neutral();
    assert_eq!(json_body(&bare, &provider)["parallel_tool_calls"], false);
    bare.output_schema = None;
    provider.features.verbosity = false;
    assert_eq!(json_body(&bare, &provider).get("text"), None);
}
