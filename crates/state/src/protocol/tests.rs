//! The forms of operations and settings.

use longhaul_transport::request::{Reasoning, ToolChoice};

use super::*;

fn update(json: &str) -> Result<SettingsUpdate, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

#[test]
fn settings_change_only_where_they_are_given() {
    let mut settings = Settings::new("m");
    settings.update(update(r#"{"effort":"high","summary":"auto"}"#).unwrap());
    let reasoning = |effort: Option<&str>| Reasoning {
        effort: effort.map(str::to_owned),
        summary: Some("auto".into()),
    };
    assert_eq!(settings.reasoning, Some(reasoning(Some("high"))));
    settings.update(update(r#"{"model":"n","cwd":"/w"}"#).unwrap());
    assert_eq!(settings.reasoning, Some(reasoning(Some("high"))), "not given: kept");
    assert_eq!((settings.model.as_str(), settings.cwd), ("n", Some("/w".into())));
    settings.cwd = None;
    settings.update(update(r#"{"effort":null,"approval_policy":"never"}"#).unwrap());
    assert_eq!(settings.reasoning, Some(reasoning(None)), "null: cleared");
    assert_eq!(settings.approval_policy, ApprovalPolicy::Never);
    assert!(update(r#"{"colour":"red"}"#).unwrap_err().contains("`colour`"));
}

#[test]
fn every_operation_of_the_protocol_is_read() {
    let table = [
        (r#"{"type":"user_input","items":[{"type":"text","text":"hi"}]}"#, "user_input"),
        (r#"{"type":"user_turn","items":[],"final_output_json_schema":{}}"#, "user_turn"),
        (r#"{"type":"override_turn_context","model":"m"}"#, "override_turn_context"),
        (r#"{"type":"interrupt"}"#, "interrupt"),
        (r#"{"type":"withdraw","input_id":"1"}"#, "withdraw"),
        (r#"{"type":"approval","call_id":"1","decision":"denied"}"#, "approval"),
        (r#"{"type":"compact"}"#, "compact"),
        (r#"{"type":"review","prompt":"p"}"#, "review"),
        (r#"{"type":"undo"}"#, "undo"),
        (r#"{"type":"shutdown"}"#, "shutdown"),
    ];
    for (json, name) in table {
        assert_eq!(serde_json::from_str::<Op>(json).unwrap().name(), name);
    }
    assert!(serde_json::from_str::<Op>(r#"{"type":"user_turn","items":[],"x":1}"#).is_err());
}

#[test]
fn a_configuration_has_its_defaults_and_refuses_what_it_does_not_know() {
    let config: Config = serde_json::from_str(r#"{"model":"m"}"#).unwrap();
    assert_eq!((config.max_model_calls, config.max_event_bytes), (200, 64 * 1024 * 1024));
    assert_eq!(config.approval_policy, ApprovalPolicy::OnRequest);
    assert_eq!(config.fsync, FsyncPolicy::Commit);
    let query = r#"{"model":"m","provider":{"query_params":{"z":"1","a":"","m":"2"}}}"#;
    let config: Config = serde_json::from_str(query).unwrap();
    let pairs = [("z", "1"), ("a", ""), ("m", "2")];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(config.provider.query_params, pairs, "in their order");
    let options = r#"{"model":"m","request":{"safety_identifier":"u","tool_choice":"none"}}"#;
    let options = serde_json::from_str::<Config>(options).unwrap().request;
    assert_eq!(options.tool_choice, Some(ToolChoice::None));
    assert_eq!(options.safety_identifier.as_deref(), Some("u"));
    for bad in [
        r#"{"model":"m","modle":1}"#,
        r#"{"model":"m","provider":{"url":""}}"#,
        r#"{"model":"m","provider":{"query_params":["a"]}}"#,
        r#"{"model":"m","provider":{"query_params":{"a":1}}}"#,
        r#"{"model":"m","request":{"tool_choice":"sometimes"}}"#,
        "{}",
    ] {
        assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
    }
}
