//! Messages of the user are found again in the conversation, and what is behind them goes.

use longhaul_history::turn_item::TurnItem;
use longhaul_history::{BridgeParts, CallOutput, ContentPart, History, Item, OutputPart, Role};
use longhaul_state::protocol::Event;

use super::support::*;
use crate::transcript::*;

/// A message of the user as a session records it.
fn message(id: &str, text: &str) -> Item {
    let text = text.to_owned();
    Item::message_with_id(id, Role::User, &[ContentPart::InputText { text }])
}

fn history(items: impl IntoIterator<Item = Item>) -> History {
    let mut history = History::default();
    history.extend(items);
    history
}

fn shown_bridge(quoted: &[&str]) -> Item {
    let text = quoted.join("\n");
    let user_messages = quoted.iter().map(|text| (*text).into()).collect();
    let parts = BridgeParts { user_messages, summary: String::new() };
    Item::bridge(&[ContentPart::InputText { text }], &parts)
}

/// Two turns; the second is steered and cut off.
fn reader() -> Reader {
    let mut reader = Reader::of(all([
        &[begin()],
        &said("u1", "one"),
        &[completed(agent("m", "yes")), tokens(), complete()],
    ]));
    reader.turn = "u";
    reader.read(all([
        &[begin()],
        &said("u2", "two"),
        &[run("c", "{}"), end("c", true, "x")],
        &said("u3", "three"),
        &[text("so"), abort()],
    ]));
    reader
}

#[test]
fn a_message_is_selected_by_its_number_and_found_by_its_id() {
    let transcript = reader().transcript;
    let messages = || [message("u1", "one"), message("u2", "two"), message("u3", "three")];
    let [one, two, three] = messages();
    let bridged = shown_bridge(&["one", "two"]);
    let pinned = || Item::user("the rule");
    let context = Item::user("<user_instructions>\nx\n</user_instructions>");
    let table = [
        ("as it was", history(messages()), [Some(0), Some(1), Some(2)]),
        ("compacted", history([bridged.clone()]), [None; 3]),
        ("compacted, with a tail", history([bridged, three.clone()]), [None, None, Some(0)]),
        ("with pins", history([pinned(), one.clone(), pinned(), two]), [Some(1), Some(3), None]),
        ("with context", history([context, one, three]), [Some(0), None, Some(1)]),
        ("of another session", history([message("v1", "one")]), [None; 3]),
        ("empty", History::default(), [None; 3]),
    ];
    for (name, history, positions) in table {
        assert_eq!(transcript.positions(&history), positions, "{name}");
        let selected = [0, 1, 2].map(|n| transcript.select(n, &history).unwrap());
        assert_eq!(selected.clone().map(|selection| selection.before), positions, "{name}");
        let cells = selected.clone().map(|selection| selection.cell);
        assert_eq!(cells, [0, 2, 4]);
        assert_eq!(selected.map(|selection| selection.text), ["one", "two", "three"]);
        assert_eq!(transcript.select(3, &history), None);
        for (position, nth) in positions.iter().zip(0..).filter_map(|(p, nth)| Some(((*p)?, nth))) {
            let id = history.user_message(position).and_then(|index| history.get(index)?.id());
            assert_eq!(id, transcript.select(nth, &history).map(|s| s.item_id).as_deref());
        }
    }
}

/// Items without an id are known by what they say: of those that say the same the last are there.
#[test]
fn messages_that_say_the_same_are_found_from_the_end() {
    let whole = history(["yes", "no", "yes", "yes"].map(Item::user));
    let transcript = Transcript::of_history(&whole);
    let table: [(&[&str], [Option<usize>; 4]); 5] = [
        (&["yes", "no", "yes", "yes"], [Some(0), Some(1), Some(2), Some(3)]),
        (&["yes", "yes"], [None, None, Some(0), Some(1)]),
        (&["no", "yes"], [None, Some(0), None, Some(1)]),
        (&["yes", "no"], [Some(0), Some(1), None, None]),
        (&["yes", "yes", "yes"], [Some(0), None, Some(1), Some(2)]),
    ];
    for (left, expected) in table {
        let left = history(left.iter().map(|text| Item::user(*text)));
        assert_eq!(transcript.positions(&left), expected);
    }
}

#[test]
fn trimming_shows_what_a_fork_keeps() {
    let whole = reader().transcript;
    for (n, len) in [(0, 0), (1, 2), (2, 4)] {
        let mut transcript = whole.clone();
        assert!(transcript.trim(n));
        assert_eq!(transcript.cells(), &whole.cells()[..len]);
        assert_eq!(transcript.user_message_count(), n);
        assert!(!transcript.trim(n), "there is no such message any more");
        // Another session counts its own events and gives its own ids.
        let mut reader = Reader { transcript, turn: "f", number: 0 };
        reader.read(all([&[begin()], &said("u1", "instead"), &[text("so")]]));
        let lines = reader.lines();
        assert_eq!(lines[len..], [format!("user {n}: instead"), "agent+ so".into()]);
        let ids: Vec<u64> = reader.transcript.cells().iter().map(|cell| cell.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }
}

#[test]
fn trimming_in_the_middle_of_a_turn_leaves_nothing_open() {
    let mut reader = Reader::of(all([
        &[begin()],
        &said("u1", "one"),
        &[reviewing("it"), run("c", "{}"), run("d", "{}"), retry(1)],
    ]));
    reader.miss(1);
    reader.read([progress("d", "p")]);
    reader.read(all([&said("u2", "two"), &[run("e", "{}")]]));
    assert!(reader.transcript.trim(1));
    let expected = [
        "user 0: one",
        "review/ it: -",
        "tool c tool {}: unknown",
        "tool d tool {}: stopped",
        "gap 8-8",
    ];
    assert_eq!(reader.lines(), expected);
    assert_eq!(*reader.transcript.status(), Status::default());
    (reader.number, reader.turn) = (0, "f");
    reader.read([begin(), end("c", true, "x"), text("so")]);
    assert_eq!(reader.lines()[5..], ["tool c  : ok x", "agent+ so"]);
}

#[test]
fn a_conversation_becomes_cells() {
    let image = || "data:image/png;base64,AAAA".to_owned();
    let output = CallOutput::Parts(vec![
        OutputPart::InputText { text: "seen".into() },
        OutputPart::InputImage { image_url: image() },
    ]);
    let json = |json: &str| Item::from_json(json).unwrap();
    let history = history([
        Item::user("<environment_context>\n</environment_context>"),
        Item::message(
            Role::User,
            &[
                ContentPart::InputText { text: "look".into() },
                ContentPart::InputImage { image_url: image() },
            ],
        ),
        json(r#"{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"hm"}]}"#),
        Item::assistant("I look."),
        Item::function_call("c", "eye", "1"),
        Item::function_call("c", "eye", "2"),
        Item::function_call_output("c", output),
        Item::function_call_output("c", CallOutput::text("blind")).failed(),
        Item::custom_tool_call("d", "hand", "grasp"),
        Item::user("and?"),
        Item::custom_tool_call("d", "hand", "hold"),
        Item::custom_tool_call_output("d", CallOutput::text("held")),
        json(r#"{"type":"web_search_call","id":"s","action":{"type":"search","query":"rain"}}"#),
        json(r#"{"type":"local_shell_call","call_id":"l","action":{"command":["ls"]}}"#),
        shown_bridge(&["x"]),
        Item::function_call_output("nobody", CallOutput::text("?")),
        json(r#"{"type":"hologram"}"#),
    ]);
    let transcript = Transcript::of_history(&history);
    let expected = [
        "user 0: look +1",
        "reasoning hm",
        "agent I look.",
        "tool c eye 1: ok seen\n[image]",
        "tool c eye 2: failed blind",
        "tool d hand grasp: unknown",
        "user 1: and?",
        "tool d hand hold: ok held",
        "search rain",
        r#"tool l local_shell {"command":["ls"]}: unknown"#,
        "compaction -: done -",
    ];
    assert_eq!(lines(&transcript), expected);
    assert_eq!(transcript.user_message_count(), history.user_message_count());
    assert_eq!(transcript.positions(&history), [Some(0), Some(1)]);
    let shown: Vec<String> =
        history.iter().filter_map(|item| Some(TurnItem::of(item)?.id)).collect();
    let ids = transcript.cells().iter().filter_map(|cell| cell.item_id.clone());
    assert_eq!(ids.collect::<Vec<_>>(), shown);
    // And it goes on.
    let mut reader = Reader { transcript, turn: "t", number: 0 };
    reader.read(all([&[begin()], &said("u", "three"), &[Event::Background("so".into())]]));
    assert_eq!(reader.lines()[11..], ["user 2: three", "notice so"]);
    assert_eq!(reader.transcript.cells()[11].id, 11);
}
