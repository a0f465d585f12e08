//! The newest messages, whatever became of them.

use std::collections::HashMap;
use std::io;

use longhaul_history::turn_item::{TurnItem, TurnItemKind, UserPart};
use longhaul_history::{ContentPart, Item};
use longhaul_rollout::{
    Blobs, OnDamage, RECENT_BYTES, RECENT_MESSAGES, RecentMessages, Replay, blob_digest, replay,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::log::{Log, new, record};

/// The texts, and whether there are more.
fn texts(recent: &RecentMessages) -> (Vec<String>, bool) {
    let text = |item: &TurnItem| match &item.kind {
        TurnItemKind::Reasoning { summary_text, .. } => format!("({})", summary_text.concat()),
        kind => kind.message_text().unwrap(),
    };
    (recent.items.iter().map(text).collect(), recent.is_truncated)
}

fn shown(replay: &Replay) -> String {
    let (texts, is_truncated) = texts(&replay.recent);
    assert!(!is_truncated);
    texts.join(" ")
}

fn replaced(kind: &'static str, n: usize, parts: &Value) -> (&'static str, Value) {
    (kind, json!({"replaced": n, "parts": parts, "told": null, "reason": "repaired"}))
}

/// Each row: what is added to `a b c d`, and what is shown then.
#[test]
fn what_was_said_is_shown_unless_it_was_taken_back() {
    let compacted = |n, parts: Value| replaced("compacted", n, &parts);
    let edited = |n, parts: Value| replaced("edited", n, &parts);
    let said = |text: &str| ("response_item", serde_json::to_value(Item::user(text)).unwrap());
    let table = [
        (vec![], "a b c d"),
        (vec![compacted(4, json!([new("x")]))], "a b c d"),
        (vec![compacted(3, json!([new("x"), {"keep": [1, 2]}])), said("e")], "a b c d e"),
        (vec![compacted(4, json!([new("x")])), ("compaction_undone", json!({}))], "a b c d"),
        (vec![edited(4, json!([{"keep": [0, 1]}, {"keep": [2, 4]}]))], "a c d"),
        (vec![edited(2, json!([]))], "c d"),
        (vec![edited(4, json!([{"keep": [0, 1]}, new("y"), {"keep": [2, 4]}]))], "a y c d"),
        (vec![edited(4, json!([new("x"), new("y"), {"keep": [0, 4]}]))], "x y a b c d"),
        (vec![edited(4, json!([{"keep": [0, 4]}, new("x"), new("y")]))], "a b c d x y"),
        (vec![edited(4, json!([new("x")]))], "x"),
        // After a compaction, only what is still there can be taken back, or have a neighbour.
        (
            vec![
                compacted(3, json!([new("x"), {"keep": [2, 3]}])),
                edited(3, json!([{"keep": [0, 1]}, new("y"), {"keep": [2, 3]}])),
            ],
            "a b y d",
        ),
    ];
    for (records, expected) in table {
        let mut log = Log::new();
        log.user("a").user("b").user("c").user("d");
        for (kind, payload) in &records {
            log.add(kind, payload.clone());
        }
        assert_eq!(shown(&log.read().unwrap()), expected, "{records:?}");
    }
}

#[test]
fn an_inserted_message_stands_in_its_place() {
    for (at, expected) in [(0, "x a b"), (1, "a x b"), (2, "a b x")] {
        let mut log = Log::new();
        log.user("a").user("b").item_at(at, "x");
        assert_eq!(shown(&log.read().unwrap()), expected);
    }
}

#[test]
fn only_what_a_user_saw_is_shown() {
    let mut log = Log::new();
    let call = r#"{"type":"function_call","call_id":"c","name":"n","arguments":"{}"}"#;
    let context = "<environment_context>\nx\n</environment_context>";
    let silent = r#"{"type":"reasoning","summary":[],"encrypted_content":"x"}"#;
    let thought =
        r#"{"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]}"#;
    let sorted =
        r#"{"content":[{"text":"b","type":"output_text"}],"role":"assistant","type":"message"}"#;
    let web = r#"{"type":"web_search_call","action":{"type":"search","query":"q"}}"#;
    let system = r#"{"type":"message","role":"system","content":[]}"#;
    log.user(context).user("a");
    for json in [call, silent, thought, web, system, sorted] {
        log.item(&Item::from_json(json).unwrap());
    }
    assert_eq!(shown(&log.read().unwrap()), "a (hm) b");
}

#[test]
fn the_newest_are_shown_up_to_a_number_and_to_a_size() {
    let mut log = Log::new();
    (0..RECENT_MESSAGES).for_each(|n| {
        log.user(&n.to_string());
    });
    assert!(!log.read().unwrap().recent.is_truncated);
    // More than are referred to.
    (RECENT_MESSAGES..9 * RECENT_MESSAGES).for_each(|n| {
        log.user(&n.to_string());
    });
    let expected = (8 * RECENT_MESSAGES..9 * RECENT_MESSAGES).map(|n| n.to_string());
    assert_eq!(texts(&log.read().unwrap().recent), (expected.collect(), true));

    let mut log = Log::new();
    let half = "x".repeat(RECENT_BYTES / 2);
    log.user("a").user(&half).user(&half);
    let halves = vec![half.clone(), half];
    assert_eq!(texts(&log.read().unwrap().recent), (halves.clone(), true));
    log.user("").user("y");
    let expected = vec![halves[0].clone(), String::new(), "y".into()];
    assert_eq!(texts(&log.read().unwrap().recent), (expected, true));
}

/// A log whose strings lie beside it.
#[derive(Default)]
struct Beside(HashMap<String, Vec<u8>>);

impl Blobs for Beside {
    fn get(&self, digest: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(digest).cloned())
    }
}

#[test]
fn texts_come_out_of_their_blobs_and_images_stay_there() {
    let mut beside = Beside::default();
    let digest = blob_digest(b"a long text");
    beside.0.insert(digest.clone(), b"a long text".to_vec());
    let mut log = Log::new();
    let mut add = |text: &str, image: &str| {
        let content = json!([{"type": "input_text", "text": text},
            {"type": "input_image", "image_url": image},
            {"type": "input_image", "image_url": "https://example.com/a.png"}]);
        let item = json!({"type": "message", "role": "user", "content": content}).to_string();
        let places: Vec<usize> = item.match_indices("\"blob:").map(|it| it.0).collect();
        log.seal(&record("response_item", &item).with_blobs(&places));
    };
    add(&format!("blob:{digest}"), "data:image/png;base64,AA");
    // There is no such blob: it is not asked for.
    add("b", &format!("blob:{}", "0".repeat(64)));
    add(&format!("blob:{}", "1".repeat(64)), "data:,");
    // The conversation does without them.
    log.add("compacted", json!({"replaced": 3, "parts": [new("x")], "told": null}));
    let replay = replay(&log.bytes, &beside, OnDamage::Refuse).unwrap();
    let kinds: Vec<_> = replay.recent.items.into_iter().map(|it| it.kind).collect();
    let message = |text: &str| TurnItemKind::UserMessage {
        content: vec![
            UserPart::Text { text: text.into() },
            UserPart::Image { image_url: "https://example.com/a.png".into() },
        ],
    };
    assert_eq!(kinds, [message("a long text"), message("b")]);
    assert!(replay.recent.is_truncated, "one could not be read");
}

/// An edit puts any number of items in the place of others. References are kept to 4,000 all the same.
#[test]
fn references_are_bounded_behind_an_edit_too() {
    let context = |n: usize| new(&format!("<environment_context>{n}</environment_context>"));
    for (count, expected) in [(3_999, (vec!["a".into()], false)), (4_000, (vec![], true))] {
        let mut log = Log::new();
        log.user("a");
        let kept = std::iter::once(json!({"keep": [0, 1]}));
        let parts: Vec<_> = kept.chain((0..count).map(context)).collect();
        log.add("edited", json!({"replaced": 1, "parts": parts, "reason": "repaired"}));
        assert_eq!(texts(&log.read().unwrap().recent), expected, "{count}");
    }
}

#[test]
fn a_fork_shows_what_stands_before_its_cut() {
    let mut log = Log::new();
    log.user("a").item(&Item::assistant("1")).user("b").item(&Item::assistant("2"));
    log.user("c").item(&Item::assistant("3"));
    log.add("compacted", json!({"replaced": 4, "parts": [new("b")], "told": null}));
    for (n, expected) in [(1, "a 1 b 2"), (0, "a 1")] {
        let mut replay = log.read().unwrap();
        replay.cut_before_user_message(n).unwrap();
        assert_eq!(shown(&replay), expected);
    }
}

/// A part that no user said.
fn bridge(text: &str) -> Value {
    let part = ContentPart::InputText { text: text.into() };
    let bridge = Item::bridge(&[part], &longhaul_history::BridgeParts::default());
    json!({"new": serde_json::from_str::<Value>(bridge.json()).unwrap()})
}

/// What a compaction keeps may be old, and what followed it gone: then the messages of the user do not
/// follow each other as they did.
#[test]
fn a_fork_before_a_message_that_stayed_shows_what_was_said_before_that() {
    let (keep, last) =
        (json!([{"keep": [0, 1]}, bridge("x")]), json!([bridge("x"), {"keep": [2, 3]}]));
    let middle = json!([bridge("x"), {"keep": [1, 2]}]);
    let none = json!([bridge("x")]);
    let table = [
        (&keep, 0, ""),
        (&keep, 1, "a b c"),
        (&keep, 2, "a b c d"),
        (&middle, 0, "a"),
        (&middle, 1, "a b c"),
        (&last, 0, "a b"),
        (&none, 0, "a b c"),
        (&none, 1, "a b c d"),
    ];
    for (parts, n, expected) in table {
        let mut log = Log::new();
        log.user("a").user("b").user("c");
        log.add("compacted", json!({"replaced": 3, "parts": parts, "told": null}));
        log.user("d").user("e");
        let mut replay = log.read().unwrap();
        replay.cut_before_user_message(n).unwrap();
        assert_eq!(shown(&replay), expected, "{parts} {n}");
    }
}

/// A message that is not shown stands where it stands all the same.
#[test]
fn a_fork_before_a_message_that_is_not_shown_shows_what_was_said_before_that() {
    let mut log = Log::new();
    log.user("a").user(&"x".repeat(5 * RECENT_BYTES)).user("b");
    let mut replay = log.read().unwrap();
    replay.cut_before_user_message(1).unwrap();
    assert_eq!(texts(&replay.recent), (vec!["a".into()], true));
    // One that is too old to be shown: there is nothing before it.
    for count in [RECENT_MESSAGES, 5 * RECENT_MESSAGES] {
        let mut log = Log::new();
        log.user("a");
        (0..count).for_each(|n| {
            log.user(&n.to_string());
        });
        let parts = json!([{"keep": [0, 1]}, bridge("x"), {"keep": [count, count + 1]}]);
        log.add("compacted", json!({"replaced": count + 1, "parts": parts, "told": null}));
        let mut replay = log.read().unwrap();
        assert_eq!(replay.recent.items.len(), RECENT_MESSAGES);
        replay.cut_before_user_message(0).unwrap();
        assert_eq!(texts(&replay.recent).0, [""; 0]);
    }
}

/// The texts of messages that are gone, each with its place.
fn gone(replay: &Replay) -> Vec<(usize, String)> {
    let gone = replay.recent.gone().into_iter();
    gone.map(|(before, it)| (before, it.kind.message_text().unwrap())).collect()
}

/// What the conversation no longer has is kept by records of its own where it was said: what is shown
/// is the same.
#[test]
fn what_is_gone_is_shown_again_by_records_of_its_own() {
    let mut log = Log::new();
    log.user("a").user("b").user("c");
    let parts = json!([bridge("x"), {"keep": [1, 2]}]);
    log.add("compacted", json!({"replaced": 3, "parts": parts, "told": null}));
    log.user("d");
    let replay = log.read().unwrap();
    assert_eq!(gone(&replay), [(1, "a".into()), (2, "c".into())]);
    let mut child = Log::new();
    child.add("shown", json!({}));
    let mut gone = replay.recent.gone().into_iter().peekable();
    for (index, item) in replay.items.iter().enumerate() {
        while let Some((_, message)) = gone.next_if(|(before, _)| *before <= index) {
            child.add("shown", serde_json::to_value(message).unwrap());
        }
        child.item(&item.item);
    }
    let again = child.read().unwrap();
    assert_eq!(again.recent.items, replay.recent.items, "ids too");
    assert!(again.recent.is_truncated, "an empty one says so");
    assert_eq!(again.items, replay.items, "the conversation does not have them");
    let mut cut = child.read().unwrap();
    cut.cut_before_user_message(1).unwrap();
    assert_eq!(texts(&cut.recent).0, ["a", "b", "c"]);
    // Nothing is gone of what was never compacted, and all of what was compacted as a whole.
    let mut log = Log::new();
    log.user("a").user("b");
    assert_eq!(self::gone(&log.read().unwrap()), []);
    log.add("compacted", json!({"replaced": 2, "parts": [], "told": null}));
    let all = ["a", "b"].map(|text| (usize::MAX, text.to_owned()));
    assert_eq!(self::gone(&log.read().unwrap()), all);
}

#[test]
fn a_fork_far_back_shows_what_it_has() {
    let mut log = Log::new();
    (0..2 * RECENT_MESSAGES).for_each(|n| {
        log.user(&n.to_string());
    });
    let mut replay = log.read().unwrap();
    replay.cut_before_user_message(3).unwrap();
    assert_eq!(shown(&replay), "0 1 2");
}

#[test]
fn what_other_programs_rolled_back_is_not_shown() {
    let item = |text: &str| {
        let mut line = Vec::new();
        record("response_item", Item::user(text).json()).encode(&mut line);
        line
    };
    let other = |kind: &str, payload: Value| {
        let mut line = Vec::new();
        record(kind, &payload.to_string()).encode(&mut line);
        line
    };
    let meta = json!({"id": crate::log::ID, "timestamp": "2026-11-28T10:00:00Z"});
    let history = json!({"message": "", "replacement_history": []});
    let back = json!({"type": "thread_rolled_back", "num_turns": 1});
    let log = [
        other("session_meta", meta),
        item("a"),
        other("compacted", history),
        item("b"),
        item("c"),
        other("event_msg", back),
        item("d"),
    ];
    assert_eq!(shown(&replay(&log.concat(), &(), OnDamage::Refuse).unwrap()), "a b d");
}

/// What is done to a session: a message, a compaction of so many that keeps the last of them, or an
/// item that is taken back.
#[derive(Debug, Clone, Copy)]
enum Step {
    Say,
    Insert(usize),
    Compact(usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Say),
        1 => any::<usize>().prop_map(Step::Insert),
        2 => any::<usize>().prop_map(Step::Compact),
        2 => any::<usize>().prop_map(Step::Remove),
    ]
}

proptest! {
    #[test]
    fn the_rest_is_what_was_said_and_not_taken_back(steps in vec(step(), 0..40)) {
        let (mut log, mut said, mut conversation) = (Log::new(), Vec::new(), Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            let (text, len) = (format!("m{number}"), conversation.len());
            match step {
                Step::Say => {
                    log.user(&text);
                    said.push(text.clone());
                    conversation.push(text);
                }
                Step::Insert(at) if len > 0 => {
                    let at = at % len + 1;
                    log.item_at(at, &text);
                    // Behind the nearest before it that was said, else before the nearest behind it.
                    let find = |it: &String| said.iter().position(|s| s == it);
                    let before = conversation[..at].iter().rev().find_map(find).map(|it| it + 1);
                    let place = before.or_else(|| conversation[at..].iter().find_map(find));
                    said.insert(place.unwrap_or(said.len()), text.clone());
                    conversation.insert(at, text);
                }
                Step::Compact(n) if len > 0 => {
                    let n = n % len + 1;
                    let parts = json!([new(&format!("bridge{number}")), {"keep": [n - 1, n]}]);
                    log.add("compacted", json!({"replaced": n, "parts": parts, "told": null}));
                    conversation.splice(..n - 1, [format!("bridge{number}")]);
                }
                Step::Remove(at) if len > 0 => {
                    let at = at % len;
                    let parts = json!([{"keep": [0, at]}, {"keep": [at + 1, len]}]);
                    log.add("edited", json!({"replaced": len, "parts": parts, "reason": "removed"}));
                    let gone = conversation.remove(at);
                    said.retain(|it| *it != gone);
                }
                _ => {}
            }
        }
        let replay = log.read().unwrap();
        prop_assert_eq!(texts(&replay.recent), (said.clone(), false));
        // Before any message that was said, and what is gone is what the conversation does not have.
        for (n, message) in conversation.iter().enumerate() {
            let Some(place) = said.iter().position(|it| it == message) else { continue };
            let mut replay = replay.clone();
            replay.cut_before_user_message(n).unwrap();
            prop_assert_eq!(&texts(&replay.recent).0, &said[..place]);
        }
        let expected: Vec<_> = said.iter().filter(|it| !conversation.contains(it)).collect();
        let gone = gone(&replay);
        prop_assert_eq!(gone.iter().map(|(_, text)| text).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn of_items_as_of_a_log() {
    let part = |text: &str| ContentPart::InputText { text: text.into() };
    let bridge = Item::bridge(&[part("x")], &longhaul_history::BridgeParts::default());
    let items = [Item::user("a"), Item::assistant("b")];
    assert_eq!(texts(&RecentMessages::of(items.iter())), (vec!["a".into(), "b".into()], false));
    let items = [bridge, Item::user("a")];
    assert_eq!(texts(&RecentMessages::of(items.iter())), (vec!["a".into()], true));
}
