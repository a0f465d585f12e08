//! Proptest strategies for items and conversations, sound and broken.
//!
//! Call ids come from a small pool, so that they repeat; texts hold what JSON has to escape and what takes more than
//! one byte or one UTF-16 unit.
//!
//! ```
//! use longhaul_history::{History, ReasoningFilter};
//! use longhaul_testkit::check::pairing;
//! use longhaul_testkit::strategies::items;
//! use proptest::test_runner::TestRunner;
//!
//! let mut runner = TestRunner::default();
//! let result = runner.run(&items(0..20), |items| {
//!     let mut history = History::default();
//!     history.extend(items);
//!     let sent = history.prompt(ReasoningFilter::KeepAll).to_json();
//!     assert_eq!(pairing(&serde_json::from_str::<Vec<_>>(&sent).unwrap()), Ok(()));
//!     Ok(())
//! });
//! assert_eq!(result, Ok(()));
//! ```

use longhaul_history::{BridgeParts, CallOutput, ContentPart, Item, OutputPart, Role};
use proptest::collection::{SizeRange, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A text of up to some tens of characters: words, quotes, escapes, control characters, emoji.
pub fn text() -> BoxedStrategy<String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,8}".boxed(),
        1 => select(vec![" ", "\n", "\"", "\\", "\u{0}", "\u{1b}[0m", "é", "日本", "😀", "\u{2028}", "{", "</s>"])
            .prop_map(str::to_owned)
            .boxed(),
        1 => any::<char>().prop_map(String::from).boxed(),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat()).boxed()
}

/// A call id out of a pool of six; one of them needs escapes, one is long.
pub fn call_id() -> BoxedStrategy<String> {
    let long = "call-".repeat(90);
    let pool = ["call_1", "call_2", "0", "call_\"é", "c-d", &long];
    select(pool.map(str::to_owned).to_vec()).boxed()
}

/// A JSON value: any number that fits, any text, lists and objects of some depth.
pub fn json_value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let object = vec((text(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
    .boxed()
}

/// The text of a JSON object as other programs may write it, without white space: numbers of any size and spelling,
/// escapes that need not be, keys that come twice, halves of surrogate pairs. Many readers cannot read all of it.
pub fn json_object_text() -> BoxedStrategy<String> {
    let number = select(vec!["0", "-0", "1.50", "1e400", "1E+2", "123456789012345678901234567890"]);
    let string = select(vec![
        r#""""#,
        r#""\u0041\/""#,
        r#""\ud83d\ude00""#,
        r#""\ud800 half""#,
        r#""a \" { b""#,
        r#""é😀""#,
    ]);
    let plain = json_value().prop_map(|value| value.to_string());
    let leaf = prop_oneof![number.prop_map(str::to_owned), string.prop_map(str::to_owned), plain,];
    let value = leaf.prop_recursive(2, 12, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![list, object_text(inner)]
    });
    object_text(value.boxed()).boxed()
}

fn object_text(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let known = ["type", "role", "content", "call_id", "id", "output", "name", "arguments"];
    let names = ["message", "reasoning", "function_call", "function_call_output", "hologram"];
    let key = prop_oneof![
        select(known.map(|key| format!("\"{key}\"")).to_vec()),
        text().prop_map(|key| Value::from(key).to_string()),
        Just(r#""\u0074ype""#.to_owned()),
    ];
    let typed = select(names.map(|name| format!(r#""type":"{name}""#)).to_vec());
    let field = prop_oneof![
        4 => (key, value).prop_map(|(key, value)| format!("{key}:{value}")),
        1 => typed,
    ];
    vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

/// A message of any role.
pub fn message() -> BoxedStrategy<Item> {
    let role = select(vec![Role::User, Role::Assistant, Role::Developer, Role::System]);
    let part = prop_oneof![
        text().prop_map(|text| ContentPart::InputText { text }),
        text().prop_map(|text| ContentPart::OutputText { text }),
        text().prop_map(|refusal| ContentPart::Refusal { refusal }),
        Just(ContentPart::InputImage { image_url: "data:image/png;base64,AA==".into() }),
    ];
    (role, vec(part, 0..3)).prop_map(|(role, content)| Item::message(role, &content)).boxed()
}

/// A reasoning item: with and without a summary, raw text, an encrypted form and an id.
pub fn reasoning() -> BoxedStrategy<Item> {
    let encrypted = option::of(select(vec!["", "gAAAAA=="]));
    (vec(text(), 0..3), encrypted, option::of(text()), any::<bool>())
        .prop_map(|(summary, encrypted, raw, has_id)| {
            let summary: Vec<_> =
                summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
            let mut item =
                json!({"type": "reasoning", "summary": summary, "encrypted_content": encrypted});
            if let Some(raw) = raw {
                item["content"] = json!([{"type": "reasoning_text", "text": raw}]);
            }
            if has_id {
                item["id"] = json!("rs_1");
            }
            to_item(&item)
        })
        .boxed()
}

/// What a call gave back: a text, or parts.
pub fn call_output() -> BoxedStrategy<CallOutput> {
    let part = prop_oneof![
        text().prop_map(|text| OutputPart::InputText { text }),
        Just(OutputPart::InputImage { image_url: "data:image/png;base64,AA==".into() }),
    ];
    prop_oneof![
        3 => text().prop_map(CallOutput::Text),
        1 => vec(part, 0..3).prop_map(CallOutput::Parts),
    ]
    .boxed()
}

/// A call of one of the three kinds, with the output that answers it. A local shell call may be known by its `id`
/// alone, and be answered in either of two types.
pub fn call_and_output() -> BoxedStrategy<(Item, Item)> {
    let function = (call_id(), text(), call_output()).prop_map(|(id, arguments, output)| {
        let output = Item::function_call_output(&id, output);
        (Item::function_call(&id, "tool", &arguments), output)
    });
    let custom = (call_id(), text(), call_output()).prop_map(|(id, input, output)| {
        let output = Item::custom_tool_call_output(&id, output);
        (Item::custom_tool_call(&id, "tool", &input), output)
    });
    let id_field = select(vec!["id", "call_id"]);
    let shell = (call_id(), id_field, call_output(), any::<bool>()).prop_map(
        |(id, field, output, own_type)| {
            let call = json!({"type": "local_shell_call", field: id, "status": "completed",
                "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": null}});
            let own = json!({"type": "local_shell_call_output", "id": id, "output": "files"});
            let output =
                if own_type { to_item(&own) } else { Item::function_call_output(&id, output) };
            (to_item(&call), output)
        },
    );
    prop_oneof![3 => function, 1 => custom, 1 => shell].boxed()
}

/// An item that needs no counterpart: messages, reasoning, searches, snapshots, compactions, unknown types. Reasoning is
/// sound only with something of the model's behind it.
pub fn single() -> BoxedStrategy<Item> {
    prop_oneof![10 => without_reasoning(), 3 => reasoning()].boxed()
}

/// An item that may stand anywhere.
fn without_reasoning() -> BoxedStrategy<Item> {
    let search = text().prop_map(|query| {
        to_item(&json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
            "action": {"type": "search", "query": query}}))
    });
    let snapshot = text().prop_map(|id| {
        to_item(&json!({"type": "ghost_snapshot", "ghost_commit": {"id": id, "parent": null}}))
    });
    let compaction =
        text().prop_map(|text| to_item(&json!({"type": "compaction", "encrypted_content": text})));
    let unknown =
        json_value().prop_map(|value| to_item(&json!({"type": "hologram", "depth": value})));
    prop_oneof![
        6 => message(),
        1 => search,
        1 => snapshot,
        1 => compaction,
        1 => unknown,
    ]
    .boxed()
}

/// A call or an output that lacks what it must have: no id, an empty one, one of the wrong type, no name, no output,
/// or its type twice.
pub fn malformed() -> BoxedStrategy<Item> {
    let texts = vec![
        r#"{"type":"function_call","name":"t","arguments":"{}"}"#,
        r#"{"type":"function_call","name":"t","arguments":"{}","call_id":""}"#,
        r#"{"type":"function_call","name":"t","arguments":"{}","call_id":7}"#,
        r#"{"type":"function_call","arguments":"{}","call_id":"call_1"}"#,
        r#"{"type":"function_call","name":"t","arguments":null,"call_id":"call_1"}"#,
        r#"{"type":"function_call","type":"function_call","name":"t","arguments":"{}","call_id":"call_1"}"#,
        r#"{"type":"hologram","type":"function_call","name":"t","arguments":"{}","call_id":"call_1"}"#,
        r#"{"\u0074ype":"function\u005fcall","call_id":"call_1"}"#,
        r#"{"type":"function_call_output","call_id":"call_1"}"#,
        r#"{"type":"function_call_output","call_id":null,"output":"x"}"#,
        r#"{"type":"custom_tool_call","call_id":"call_2","name":"t"}"#,
        r#"{"type":"custom_tool_call_output","call_id":"","output":"x"}"#,
        r#"{"type":"local_shell_call","status":"completed","action":{"type":"exec"}}"#,
        r#"{"type":"local_shell_call_output","output":"x"}"#,
        r#"{"type":"message","content":[]}"#,
        r#"{"type":7}"#,
        "{}",
    ];
    select(texts).prop_map(read).boxed()
}

/// Any item.
pub fn item() -> BoxedStrategy<Item> {
    prop_oneof![
        4 => single(),
        3 => call_and_output().prop_map(|(call, _)| call),
        3 => call_and_output().prop_map(|(_, output)| output),
        1 => malformed(),
        1 => with_unknown_fields(),
    ]
    .boxed()
}

/// An item with fields that nobody knows.
pub fn with_unknown_fields() -> BoxedStrategy<Item> {
    let known = prop_oneof![single(), call_and_output().prop_map(|(call, _)| call)];
    (known, vec(("x_[a-z]{1,6}", json_value()), 1..3))
        .prop_map(|(item, fields)| {
            let mut json: Value = serde_json::from_str(item.json()).unwrap_or_default();
            for (key, value) in fields {
                json[key] = value;
            }
            to_item(&json)
        })
        .boxed()
}

/// Any items in any order: ids used again, outputs twice, before their calls, of the wrong kind or without a call,
/// calls without outputs.
pub fn items(size: impl Into<SizeRange>) -> BoxedStrategy<Vec<Item>> {
    vec(item(), size).boxed()
}

/// A sound conversation of up to as many steps as `size` says: a step is an item by itself, or some calls in a row and
/// then their outputs in the same order, or reasoning and what it led to. Ids repeat from step to step, not within one.
pub fn conversation(size: impl Into<SizeRange>) -> BoxedStrategy<Vec<Item>> {
    steps(size).prop_map(|steps| steps.concat()).boxed()
}

/// A [`conversation`] in which some items are pinned and some outputs are of tools that failed, and in half of the cases
/// a bridge stands within the first steps.
pub fn marked_conversation(size: impl Into<SizeRange>) -> BoxedStrategy<Vec<Item>> {
    let mark = (prop::bool::weighted(0.1), prop::bool::weighted(0.3));
    (steps(size), vec(mark, 1..30), option::of((bridge(), 0..3_usize)))
        .prop_map(|(mut steps, marks, bridge)| {
            let items = steps.iter_mut().flatten();
            for (item, (is_pinned, is_failed)) in items.zip(marks.iter().cycle()) {
                if *is_pinned {
                    *item = item.pinned();
                }
                if *is_failed && item.kind().is_output() {
                    *item = item.failed();
                }
            }
            if let Some((bridge, place)) = bridge {
                steps.insert(place.min(steps.len()), vec![bridge]);
            }
            steps.concat()
        })
        .boxed()
}

/// A message that stands for a conversation: its text holds messages of the user and a summary.
pub fn bridge() -> BoxedStrategy<Item> {
    (vec(text(), 0..4), text())
        .prop_map(|(user_messages, summary)| {
            let text = format!("Asked:\n{}\nDone so far:\n{summary}", user_messages.join("\n"));
            let parts = BridgeParts { user_messages, summary };
            Item::bridge(&[ContentPart::InputText { text }], &parts)
        })
        .boxed()
}

fn steps(size: impl Into<SizeRange>) -> BoxedStrategy<Vec<Vec<Item>>> {
    let calls = vec(call_and_output(), 1..4).prop_map(|mut pairs| {
        let mut seen = std::collections::HashSet::new();
        pairs.retain(|(call, _)| seen.insert(call.call_id().map(str::to_owned)));
        let (calls, outputs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        [calls, outputs].concat()
    });
    let calls = calls.boxed();
    let answer = text().prop_map(|text| vec![Item::assistant(text)]);
    let led_to = prop_oneof![calls.clone(), answer];
    let reasoned =
        (vec(reasoning(), 1..3), led_to).prop_map(|(thought, made)| [thought, made].concat());
    let step = prop_oneof![4 => without_reasoning().prop_map(|item| vec![item]), 2 => calls, 2 => reasoned];
    vec(step, size).boxed()
}

/// A sound conversation that something broke: items were lost, doubled or swapped.
pub fn damaged(size: impl Into<SizeRange>) -> BoxedStrategy<Vec<Item>> {
    let wounds = vec((0..3, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4);
    (conversation(size), wounds)
        .prop_map(|(mut items, wounds)| {
            for (how, one, other) in wounds {
                if items.is_empty() {
                    break;
                }
                let (one, other) = (one.index(items.len()), other.index(items.len()));
                match how {
                    0 => drop(items.remove(one)),
                    1 => items.insert(other, items[one].clone()),
                    _ => items.swap(one, other),
                }
            }
            items
        })
        .boxed()
}

fn to_item(json: &Value) -> Item {
    read(&json.to_string())
}

fn read(json: &str) -> Item {
    #[expect(clippy::expect_used, reason = "all texts here are objects, and tests read each")]
    Item::from_json(json).expect("an object")
}
