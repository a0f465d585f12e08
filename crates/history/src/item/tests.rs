//! G11 (lossless): what items of each type keep, and what of them goes to the wire.

use serde_json::{Value, json};

use super::*;

fn wire(item: &str, format: WireFormat) -> Value {
    let mut out = Vec::new();
    assert!(Item::from_json(item).unwrap().encode_wire(format, &mut out));
    serde_json::from_slice(&out).unwrap()
}

fn plain(item: &Value) -> Value {
    wire(&item.to_string(), WireFormat::default())
}

#[test]
fn whatever_comes_in_comes_out() {
    let texts = [
        r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"\ud83d\ude00","x":1.50}],"phase":"final"}"#,
        r#"{"type":"hologram","id":"h","n":null,"big":123456789012345678901234567890}"#,
        r#"{"type":"function_call","call_id":"c","name":"t","arguments":"{","namespace":"n"}"#,
        r#"{"no":"type"}"#,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"\ud800 lone"}]}"#,
    ];
    for text in texts {
        let item = Item::from_json(text).unwrap();
        assert_eq!(item.json(), text);
        assert_eq!(serde_json::to_string(&item).unwrap(), text);
        assert_eq!(serde_json::from_str::<Item>(text).unwrap(), item);
    }
}

#[test]
fn what_is_not_an_object_is_refused() {
    for text in ["", "[]", "\"x\"", "{", "{} {}", "null"] {
        assert!(matches!(Item::from_json(text), Err(ItemError::NotAnObject(_))), "{text}");
    }
}

#[test]
fn kinds_and_ids() {
    let table = [
        (r#"{"type":"message","role":"user","content":[]}"#, ItemKind::Message(Role::User), None),
        (r#"{"role":"assistant","content":"hi"}"#, ItemKind::Message(Role::Assistant), None),
        (r#"{"type":"message","role":"tutor","content":[]}"#, ItemKind::Message(Role::Other), None),
        (r#"{"type":"message","content":[]}"#, ItemKind::Other, None),
        (r#"{"type":"reasoning","summary":[]}"#, ItemKind::Reasoning, None),
        (
            r#"{"type":"function_call","name":"n","arguments":"","call_id":"c"}"#,
            ItemKind::FunctionCall,
            Some("c"),
        ),
        (r#"{"type":"function_call","call_id":"c"}"#, ItemKind::Other, None),
        (
            r#"{"type":"local_shell_call","id":"i","call_id":"c","action":{}}"#,
            ItemKind::LocalShellCall,
            Some("c"),
        ),
        (
            r#"{"type":"local_shell_call","id":"i","action":{}}"#,
            ItemKind::LocalShellCall,
            Some("i"),
        ),
        (r#"{"type":"web_search_call"}"#, ItemKind::WebSearchCall, None),
        (r#"{"type":"ghost_snapshot"}"#, ItemKind::GhostSnapshot, None),
        (r#"{"type":"compaction","encrypted_content":"e"}"#, ItemKind::Compaction, None),
        (r#"{"type":7}"#, ItemKind::Other, None),
    ];
    for (json, kind, call_id) in table {
        let item = Item::from_json(json).unwrap();
        let seen = item.kind();
        assert_eq!(seen, kind, "{json}");
        if seen != ItemKind::Other {
            assert_eq!(item.call_id(), call_id, "{json}");
        }
    }
}

#[test]
fn wire_form_leaves_out_ids_nulls_and_what_only_responses_hold() {
    let message = json!({"type": "message", "id": "m", "status": "completed", "role": "assistant", "x": 1,
        "content": [{"type": "output_text", "text": "t", "annotations": [], "logprobs": null, "y": 2}]});
    let sent = json!({"type": "message", "role": "assistant", "x": 1,
        "content": [{"type": "output_text", "text": "t", "y": 2}]});
    assert_eq!(plain(&message), sent);

    let call = json!({"type": "custom_tool_call", "id": "i", "status": "completed", "call_id": "c",
        "name": "n", "input": "", "ns": null});
    let sent = json!({"type": "custom_tool_call", "status": "completed", "call_id": "c", "name": "n", "input": ""});
    assert_eq!(plain(&call), sent);

    let unknown = json!({"type": "hologram", "id": "h", "n": null});
    assert_eq!(plain(&unknown), unknown);
}

#[test]
fn reasoning_content_goes_back_only_as_raw_reasoning() {
    let of = |content: Value| {
        plain(
            &json!({"type": "reasoning", "id": "r", "summary": [], "encrypted_content": null, "content": content}),
        )
    };
    let without = json!({"type": "reasoning", "summary": []});
    assert_eq!(of(Value::Null), without);
    assert_eq!(of(json!([])), without);
    assert_eq!(of(json!([{"type": "text", "text": "x"}])), without);
    let raw = json!([{"type": "reasoning_text", "text": "x"}, {"type": "text", "text": "y"}]);
    assert_eq!(of(raw.clone())["content"], raw);
}

#[test]
fn ids_go_where_responses_are_stored_if_the_server_gave_them() {
    let stored = |json: &str| wire(json, WireFormat::with_item_ids());
    assert_eq!(stored(r#"{"type":"reasoning","id":"r","summary":[]}"#)["id"], "r");
    assert_eq!(stored(r#"{"type":"message","role":"assistant","id":"m","content":[]}"#)["id"], "m");
    assert_eq!(
        stored(r#"{"type":"message","role":"user","id":"own","content":[]}"#).get("id"),
        None
    );
    assert_eq!(stored(r#"{"type":"reasoning","id":"","summary":[]}"#).get("id"), None);
    let output = stored(r#"{"type":"function_call_output","id":"o","call_id":"c","output":"x"}"#);
    assert_eq!(output, json!({"type": "function_call_output", "call_id": "c", "output": "x"}));
}

#[test]
fn outputs_are_a_text_or_parts() {
    let parts = vec![
        OutputPart::InputText { text: "t".into() },
        OutputPart::InputImage { image_url: "data:image/png;base64,AA==".into() },
    ];
    let text = Item::function_call_output("c", CallOutput::text("quote \" and \u{1}"));
    let images = Item::custom_tool_call_output("c", CallOutput::Parts(parts.clone()));
    assert_eq!(text.view(), ItemView::Output(CallOutput::text("quote \" and \u{1}")));
    assert_eq!(images.view(), ItemView::Output(CallOutput::Parts(parts)));
    assert!(images.json().contains(r#""output":[{"type":"input_text","text":"t"}"#));
}

#[test]
fn views_read_what_servers_write() {
    let view = |json: &str| Item::from_json(json).unwrap().view();
    assert_eq!(
        view(
            r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":""}"#
        ),
        ItemView::Reasoning {
            summary: vec!["s".into()],
            content: vec![],
            encrypted_content: Some(String::new())
        }
    );
    assert_eq!(
        view(r#"{"type":"web_search_call","action":{"type":"search","query":"q"}}"#),
        ItemView::WebSearchCall { query: "q".into() }
    );
    assert_eq!(
        view(
            r#"{"type":"message","role":"user","content":[{"type":"input_audio"},{"type":"input_text","text":"t"}]}"#
        ),
        ItemView::Message {
            role: Role::User,
            content: vec![ContentPart::Other, ContentPart::InputText { text: "t".into() }]
        }
    );
}

#[test]
fn calls_that_cannot_be_answered_are_known() {
    let table = [
        (r#"{"type":"function_call","name":"n","arguments":"{}","call_id":"c"}"#, false),
        (r#"{"type":"function_call","name":"n","arguments":"{}","call_id":""}"#, true),
        (r#"{"type":"function_call","call_id":"c"}"#, true),
        (r#"{"type":"local_shell_call","action":{}}"#, true),
        (r#"{"type":"function_call_output","call_id":"c"}"#, false),
        (r#"{"type":"hologram"}"#, false),
    ];
    for (json, broken) in table {
        let item = Item::from_json(json).unwrap();
        assert_eq!(item.is_broken_call(), broken, "{json}");
        assert!(!broken || !item.encode_wire(WireFormat::default(), &mut Vec::new()));
    }
}

/// Each row: an item, its id and its call id.
#[test]
fn ids_are_read_where_they_stand_escaped_or_behind_what_is_mended() {
    let table = [
        (
            r#"{"type":"function_call","name":"n","arguments":"","id":"fc","call_id":"c"}"#,
            "fc",
            "c",
        ),
        (
            r#"{"call_id":"a\u0062\"","type":"function_call_output","output":"","id":""}"#,
            "",
            "ab\"",
        ),
        (
            r#"{"a":"\ud800","call_id":"é","id":"\ud800x","type":"function_call_output","output":""}"#,
            "\u{fffd}x",
            "é",
        ),
        (r#"{"a":"\ud800","id":"l","type":"local_shell_call","action":{}}"#, "l", "l"),
        (r#"{"type":"local_shell_call","id":"l","call_id":null}"#, "l", "l"),
        (r#"{"type":"hologram","id":"x","id":"y","call_id":"c"}"#, "", ""),
    ];
    for (json, id, call_id) in table {
        let item = Item::from_json(json).unwrap();
        let found = (item.id().unwrap_or_default(), item.call_id().unwrap_or_default());
        assert_eq!(found, (id, call_id), "{json}");
        assert_eq!(item.id().is_none(), id.is_empty());
    }
}
