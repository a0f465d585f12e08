use std::collections::HashMap;

use serde_json::{Value, json};

use super::{ItemKind, Violation, pairing};

fn item(kind: &str, call_id: &str) -> Value {
    json!({"type": kind, "call_id": call_id})
}

fn call(call_id: &str) -> Value {
    item("function_call", call_id)
}

fn output(call_id: &str) -> Value {
    item("function_call_output", call_id)
}

#[test]
fn valid_inputs_pass() {
    let shell_by_id = json!({"type": "local_shell_call", "id": "s"});
    let message = json!({"role": "user", "content": "hi"});
    let own = |id: &str| json!({"type": "local_shell_call_output", "id": id});
    let valid: [&[Value]; 7] = [
        &[],
        &[message.clone(), call("a"), message, output("a")],
        &[call("a"), call("b"), output("b"), output("a")],
        &[call("a"), output("a"), call("a"), output("a")],
        &[
            call("s"),
            shell_by_id.clone(),
            own("s"),
            output("s"),
            item("local_shell_call", "t"),
            own("t"),
        ],
        &[shell_by_id, output("s"), item("local_shell_call", "t"), output("t")],
        &[
            item("custom_tool_call", "a"),
            call("a"),
            output("a"),
            item("custom_tool_call_output", "a"),
        ],
    ];
    for input in valid {
        assert_eq!(pairing(input), Ok(()), "{input:?}");
    }
}

#[test]
fn each_kind_of_violation_is_found() {
    let (index, call_id, kind) = (0, "a".to_owned(), ItemKind::FunctionCallOutput);
    let own_output = ItemKind::LocalShellCallOutput;
    let table: [(&[Value], Violation); 11] = [
        (
            &[json!({"type": "local_shell_call_output"})],
            Violation::EmptyCallId { index, kind: own_output },
        ),
        (
            &[call("a"), output("a"), item("local_shell_call_output", "a")],
            Violation::OutputOfOtherKind {
                index: 2,
                call_id: call_id.clone(),
                kind: own_output,
                call_kind: ItemKind::FunctionCall,
            },
        ),
        (&[output("")], Violation::EmptyCallId { index, kind }),
        (
            &[json!({"type": "local_shell_call"})],
            Violation::EmptyCallId { index, kind: ItemKind::LocalShellCall },
        ),
        (
            &[item("custom_tool_call_output", "")],
            Violation::EmptyCallId { index, kind: ItemKind::CustomToolCallOutput },
        ),
        (&[output("a")], Violation::OutputWithoutCall { index, call_id: call_id.clone(), kind }),
        (
            &[output("a"), call("a"), output("a")],
            Violation::OutputBeforeCall { index, call_id: call_id.clone(), kind },
        ),
        (
            &[call("a"), output("a"), output("a")],
            Violation::SecondOutput { index: 2, call_id: call_id.clone(), kind },
        ),
        (
            &[item("custom_tool_call", "a"), item("custom_tool_call_output", "a"), output("a")],
            Violation::OutputOfOtherKind {
                index: 2,
                call_id: call_id.clone(),
                kind,
                call_kind: ItemKind::CustomToolCall,
            },
        ),
        (
            &[call("a"), call("a"), output("a")],
            Violation::CallWithoutOutput {
                index,
                call_id: call_id.clone(),
                kind: ItemKind::FunctionCall,
            },
        ),
        (
            &[call("a")],
            Violation::CallWithoutOutput { index, call_id, kind: ItemKind::FunctionCall },
        ),
    ];
    for (input, violation) in table {
        assert_eq!(pairing(input), Err(vec![violation]), "{input:?}");
    }
}

#[test]
fn all_violations_are_reported_in_order() {
    let found = pairing(&[call("a"), output("b"), output("")]).unwrap_err();
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "input[0]: this function_call `a` has no output.",
            "input[1]: this function_call_output answers call `b`, which is not in the input.",
            "input[2]: this function_call_output has an empty call id.",
        ]
    );
}

/// The naive model: per tool family and id, outputs never outnumber calls, and end even.
fn naively_paired(input: &[Value]) -> bool {
    let mut balance: HashMap<(bool, &str), i32> = HashMap::new();
    for item in input {
        let (kind, id) = (item["type"].as_str().unwrap(), item["call_id"].as_str().unwrap());
        let open = balance.entry((kind.starts_with("custom"), id)).or_default();
        *open += if kind.ends_with("output") { -1 } else { 1 };
        if *open < 0 {
            return false;
        }
    }
    balance.values().all(|open| *open == 0)
}

/// Every input of up to five items over this alphabet agrees with the naive model.
#[test]
fn short_inputs_agree_with_a_naive_model() {
    let alphabet = [
        call("a"),
        call("b"),
        item("local_shell_call", "a"),
        item("custom_tool_call", "a"),
        output("a"),
        output("b"),
        item("custom_tool_call_output", "a"),
    ];
    let mut inputs: Vec<Vec<Value>> = vec![Vec::new()];
    for _ in 0..5 {
        inputs = inputs
            .iter()
            .flat_map(|input| {
                alphabet
                    .iter()
                    .map(move |item| [input.as_slice(), std::slice::from_ref(item)].concat())
            })
            .collect();
        for input in &inputs {
            assert_eq!(pairing(input).is_ok(), naively_paired(input), "{input:?}");
        }
    }
}

#[test]
fn a_prompt_that_breaks_is_told_in_one_sentence() {
    let check = |earlier: &str, later: &str| super::prefix(earlier.as_bytes(), later.as_bytes());
    let first = r#"{"model":"m","tools":[],"input":[1]}"#;
    assert_eq!(check(first, r#"{"tools":[],"model":"m","input":[1,2]}"#), Ok(()));
    let table = [
        (
            r#"{"model":"m","tools":[],"input":[2]}"#,
            "input[0] differs from byte 0 on: it was `1`, it is `2`",
        ),
        (
            r#"{"model":"m","tools":[7],"input":[1]}"#,
            "tools differs from byte 1 on: it was `[]`, it is `[7]`",
        ),
        (r#"{"model":"m","input":[1]}"#, "tools is gone: it was `[]`"),
    ];
    for (later, sentence) in table {
        assert_eq!(check(first, later), Err(sentence.to_owned()));
    }
    assert!(check(first, "{").unwrap_err().starts_with("the later body is no request: "));
}
