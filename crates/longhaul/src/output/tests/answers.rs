//! Reading answers.

use serde_json::json;

use super::types::Place;
use crate::output::{AnswerError, read};

/// What became of reading, as a word and what it says.
fn outcome(text: &str) -> (&'static str, String) {
    match read::<Place>(text) {
        Ok(place) => ("read", json!(place).to_string()),
        Err(error) => {
            let kind = match &error {
                AnswerError::Empty => "empty",
                AnswerError::NotJson(_) => "not JSON",
                AnswerError::Mismatch(_) => "mismatch",
            };
            (kind, error.to_string())
        }
    }
}

#[test]
fn an_answer_is_read_through_what_may_stand_around_it() {
    let json = r#"{"north":7.0,"note":null}"#;
    let table = [
        json.to_owned(),
        format!("\u{feff}{json}"),
        format!("\u{feff} \r\n\t{json}\n\n"),
        format!("```json\n{json}\n```"),
        format!("\u{feff}\n```json\r\n{json}\r\n```\r\n"),
        format!("```json{json}```"),
        r#"{"north": 7}"#.to_owned(),
    ];
    for text in table {
        assert_eq!(outcome(&text), ("read", json.to_owned()), "{text:?}");
    }
    let note = r#"{"north":7.0,"note":"```json\n{}\n```"}"#;
    assert_eq!(outcome(note), ("read", note.to_owned()));
    assert_eq!(outcome(&format!("```json\n{note}```")), ("read", note.to_owned()));
}

#[test]
fn an_answer_that_cannot_be_read_is_empty_or_no_json_or_of_another_shape() {
    let json = r#"{"north":7.0,"note":null}"#;
    let fence = "```";
    let empty = ["", " \n", "\u{feff}", "```json\n```", "\u{feff} ```json```"];
    let not_json = [
        "It is cold in Oslo.".to_owned(),
        format!("Here it is: {json}"),
        format!("{json}\nAnything else?"),
        format!("{json}{json}"),
        json[..json.len() - 1].to_owned(),
        r#"{"north":"seven", and so on"#.to_owned(),
        r#"{"north":7.0,}"#.to_owned(),
        "{'north':7.0}".to_owned(),
        "NaN".to_owned(),
        format!("{fence}\n{json}\n{fence}"),
        format!("{fence}json\n{json}"),
        format!("{json}\n{fence}"),
        format!("{fence}json\n{fence}json\n{json}\n{fence}\n{fence}"),
        format!("{fence}json\n{json}\n{fence}\n{fence}json\n{json}\n{fence}"),
        format!("{fence}json"),
        format!("\u{feff}\u{feff}{json}"),
    ];
    let mismatch =
        ["[]", "null", "7", "\"text\"", "{}", r#"{"north":null}"#, r#"{"north":1,"north":2}"#];
    for text in empty {
        assert_eq!(outcome(text).0, "empty", "{text:?}");
    }
    for text in not_json {
        assert_eq!(outcome(&text).0, "not JSON", "{text:?}");
    }
    for text in mismatch {
        assert_eq!(outcome(text).0, "mismatch", "{text:?}");
    }
}

#[test]
fn the_message_says_what_is_wrong_and_where() {
    let table = [
        ("", "the answer is empty: ask again, or look at how the response ended"),
        (
            "```json\n{\"north\":\n",
            "the answer is not JSON (expected value at line 1 column 1): does the server know output \
             schemas?",
        ),
        (
            "```json\n{\"note\":\n7}```",
            "the answer does not fit: invalid type: integer `7`, expected \
             a string at line 2 column 1",
        ),
        ("{\"note\":\"\"}", "the answer does not fit: missing field `north` at line 1 column 11"),
    ];
    for (text, message) in table {
        assert_eq!(outcome(text).1, message);
    }
    let Err(AnswerError::NotJson(cut)) = read::<Place>("{\"north\":") else {
        panic!("half an object was read");
    };
    assert!(cut.is_eof());
}

/// Whatever a nesting costs, it is no crash.
#[test]
fn deep_answers_are_errors() {
    for text in ["[".repeat(100_000), format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))] {
        assert_ne!(outcome(&text).0, "read");
    }
}
