//! G13 (the prefix stays): whether a request continues another is told as comparing the texts of
//! their items tells it.

use longhaul_testkit::strategies;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn of(earlier: &Value, later: &Value) -> Result<Continuation, PrefixError> {
    compare(earlier.to_string().as_bytes(), later.to_string().as_bytes())
}

fn broken(place: Place, offset: usize, earlier: &str, later: &str) -> Continuation {
    let (earlier, later) = (earlier.into(), later.into());
    Continuation::Breaks(Break { place, offset, earlier, later })
}

/// A request that has every field.
fn full() -> Value {
    json!({"model": "m", "prompt_cache_key": "k", "previous_response_id": "r", "conversation": "c",
        "prompt": {"id": "p"}, "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "text"}, "verbosity": "low"}, "tools": [{"name": "t"}],
        "instructions": "be brief", "input": ["a"], "tool_choice": "auto", "temperature": 1})
}

/// What `path` names in a body.
fn at<'a>(body: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(body, |value, key| &mut value[key])
}

#[test]
fn each_field_breaks_the_prompt_and_the_first_is_named() {
    for (position, field) in FIELDS.iter().enumerate() {
        let mut later = full();
        let text = at(&mut later, field).to_string();
        *at(&mut later, field) = json!(7);
        for after in &FIELDS[position + 1..] {
            *at(&mut later, after) = json!(8);
        }
        let expected = broken(Place::Field(field), 0, &text, "7");
        assert_eq!(of(&full(), &later), Ok(expected), "{field}");

        let mut without = full();
        *at(&mut without, field) = Value::Null;
        let gone = broken(Place::Field(field), 0, &text, "");
        let new = broken(Place::Field(field), 0, "", &text);
        assert_eq!(of(&full(), &without), Ok(gone), "{field}");
        assert_eq!(of(&without, &full()), Ok(new), "{field}");
        let (parent, key) = field.rsplit_once('.').unwrap_or(("", field));
        let mut missing = without.clone();
        let parent = if parent.is_empty() { &mut missing } else { at(&mut missing, parent) };
        parent.as_object_mut().unwrap().remove(key);
        let extends = Continuation::Extends { shared_items: 1, added_items: 0, shared_bytes: 3 };
        assert_eq!(of(&without, &missing), Ok(extends), "null is missing: {field}");
    }
}

#[test]
fn what_steers_the_answer_does_not_break_the_prompt() {
    let mut later = full();
    for (path, value) in [
        ("tool_choice", json!("none")),
        ("temperature", json!(0)),
        ("reasoning.summary", json!(null)),
        ("text.verbosity", json!("high")),
        ("stream", json!(true)),
    ] {
        *at(&mut later, path) = value;
    }
    let extends = Continuation::Extends { shared_items: 1, added_items: 0, shared_bytes: 3 };
    assert_eq!(of(&full(), &later), Ok(extends));
}

#[test]
fn items_are_compared_as_they_stand() {
    let body = |input: &str| format!(r#"{{"input":{input}}}"#);
    let item = Place::Item;
    let extends = |shared_items, added_items, shared_bytes| Continuation::Extends {
        shared_items,
        added_items,
        shared_bytes,
    };
    let table = [
        ("[1]", "[1,2,3]", extends(1, 2, 1)),
        ("[]", "[]", extends(0, 0, 0)),
        ("null", "[1]", extends(0, 1, 0)),
        ("[ 1 ,\n{\"a\":1} ]", "[1,{\"a\":1}]", extends(2, 0, 8)),
        ("\"hi\"", "\"hi\"", extends(1, 0, 4)),
        (
            "[{\"a\":1,\"b\":2}]",
            "[{\"b\":2,\"a\":1}]",
            broken(item(0), 2, "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"),
        ),
        ("[{\"a\":1}]", "[{\"a\": 1}]", broken(item(0), 5, "{\"a\":1}", "{\"a\": 1}")),
        ("[1,2,3]", "[1,2]", broken(item(2), 0, "3", "")),
        ("[1,2,3]", "[1,3]", broken(item(1), 0, "2", "3")),
        ("[12]", "[123]", broken(item(0), 2, "12", "123")),
        ("\"hi\"", "[\"hi\",1]", extends(1, 1, 4)),
    ];
    for (earlier, later, expected) in table {
        let (earlier, later) = (body(earlier), body(later));
        assert_eq!(compare(earlier.as_bytes(), later.as_bytes()), Ok(expected), "{later}");
    }
}

#[test]
fn excerpts_are_short_and_of_whole_characters() {
    for padding in 0..8 {
        let text = |middle: &str| {
            let padding = "x".repeat(padding);
            json!({"input": [format!("{padding}{}{middle}{}", "日".repeat(90), "é".repeat(90))]})
        };
        let Ok(Continuation::Breaks(found)) = of(&text("a"), &text("ü")) else {
            panic!("no break");
        };
        assert_eq!(found.offset, 1 + padding + 270);
        for excerpt in [&found.earlier, &found.later] {
            assert!((72..=80).contains(&excerpt.len()), "{excerpt}");
        }
        assert!(found.earlier.contains("日aé") && found.later.contains("日üé"), "{found}");
    }
    // Characters that begin alike differ in their second byte.
    let found = of(&json!({"input": ["é"]}), &json!({"input": ["è"]}));
    assert_eq!(found, Ok(broken(Place::Item(0), 2, "\"é\"", "\"è\"")));
}

#[test]
fn a_break_reads_as_a_sentence() {
    let sentence = |found: Continuation| match found {
        Continuation::Breaks(found) => found.to_string(),
        other => format!("{other:?}"),
    };
    let table = [
        (
            broken(Place::Field("tools"), 3, "a", "b"),
            "tools differs from byte 3 on: it was `a`, it is `b`",
        ),
        (broken(Place::Field("tools"), 0, "", "b"), "tools is new: it is `b`"),
        (broken(Place::Item(2), 0, "a", ""), "input[2] is gone: it was `a`"),
    ];
    for (found, expected) in table {
        assert_eq!(sentence(found), expected);
    }
}

#[test]
fn what_is_no_request_is_an_error() {
    let request = br#"{"input":[]}"#;
    let bad: [&[u8]; 9] = [
        b"",
        b"[]",
        b"{",
        b"{}x",
        b"\xff{}",
        br#"{"input":7}"#,
        br#"{"input":{}}"#,
        br#"{"text":"x"}"#,
        br#"{"model":1,"model":2}"#,
    ];
    for body in bad {
        let text = String::from_utf8_lossy(body);
        assert!(matches!(compare(body, request), Err(PrefixError::Earlier(_))), "{text}");
        assert!(matches!(compare(request, body), Err(PrefixError::Later(_))), "{text}");
    }
    let error = compare(br#"{"input":7}"#, request).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the earlier body is no request: its input is neither a list nor a text"
    );
}

/// The first byte in which two bodies' items differ, found by comparing them whole.
fn naive(earlier: &[String], later: &[String]) -> Option<(usize, usize)> {
    let index = (0..earlier.len()).find(|index| earlier.get(*index) != later.get(*index))?;
    let empty = String::new();
    let (earlier, later) = (&earlier[index], later.get(index).unwrap_or(&empty));
    let mut offset = 0;
    while earlier.as_bytes().get(offset) == later.as_bytes().get(offset) {
        offset += 1;
    }
    Some((index, offset))
}

proptest! {
    #[test]
    fn comparing_items_is_comparing_their_texts(
        shared in proptest::collection::vec(strategies::json_object_text(), 0..4),
        earlier in proptest::collection::vec(strategies::json_object_text(), 0..2),
        later in proptest::collection::vec(strategies::json_object_text(), 0..3),
    ) {
        let trim = |items: Vec<String>| items.into_iter().map(|item| item.trim().to_owned());
        let items = |rest| -> Vec<String> { trim(shared.clone()).chain(trim(rest)).collect() };
        let (earlier, later) = (items(earlier), items(later));
        let body = |items: &[String]| format!(r#"{{"input":[{}]}}"#, items.join(" , "));
        let found = compare(body(&earlier).as_bytes(), body(&later).as_bytes()).unwrap();
        match (naive(&earlier, &later), found) {
            (None, Continuation::Extends { shared_items, added_items, shared_bytes }) => {
                prop_assert_eq!(shared_items, earlier.len());
                prop_assert_eq!(added_items, later.len() - earlier.len());
                prop_assert_eq!(shared_bytes, earlier.concat().len());
            }
            (Some((index, offset)), Continuation::Breaks(found)) => {
                prop_assert_eq!((found.place, found.offset), (Place::Item(index), offset));
                let is_in = |items: &[String], part: &str| items.get(index).is_none_or(|item| item.contains(part));
                prop_assert!(is_in(&earlier, &found.earlier) && is_in(&later, &found.later));
            }
            (expected, found) => prop_assert!(false, "{expected:?} {found:?}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(earlier: Vec<u8>, later in ".{0,40}") {
        let _ = compare(&earlier, later.as_bytes());
        let _ = compare(later.as_bytes(), &earlier);
    }
}
