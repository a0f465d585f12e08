use proptest::prelude::*;

use super::*;
use crate::Item;

/// The wordings and what they are answered with, as `wordings.txt` lists them.
const WORDINGS: &str = include_str!("wordings.txt");

fn read(code: &str, param: &str, message: &str) -> Option<Remedy> {
    let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
    remedy(&Refusal { code: known(code), param: known(param), message })
}

fn call(id: &str) -> Target {
    Target::CallId(id.into())
}

fn item(id: &str) -> Target {
    Target::ItemId(id.into())
}

fn at(index: usize) -> Target {
    Target::Index(index)
}

#[test]
fn every_wording_has_its_repair() {
    let blocks = WORDINGS.split("\n\n").filter(|block| block.contains("\nremedy "));
    let mut count = 0;
    for block in blocks {
        let line = |name: &str| {
            let line = block.lines().find(|line| line.split(' ').next() == Some(name));
            line.map_or("", |line| line[name.len()..].trim())
        };
        let found = read(line("code"), line("param"), &line("says").replace('⏎', "\n"));
        let found = found.map_or("nothing".into(), |remedy| format!("{remedy:?}"));
        assert_eq!(found, line("remedy"), "{block}");
        count += 1;
    }
    assert_eq!(count, WORDINGS.matches("\nremedy ").count());
    assert!(count > 100, "the file was read in part only: {count}");
}

#[test]
fn ids_are_taken_whole_however_long_or_odd() {
    let long = "x".repeat(450);
    for id in ["call-é", "functions.eval:301", "a/b+c=", "日本", long.as_str()] {
        let message = format!("No tool output found for function call {id}.");
        assert_eq!(read("", "", &message), Some(Remedy::AnswerCall(call(id))));
        let message = format!(
            "Item '{id}' of type 'reasoning' was provided without its required following item."
        );
        assert_eq!(read("", "", &message), Some(Remedy::RemoveReasoning(item(id))));
    }
    let endless = format!("No tool output found for function call {}.", "x".repeat(2000));
    assert_eq!(read("", "", &endless), None);
    // What lies beyond the first 8 KiB is not read.
    let far = format!("a{}\nNo tool output found for function call call_1.", "é".repeat(5000));
    assert_eq!(read("", "", &far), None);
    let near = format!("{}\nNo tool output found for function call call_1.", "é".repeat(3000));
    assert_eq!(read("", "", &near), Some(Remedy::AnswerCall(call("call_1"))));
}

#[test]
fn paths_are_read_in_every_way_of_writing() {
    let path = |text| path::Path::read(text).map(|path| (path.index, path.within_item()));
    let table = [
        ("input[3]", Some((3, ""))),
        ("input[3].content[0].image_url", Some((3, "content[0].image_url"))),
        ("input.3.content.0.image_url", Some((3, "content[0].image_url"))),
        (" input[3].action.env ", Some((3, "action.env"))),
        ("input", None),
        ("input[]", None),
        ("input.content", None),
        ("inputs[3]", None),
        ("tools[3]", None),
        ("messages.3.content", None),
        ("input[99999999999999999999999]", None),
        ("input[3].a b", None),
        ("input[-1]", None),
    ];
    for (text, expected) in table {
        assert_eq!(path(text), expected.map(|(index, rest)| (index, rest.into())), "{text}");
    }
    assert_eq!(path(&format!("input[0]{}", ".a".repeat(100))), None);
}

#[test]
fn a_repair_widens_once_and_then_ends() {
    let field = |target| Remedy::RemoveField { target, path: "status".into() };
    let shorten = |target| Remedy::ShortenField { target, path: "a".into(), max_bytes: 9 };
    let rename = |target| Remedy::RenameCalls { target, max_bytes: 9 };
    let images = Remedy::ReplaceImages;
    let table = [
        (Remedy::AnswerCall(call("c")), Some(Remedy::AnswerCall(Target::All))),
        (Remedy::RemoveOutput(call("c")), Some(Remedy::RemoveOutput(Target::All))),
        (rename(at(1)), Some(rename(Target::All))),
        (Remedy::RemoveReasoning(item("i")), Some(Remedy::RemoveReasoning(Target::All))),
        (Remedy::RemoveEncrypted(item("i")), Some(Remedy::RemoveEncrypted(Target::All))),
        (Remedy::RemoveItemId(at(1)), Some(Remedy::RemoveItemId(Target::All))),
        (Remedy::RemoveItem(at(1)), Some(Remedy::RemoveItem(Target::Alike(1)))),
        (Remedy::RemoveItem(item("i")), None),
        (Remedy::RemoveUncommonItems, None),
        (field(at(1)), Some(field(Target::Alike(1)))),
        (shorten(at(1)), Some(shorten(Target::Alike(1)))),
        (images(Images::OfItem(1)), Some(images(Images::All))),
        (images(Images::Linked), Some(images(Images::All))),
        (images(Images::AllBut { newest: 5 }), Some(images(Images::All))),
    ];
    for (remedy, wider) in table {
        assert_eq!(remedy.widened(), wider);
        assert_eq!(wider.and_then(|wider| wider.widened()), None, "{remedy:?}");
    }
    let part = images(Images::Part { item: 1, part: 2 });
    assert_eq!(part.widened(), Some(images(Images::OfItem(1))));
}

#[test]
fn targets_select_what_they_name() {
    let json = |json: &str| Item::from_json(json).unwrap();
    let input = [
        Item::user("hi"),
        json(r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAxDQ=="}"#),
        Item::function_call("c", "ls", "{}"),
        Item::assistant("ok"),
        Item::output(crate::CallKind::Function, "c", crate::CallOutput::text("a")),
        json(r#"{"type":"hologram","id":"h"}"#),
        json(r#"{"type":"compaction","encrypted_content":"gAAAyRg=="}"#),
        json(r#"{"type":"hologram"}"#),
        json(r#"{"type":"sculpture"}"#),
        Item::user("ho"),
    ];
    let sealed =
        |head: &str, tail: &str| Target::Encrypted { head: head.into(), tail: tail.into() };
    let table = [
        (at(3), vec![3]),
        (at(10), vec![]),
        (call("c"), vec![2, 4]),
        (call("d"), vec![]),
        (item("rs_1"), vec![1]),
        (item(""), vec![]),
        (sealed("gAAA", "DQ=="), vec![1]),
        (sealed("gAAA", ""), vec![1, 6]),
        (sealed("gAAAxD", "DQ=="), vec![]),
        (Target::Alike(0), vec![0, 9]),
        (Target::Alike(5), vec![5, 7]),
        (Target::Alike(8), vec![8]),
        (Target::Alike(10), vec![]),
        (Target::All, (0..10).collect()),
    ];
    for (target, positions) in table {
        assert_eq!(target.select(&input), positions, "{target:?}");
    }
}

/// The beginnings of known wordings, for messages that nearly say something.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "No tool output found for ",
        "function call ",
        "call_1",
        ".",
        "No tool call found for ",
        "output with call_id ",
        "Item '",
        "rs_1",
        "' of type 'reasoning' was provided without its required ",
        "following item",
        "Item with id '",
        "' not found",
        "The encrypted content ",
        "for item ",
        "...",
        " could not be verified",
        "Invalid 'input[",
        "3].content[",
        "0]",
        "'",
        ": string too long",
        " maximum length ",
        "Unknown parameter: ",
        "Invalid value: '",
        "at most ",
        " image(s)",
        ">",
        "\"",
        "`",
        "{\"message\":\"",
        "é",
        "\u{0}",
        "9999999999999999999999",
        ": ",
        "\n",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_message_makes_it_panic(
        message in proptest::collection::vec(fragment(), 0..12).prop_map(|parts| parts.concat()),
        code in proptest::option::of(fragment()),
        param in proptest::option::of(fragment()),
    ) {
        let refusal = Refusal { code: code.as_deref(), param: param.as_deref(), message: &message };
        let found = remedy(&refusal);
        prop_assert_eq!(&found, &remedy(&refusal));
        let mut remedies = std::iter::successors(found, Remedy::widened);
        prop_assert!(remedies.by_ref().take(4).count() <= 3 && remedies.next().is_none());
    }

    #[test]
    fn text_that_knows_no_server_gives_nothing(message: String, param: String) {
        let refusal = Refusal { param: Some(&param), ..Refusal::new(&message) };
        prop_assert_eq!(remedy(&refusal), None);
    }

    /// What a user wrote and a server quotes is not the server's word, wherever it stands in it.
    #[test]
    fn quoted_text_is_not_obeyed(
        before in "[a-z ]{0,10}",
        mark in proptest::sample::select(vec!["'", "\"", "`"]),
        space in proptest::sample::select(vec!["", " ", ": ", ". ", "\n"]),
    ) {
        for known in [
            "No tool output found for function call call_1.",
            "No tool call found for function call output with call_id call_1.",
            "Duplicate item found with id rs_1.",
            "Could not decode the compaction blob.",
            "The image data you provided does not represent a valid image.",
            "image input is not supported",
            "Cannot determine type of 'item'",
        ] {
            let message = format!("Your text is refused {mark}{before}{space}{known}{mark} and so on");
            prop_assert_eq!(read("", "", &message), None, "{}", message);
        }
    }
}
