use longhaul_testkit::strategies;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn of(json: &str) -> Option<TurnItemKind> {
    TurnItemKind::of(&Item::from_json(json).unwrap())
}

fn text(text: &str) -> UserPart {
    UserPart::Text { text: text.into() }
}

fn image(url: &str) -> UserPart {
    UserPart::Image { image_url: url.into() }
}

#[test]
fn context_is_never_the_users_and_all_else_is() {
    let table = [
        // What the coding preset writes, in any case and without an end.
        ("<environment_context>\n  <cwd>/w</cwd>\n</environment_context>", true),
        ("<environment_context>\n", true),
        ("\n\t <User_Instructions>x", true),
        ("<ENVIRONMENT_CONTEXT>", true),
        ("<user_action>\n  <action>review</action>\n</user_action>", true),
        // What codex writes.
        ("# AGENTS.md instructions for /w\n\n<INSTRUCTIONS>\nbody\n</INSTRUCTIONS>", true),
        ("# AGENTS.md instructions\n\n<INSTRUCTIONS>\nbody\n</INSTRUCTIONS>\n", true),
        ("<skill>\n<name>a</name>\n</skill>", true),
        ("<user_shell_command>\n<command>\nls\n</command>\n</user_shell_command>", true),
        ("<turn_aborted>\n  <reason>interrupted</reason>\n</turn_aborted>", true),
        ("<SUBAGENT_NOTIFICATION>{}</subagent_notification>", true),
        ("<additional_context>\n<title>editor</title>\n</additional_context>", true),
        ("<extension_context>\n<example>data</example>\n</extension_context>", true),
        ("<goal_context>\ngoal\n</goal_context>", true),
        ("<recommended_plugins>\n- a (b)\n</recommended_plugins>", true),
        ("<codex_internal_context source=\"goal\">\nx\n</codex_internal_context>", true),
        ("<hook_prompt hook_run_id=\"run-1\">Retry &amp; \u{1f30a}</hook_prompt>", true),
        ("<external_editor>open files</external_editor>", true),
        ("<external_context kind=\"untrusted\">x</external_context>", true),
        ("Warning: The maximum number of unified exec processes you can keep open is 60", true),
        ("Warning: Your account was flagged for potentially high-risk cyber activity.", true),
        (
            "Warning: apply_patch was requested via shell. Use the apply_patch tool instead of exec_command.",
            true,
        ),
        // Words of a user.
        ("say <environment_context>", false),
        ("<environment_context", false),
        ("<environment_context a=\"b\">", false),
        ("<turn_aborted> is what your log says. Why?", false),
        ("<skill> and </skill>, which is better?", false),
        ("<skills>x</skills>", false),
        ("<skill>x</user_action>", false),
        ("<external_editor>x</external_other>", false),
        ("<>x</>", false),
        ("<user_action", false),
        ("# AGENTS.md instructions for beginners?", false),
        ("# AGENTS.md\n</INSTRUCTIONS>", false),
        ("Warning: apply_patch was requested via shell.", false),
        ("Warning: it rains", false),
        ("<", false),
        ("", false),
        (" \n", false),
    ];
    for (words, is_context) in table {
        let message = Item::user(words);
        assert_eq!(super::is_context(&message), is_context, "{words}");
        assert_eq!(TurnItemKind::of(&message).is_none(), is_context, "{words}");
        let answer = Item::assistant(words);
        assert!(!super::is_context(&answer) && TurnItemKind::of(&answer).is_some(), "{words}");
    }
}

#[test]
fn one_text_of_context_makes_the_message_context() {
    let message = |content: &str| {
        Item::from_json(&format!(r#"{{"type":"message","role":"user","content":{content}}}"#))
    };
    let table = [
        (
            r#"[{"type":"input_text","text":"hi"},{"type":"input_text","text":"<user_instructions>"}]"#,
            true,
        ),
        (r#"[{"type":"output_text","text":"<user_instructions>"}]"#, true),
        (r#"[{"text":"\u003cuser_instructions\u003E","type":"input_text"}]"#, true),
        (
            r#"[{"type":"input_text","text":"\u2003\r\n\t<turn_aborted>\/\ud83d<\/turn_aborted>\n"}]"#,
            true,
        ),
        (r#""<environment_context>""#, true),
        (r#""hi""#, false),
        (r#"[{"type":"input_image","image_url":"<environment_context>"}]"#, false),
        (r#"[{"type":"input_text","text":"\u00e9<user_instructions>"}]"#, false),
        (r#"[{"type":"input_text","text":""}]"#, false),
        ("[]", false),
        ("{}", false),
        ("7", false),
        (r#"[{"type":"input_text","text":7}]"#, false),
    ];
    for (content, is_context) in table {
        assert_eq!(super::is_context(&message(content).unwrap()), is_context, "{content}");
    }
}

#[test]
fn shown_items_keep_their_parts_in_order() {
    let message = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},
        {"type":"input_image","image_url":"data:x"},{"type":"output_text","text":"dropped"},
        {"type":"input_image","image_url":"https://y"},{"type":"input_text","text":"b"}]}"#;
    let kind = of(message).unwrap();
    assert_eq!(kind.message_text().as_deref(), Some("ab"));
    let content = vec![text("a"), image("data:x"), image("https://y"), text("b")];
    assert_eq!(kind, TurnItemKind::UserMessage { content });

    let only_image = r#"{"role":"user","content":[{"type":"input_image","image_url":"data:x"}]}"#;
    assert_eq!(of(only_image).unwrap().message_text().as_deref(), Some(""));

    let answer = r#"{"type":"message","role":"assistant","content":[
        {"type":"output_text","text":"a"},{"type":"refusal","refusal":"no"}]}"#;
    let agent = |text: &str| AgentPart::Text { text: text.into() };
    let content = vec![agent("a"), agent("no")];
    assert_eq!(of(answer), Some(TurnItemKind::AgentMessage { content }));

    let reasoning = r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"},{"text":"t"}],
        "content":[{"type":"reasoning_text","text":"raw"},{"type":"text","text":"more"}]}"#;
    let expected = TurnItemKind::Reasoning {
        summary_text: vec!["s".into(), "t".into()],
        raw_content: vec!["raw".into(), "more".into()],
    };
    assert_eq!(of(reasoning), Some(expected));
}

#[test]
fn labels_of_images_are_not_the_users_words() {
    let shown = |parts: serde_json::Value| {
        of(&json!({"type": "message", "role": "user", "content": parts}).to_string())
    };
    let input = |text: &str| json!({"type": "input_text", "text": text});
    let picture = json!({"type": "input_image", "image_url": "data:x"});
    let labelled =
        json!([input("<image name=[Image #1]>"), picture, input("</image>"), input("?")]);
    let content = vec![image("data:x"), text("?")];
    assert_eq!(shown(labelled), Some(TurnItemKind::UserMessage { content }));
    let old = json!([input("<image>"), picture, input("</image>")]);
    let content = vec![image("data:x")];
    assert_eq!(shown(old), Some(TurnItemKind::UserMessage { content }));
    let words = json!([input("</image>"), input("<image>"), input("closes"), picture]);
    let content = vec![text("</image>"), text("<image>"), text("closes"), image("data:x")];
    assert_eq!(shown(words), Some(TurnItemKind::UserMessage { content }));
}

#[test]
fn only_searches_are_shown_of_what_a_server_does_on_the_web() {
    let search = |query: &str| Some(TurnItemKind::WebSearch { query: query.into() });
    let table = [
        (r#"{"type":"web_search_call","action":{"type":"search","query":"q"}}"#, search("q")),
        (r#"{"type":"web_search_call","action":{"query":"q"}}"#, search("q")),
        (r#"{"type":"web_search_call","status":"in_progress"}"#, search("")),
        (r#"{"type":"web_search_call","action":null}"#, search("")),
        (r#"{"type":"web_search_call","action":{"type":"open_page","url":"u"}}"#, None),
        (r#"{"type":"function_call","name":"n","arguments":"{}","call_id":"c"}"#, None),
        (r#"{"type":"function_call_output","output":"o","call_id":"c"}"#, None),
        (r#"{"type":"ghost_snapshot"}"#, None),
        (r#"{"type":"message","role":"developer","content":"d"}"#, None),
        (r#"{"type":"message","role":"system","content":"d"}"#, None),
        (r#"{"type":"hologram"}"#, None),
        (r#"{"type":"compaction"}"#, Some(TurnItemKind::ContextCompaction)),
    ];
    for (json, kind) in table {
        assert_eq!(of(json), kind, "{json}");
    }
}

#[test]
fn kinds_have_their_names_on_the_wire() {
    let table = [
        (
            TurnItemKind::UserMessage { content: vec![text("t")] },
            json!({"id": "i", "type": "user_message", "content": [{"type": "text", "text": "t"}]}),
        ),
        (
            TurnItemKind::WebSearch { query: "q".into() },
            json!({"id": "i", "type": "web_search", "query": "q"}),
        ),
        (TurnItemKind::ContextCompaction, json!({"id": "i", "type": "context_compaction"})),
    ];
    for (kind, value) in table {
        let item = TurnItem { id: "i".into(), kind };
        assert_eq!(serde_json::to_value(&item).unwrap(), value);
        assert_eq!(serde_json::from_value::<TurnItem>(value).unwrap(), item);
    }
}

#[test]
fn an_item_is_shown_under_the_same_id_again() {
    let id = |item: &Item| TurnItem::of(item).unwrap().id;
    let reasoning = Item::from_json(r#"{"type":"reasoning","id":"rs_1","summary":[]}"#).unwrap();
    assert_eq!(id(&reasoning), "rs_1");
    // The digest is part of what sessions are shown by: it must not change.
    assert_eq!(id(&Item::user("hi")), DIGEST_OF_HI);
    let read_again = Item::from_json(Item::user("hi").json()).unwrap();
    assert_eq!(id(&read_again), DIGEST_OF_HI);
    assert_ne!(id(&Item::user("ho")), DIGEST_OF_HI);
    assert_eq!(TurnItem::of(&Item::user("<user_instructions>")), None);
}

const DIGEST_OF_HI: &str = "item_fbcc700712132d5c";

/// The rule, without regard to cost.
fn naive(item: &Item) -> bool {
    let ItemView::Message { role: Role::User, content } = item.view() else {
        return false;
    };
    content.iter().any(|part| match part {
        ContentPart::InputText { text } | ContentPart::OutputText { text } => {
            let text = text.trim().to_ascii_lowercase();
            let is_element = |name| {
                let closes = text.ends_with(&format!("</{name}>"));
                closes && (text.starts_with(&format!("<{name}>")))
            };
            text.starts_with("<environment_context>")
                || text.starts_with("<user_instructions>")
                || is_element("skill")
                || is_element("user_action")
        }
        _ => false,
    })
}

proptest! {
    #[test]
    fn the_rule_is_what_its_description_says(
        texts in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![
                        "<environment_context>", "<user_instructions>", "<skill>", "</skill>",
                        "<user_action>", "</user_action>", " ", "\n", "\u{2003}", "\\", "\"", "<",
                    ])
                    .prop_map(str::to_owned),
                    strategies::text(),
                ],
                0..4,
            )
            .prop_map(|pieces| pieces.concat()),
            0..3,
        )
    ) {
        let content: Vec<_> = texts.into_iter().map(|text| ContentPart::InputText { text }).collect();
        let message = Item::message(Role::User, &content);
        prop_assert_eq!(super::is_context(&message), naive(&message));
        // The same with every character escaped.
        let escaped = Item::from_json(&escape_all(message.json())).unwrap();
        prop_assert_eq!(super::is_context(&escaped), naive(&message));
    }

    #[test]
    fn no_item_makes_the_rule_panic(json in strategies::item().prop_map(|item| item.json().to_owned())) {
        let item = Item::from_json(&json).unwrap();
        if super::is_context(&item) {
            prop_assert_eq!(TurnItemKind::of(&item), None);
        }
        prop_assert_eq!(TurnItem::of(&item).map(|shown| shown.kind), TurnItemKind::of(&item));
    }
}

/// Every character in the texts of a message's parts as an escape.
fn escape_all(message: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(message).unwrap();
    let parts = value["content"].as_array().unwrap().iter().map(|part| {
        let text = part["text"].as_str().unwrap().encode_utf16();
        let text = text.map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
        format!(r#"{{"type":"input_text","text":"{text}"}}"#)
    });
    let parts: Vec<_> = parts.collect();
    format!(r#"{{"type":"message","role":"user","content":[{}]}}"#, parts.join(","))
}
