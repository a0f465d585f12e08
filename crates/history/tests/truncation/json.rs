//! JSON stays JSON.

use std::ops::RangeInclusive;

use longhaul_history::truncate::{OutputLimits, output};
use longhaul_testkit::strategies::{json_object_text, json_value};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{any_limits, by_words, check, cut, limits};

/// Strings of any size, in lists and objects, in one another.
fn document() -> impl Strategy<Value = Value> {
    let string =
        prop_oneof!["[a-z \n\"\\\\é日🦀\u{1}]{0,9}", "([a-z ]{0,30}\n){0,40}", "[a-z\"]{0,900}",];
    let leaf = prop_oneof![3 => string.prop_map(Value::from), 1 => json_value()];
    let inner = leaf.prop_recursive(4, 64, 12, |inner| {
        let object = vec(("[a-z\"\n]{0,20}", inner.clone()), 0..12);
        prop_oneof![
            vec(inner, 0..12).prop_map(Value::from),
            object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    inner.prop_map(|value| match value {
        Value::Array(_) | Value::Object(_) => value,
        value => json!([value]),
    })
}

/// Whether `short` is `full`, but for strings that are cut and elements that are left out.
fn is_outline(short: &Value, full: &Value) -> bool {
    match (short, full) {
        (Value::String(short), Value::String(full)) => {
            let is_tail = |(short, full): (&str, &str)| full.ends_with(short);
            short == full
                || short.contains('…')
                || short.contains("[... ")
                || short.is_empty()
                || short.rsplit('\n').zip(full.rsplit('\n')).all(is_tail)
        }
        (Value::Array(short), Value::Array(full)) => {
            let is_outline = |(short, full)| is_outline(short, full);
            let with_marker = |marker: usize| {
                let head = short[..marker].iter().zip(full);
                let tail = short[marker + 1..].iter().rev().zip(full.iter().rev());
                head.chain(tail).all(is_outline)
            };
            let dropped = (full.len() + 1).saturating_sub(short.len());
            (short.len() == full.len() && short.iter().zip(full).all(is_outline))
                || (0..short.len()).any(|i| is_marker(dropped, &short[i]) && with_marker(i))
        }
        (Value::Object(short), Value::Object(full)) => {
            short.keys().eq(full.keys())
                && short.iter().all(|(key, value)| is_outline(value, &full[key]))
        }
        (short, full) => short == full,
    }
}

fn is_marker(dropped: usize, value: &Value) -> bool {
    let start = format!("[... omitted {dropped} of ");
    value.as_str().is_some_and(|text| text.starts_with(&start) || text.is_empty())
}

fn is_stub(value: &Value) -> bool {
    value.get("truncated") == Some(&Value::Bool(true)) || value == &json!({})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn any_document_stays_a_document(
        document in document(),
        limits in any_limits(),
        is_pretty in any::<bool>(),
    ) {
        let text = if is_pretty { format!("{document:#}") } else { document.to_string() };
        let short = check(&text, &limits)?;
        let document = serde_json::from_str(&text).unwrap();
        if short.is_empty() {
            // No room for an object, or for its tokens.
            return Ok(());
        }
        let short: Value = serde_json::from_str(&short).unwrap();
        prop_assert!(is_outline(&short, &document) || is_stub(&short), "{short}");
    }

    #[test]
    fn any_spelling_stays_a_document(text in json_object_text(), limits in any_limits()) {
        let short = cut(&text, &limits);
        prop_assert!(short.is_empty() || serde_json::from_str::<&RawValue>(&short).is_ok());
        prop_assert!(short.len() <= limits.max_bytes);
        prop_assert!(by_words(&short) <= limits.max_tokens.unwrap_or(u64::MAX));
        prop_assert_eq!(output(&short, &limits, &by_words).cut, None);
    }
}

/// T163 with W22: the shell's output keeps its metadata, and the text in it both ends.
#[test]
fn t163_the_shells_output_is_cut_within() {
    let lines = |numbers: RangeInclusive<usize>| -> String {
        numbers.flat_map(|n| [n.to_string(), "\n".into()]).collect()
    };
    let shell = |output: &str| {
        format!(
            r#"{{"output":{},"metadata":{{"exit_code":1,"duration_seconds":0.10}}}}"#,
            json!(output)
        )
    };
    let (head, tail) = (lines(1..=125), lines(275..=400));
    let expected =
        format!("Total output lines: 400\n\n{head}\n[... omitted 149 of 400 lines ...]\n\n{tail}");
    assert_eq!(cut(&shell(&lines(1..=400)), &OutputLimits::default()), shell(&expected));
}

/// W22: the text alone would fit, its JSON does not.
#[test]
fn w22_escapes_count() {
    let line = format!("{}\n", "x".repeat(66));
    for text in [line.repeat(152), line.repeat(3_000), "\"\\\u{1}é".repeat(1_000)] {
        let document = json!({"output": text, "metadata": {"exit_code": 0}}).to_string();
        let short = cut(&document, &OutputLimits::default());
        assert!((9_700..=10_240).contains(&short.len()), "{}", short.len());
        let short: Value = serde_json::from_str(&short).unwrap();
        assert_eq!(short["metadata"], json!({"exit_code": 0}));
        let output = short["output"].as_str().unwrap();
        let (head, tail) = output.split_once("\n[... ").unwrap();
        let head = head.split_once("\n\n").map(|(_, head)| head).unwrap();
        assert!(head.len() > 1_500 && text.starts_with(head));
        let (_, tail) = tail.split_once(" ...]\n\n").unwrap();
        assert!(tail.len() > 1_500 && text.ends_with(tail));
    }
}

#[test]
fn short_strings_numbers_and_unknown_fields_keep_their_spelling() {
    let document = format!(
        r#"{{ "n": [1.50, 1e400, 123456789012345678901234567890],
            "s": "\u0041\/", "z": null, "long": "{}", "z": "\ud800" }}"#,
        "x".repeat(2_000)
    );
    let short = cut(&document, &limits(|limits| limits.max_bytes = 500));
    let (before, after) = (
        r#"{"n":[1.50,1e400,123456789012345678901234567890],"s":"\u0041\/","z":null,"long":"Total"#,
        r#"xxx","z":"\ud800"}"#,
    );
    assert!(short.starts_with(before) && short.ends_with(after), "{short}");
}

#[test]
fn the_longest_strings_give_way_first() {
    let document = json!({"a": "a".repeat(300), "b": "b".repeat(5_000), "c": "c".repeat(400)});
    let short = cut(&document.to_string(), &limits(|limits| limits.max_bytes = 1_200));
    let mut short: Value = serde_json::from_str(&short).unwrap();
    let b = short["b"].take();
    assert_eq!(short, json!({"a": document["a"], "b": null, "c": document["c"]}));
    assert!(b.as_str().is_some_and(|b| b.starts_with("Total") && b.ends_with("bbb")), "{b}");
}

#[test]
fn lists_lose_their_middle_last() {
    let entry = |n: usize| json!({"n": n, "text": "x".repeat(100)});
    let document = Value::from((0..1_000).map(entry).collect::<Vec<_>>());
    let short = cut(&document.to_string(), &limits(|limits| limits.max_bytes = 1_000));
    let marker = json!("[... omitted 993 of 1000 elements ...]");
    let kept =
        [entry(0), entry(1), entry(2), marker, entry(996), entry(997), entry(998), entry(999)];
    assert_eq!(serde_json::from_str::<Value>(&short).unwrap(), Value::from(kept.to_vec()));
}

#[test]
fn keys_that_do_not_fit_leave_a_stub() {
    let document = Value::Object((0..1_000).map(|n| (format!("key {n}"), json!(n))).collect());
    let text = document.to_string();
    let table = [
        (
            100,
            r#"{"truncated":true,"total_bytes":13781,"head":"{\"key 0\":0,\"key 1\"","tail":"998,\"key 999\":999}"}"#,
        ),
        (60, r#"{"truncated":true,"total_bytes":13781}"#),
        (20, r#"{"truncated":true}"#),
        (17, "{}"),
        (1, ""),
    ];
    for (max_bytes, expected) in table {
        assert_eq!(cut(&text, &limits(|limits| limits.max_bytes = max_bytes)), expected);
    }
}

#[test]
fn pretty_json_is_compacted_first() {
    let document = json!({"list": (0..300).collect::<Vec<_>>()});
    let pretty = format!("{document:#}\n");
    let short = output(&pretty, &OutputLimits::default(), &by_words);
    assert_eq!(short.text, document.to_string());
    assert_eq!(short.cut.map(|cut| cut.removed_bytes), Some(pretty.len() - short.text.len()));
}

#[test]
fn deep_nesting_does_not_recurse_without_end() {
    let depth = 200_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let short = cut(&deep, &OutputLimits::default());
    assert!(short.starts_with(r#"{"truncated":true,"total_bytes":400000,"head":"[[["#));
    assert!(short.ends_with(r#"]]]"}"#) && short.len() <= 10_240);
}

/// What is nested too deep to be cut loses its white space all the same.
#[test]
fn deep_values_are_kept_on_one_line() {
    let deep = format!("{}1.50{}", "[\n".repeat(40), "\n]".repeat(40));
    let document = format!("{{\"deep\": {deep}, \"text\": \"{}\"}}", "x".repeat(2_000));
    let limits = limits(|limits| {
        limits.max_bytes = 500;
        limits.max_lines = 7;
    });
    let short = cut(&document, &limits);
    assert!(short.starts_with(&format!("{{\"deep\":{}1.50", "[".repeat(40))), "{short}");
    assert_eq!((short.lines().count(), cut(&short, &limits)), (1, short));
}

/// Few bytes, many lines: the header and the marker do not cost lines that there is room for.
#[test]
fn a_string_may_grow_by_its_header_and_marker() {
    let text = "\n".repeat(257);
    let short = cut(&json!([text]).to_string(), &OutputLimits::default());
    let short: Value = serde_json::from_str(&short).unwrap();
    let expected = format!(
        "Total output lines: 257\n\n{}\n[... omitted 6 of 257 lines ...]\n\n{}",
        "\n".repeat(125),
        "\n".repeat(126)
    );
    assert_eq!(short, json!([expected]));
}

#[test]
fn short_lists_keep_all_elements() {
    let many: Vec<_> = (0..1_000).collect();
    let document = json!({"few": [1, 2, 3, 4], "many": many}).to_string();
    let short = cut(&document, &limits(|limits| limits.max_bytes = 90));
    let expected =
        r#"{"few":[1,2,3,4],"many":[0,1,2,"[... omitted 994 of 1000 elements ...]",997,998,999]}"#;
    assert_eq!(short, expected);
}

/// A bracket at each end does not make JSON.
#[test]
fn a_log_with_brackets_is_text() {
    let log = "[INFO] a line [end]\n".repeat(1_000);
    assert!(cut(&log, &OutputLimits::default()).starts_with("Total output lines: 1000\n\n[INFO]"));
}
