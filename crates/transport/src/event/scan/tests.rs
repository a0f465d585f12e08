//! The scanner takes what it should, and what it takes the parser reads the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::ResponseEvent;
use crate::event::Decoder;

/// A delta of OpenAI's, one of other servers, and what else is plain.
const PLAIN: [&str; 6] = [
    r#"{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hi","logprobs":[],"obfuscation":"x0\"Y"}"#,
    r#"{"content_index": 0, "delta": "a \"b\"\n\u00e9\ud83d\ude00", "item_id": "m", "type": "response.output_text.delta"}"#,
    r#"{"type":"response.reasoning_text.delta","delta":""}"#,
    r#"{ "type" : "response.function_call_arguments.delta" , "delta" : "{\"a\":[1]}" , "output_index" : 10 }"#,
    r#"{"delta":"日","é":"\\","type":"response.custom_tool_call_input.delta"}"#,
    r#"{"type":"response.reasoning_summary_text.delta","item_id":"","delta":"\u0000"}"#,
];

#[test]
fn deltas_are_taken_and_read_as_the_parser_reads_them() {
    for data in PLAIN {
        let event = Decoder::default().scan(data);
        assert!(event.is_some(), "{data}");
        assert_eq!(event, Decoder::default().parse(data).ok(), "{data}");
    }
}

#[test]
fn all_else_is_left_to_the_parser() {
    let delta = |rest: &str| format!(r#"{{"type":"response.output_text.delta","delta":"x"{rest}"#);
    let left = [
        "",
        "{",
        "{}",
        "[]",
        "7",
        r#"{"type":"response.output_text.delta"}"#,
        r#"{"delta":"x"}"#,
        r#"{"type":"response.output_item.done","delta":"x"}"#,
        r#"{"type":7,"delta":"x"}"#,
        r#"{"type":"response.output_text.delta","delta":7}"#,
        r#"{"type":"response.output_text.delta","delta":"\ud83d"}"#,
        r#"{"type":"response.output_text.delta","delta":"\x"}"#,
        "{\"type\":\"response.output_text.delta\",\"delta\":\"\n\"}",
    ];
    let rests = [
        "",
        ",",
        ",}",
        "}}",
        "} x",
        "}\n",
        r#","delta":"y"}"#,
        r#","type":"response.output_text.delta"}"#,
        r#","item_id":"a","item_id":"a"}"#,
        r#","item_id":7}"#,
        r#","item_id":"\u0041"}"#,
        r#","n":01}"#,
        r#","n":-1}"#,
        r#","n":1.5}"#,
        r#","n":1e9}"#,
        r#","n":null}"#,
        r#","n":[1]}"#,
        r#","n":{}}"#,
        r#","n":"\q"}"#,
        r#","n":"a"#,
        r#","n":"a\"#,
        r#","n":"\é"}"#,
        r#","\n":1}"#,
        r#","n" 1}"#,
        r#","n":}"#,
        r#","n":1 1}"#,
    ];
    for data in left.into_iter().map(str::to_owned).chain(rests.into_iter().map(delta)) {
        assert_eq!(Decoder::default().scan(&data), None, "{data}");
    }
}

#[test]
fn the_deltas_of_an_item_share_its_id() {
    let mut decoder = Decoder::default();
    let mut id = |item_id: &str| {
        let data =
            format!(r#"{{"type":"response.output_text.delta","item_id":"{item_id}","delta":"x"}}"#);
        match decoder.decode(&data) {
            Ok(Some(ResponseEvent::TextDelta(delta))) => delta.item_id.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let ids = [id("a"), id("a"), id("b"), id("a")];
    assert_eq!(ids.each_ref().map(|id| &**id), ["a", "a", "b", "a"]);
    assert!(std::sync::Arc::ptr_eq(&ids[0], &ids[1]));
}

/// Objects of members that are nearly those of a delta.
fn object() -> impl Strategy<Value = String> {
    let keys = ["type", "type", "delta", "delta", "item_id", "n", "\\u0064elta", "é"];
    let values = [
        "\"response.output_text.delta\"",
        "\"response.output_text.delta\"",
        "\"response.reasoning_text.delta\"",
        "\"response.completed\"",
        "\"x\"",
        "\"\"",
        "\"a\\\"b\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\u00\"",
        "\"\\q\"",
        "\"\t\"",
        "\"é\"",
        "0",
        "7",
        "10",
        "01",
        "-1",
        "1.5",
        "1e400",
        "[]",
        "[ ]",
        "[1]",
        "{}",
        "null",
        "true",
        "tru",
        "",
    ];
    let member = (select(keys.to_vec()), select(values.to_vec()), select(vec!["", "", " ", "\n"]));
    let member =
        member.prop_map(|(key, value, gap)| format!("{gap}\"{key}\"{gap}:{gap}{value}{gap}"));
    let usual = [r#""type":"response.output_text.delta""#, r#""delta":"x""#].map(str::to_owned);
    let members = prop_oneof![
        1 => vec(member.clone(), 0..6),
        3 => vec(member, 1..3).prop_map(move |more| [usual.to_vec(), more].concat()),
    ];
    let members = members.prop_shuffle();
    members.prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// `data` with some bytes replaced, as far as it stays text.
fn spoilt(data: &str, spoils: &[(Index, u8)]) -> String {
    let mut bytes = data.as_bytes().to_vec();
    for (at, byte) in spoils.iter().filter(|_| !data.is_empty()) {
        bytes[at.index(data.len())] = *byte;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn what_the_scanner_takes_the_parser_reads_the_same(
        data in prop_oneof![object(), select(PLAIN.to_vec()).prop_map(str::to_owned)],
        spoils in vec((any::<Index>(), select(b"\"\\{}[]:, 0a\n\x01".to_vec())), 0..3),
    ) {
        let data = spoilt(&data, &spoils);
        if let Some(event) = Decoder::default().scan(&data) {
            prop_assert_eq!(Decoder::default().parse(&data).unwrap(), event);
        }
    }
}
