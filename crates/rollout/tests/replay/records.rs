//! What each record does.

use longhaul_history::Item;
use longhaul_rollout::{Flaw, ReadError, TurnStart};
use serde_json::{Value, json};

use crate::log::{ID, Log, new, outline, raw, whole};

#[test]
fn an_empty_session() {
    let log = Log::new();
    let replay = log.read().unwrap();
    let meta = json!({
        "format_version": 1, "id": ID, "timestamp": "2026-11-28T10:00:00Z",
        "originator": "longhaul", "cli_version": env!("CARGO_PKG_VERSION"), "source": "unknown",
    });
    let expected = json!({
        "meta": meta, "items": [], "next_starts_turn": false, "settings": null, "told": [],
        "token_count": null, "grants": [], "inputs": [], "turn": null, "next_ordinal": 1,
        "epoch": 1, "good_len": log.bytes.len(), "is_foreign": false,
    });
    assert_eq!(whole(&replay), expected);
    assert_eq!((replay.torn, replay.damage), (None, vec![]));
}

#[test]
fn items_are_kept_to_the_byte() {
    let json = r#"{"type":"hologram","n":1e400,"s":"\ud800 \u00e9\/","longhaul_id":"x"}"#;
    let mut log = Log::new();
    log.item(&Item::from_json(json).unwrap());
    assert_eq!(log.read().unwrap().items[0].item.json(), json);
}

/// Each row: what is added to `^a b ^c d`, and the conversation that it leaves.
#[test]
fn the_conversation_changes_as_records_say() {
    let compacted = |n: usize, parts: Value| {
        (
            "compacted",
            json!({"message": "", "replaced": n, "parts": parts, "report": {}, "told": null}),
        )
    };
    let edited = |n: usize, parts: Value| {
        ("edited", json!({"replaced": n, "parts": parts, "reason": "repaired"}))
    };
    let undone = || ("compaction_undone", json!({}));
    let turns = |(kind, mut payload): (&'static str, Value), starts: &[usize], next: bool| {
        payload["turns"] = json!({"items": starts, "next": next});
        (kind, payload)
    };
    let e = || ("response_item", serde_json::to_value(Item::user("e")).unwrap());
    let table = [
        (vec![], "^a b ^c d "),
        (vec![e()], "^a b ^c d e "),
        (vec![compacted(4, json!([new("x")]))], "x ^"),
        (vec![compacted(4, json!([new("x")])), e()], "x ^e "),
        (vec![compacted(4, json!([]))], "^"),
        // Where the writer says where turns start, the rule does not.
        (vec![turns(edited(4, json!([new("x"), {"keep": [2, 4]}])), &[0], false)], "^x c d "),
        (vec![turns(compacted(4, json!([{"keep": [2, 4]}])), &[1, 9], true)], "c ^d ^"),
        (vec![compacted(4, json!([new("x")])), turns(undone(), &[1], false)], "a ^b c d "),
        (vec![compacted(2, json!([new("x")]))], "x ^c d "),
        (vec![compacted(1, json!([new("x")]))], "x ^b ^c d "),
        (vec![compacted(4, json!([new("x"), {"keep": [3, 4]}, new("y")]))], "x ^d y "),
        (vec![compacted(3, json!([{"keep": [1, 2]}, new("x")]))], "^b x ^d "),
        (vec![compacted(0, json!([new("x")]))], "x ^a b ^c d "),
        (
            vec![compacted(4, json!([{"keep": [0, 1]}, {"keep": [1, 1]}, {"keep": [3, 4]}]))],
            "^a ^d ",
        ),
        (vec![compacted(4, json!([{"keep": [1, 1]}, new("x"), {"keep": [3, 4]}]))], "x ^d "),
        (vec![edited(2, json!([{"keep": [0, 1]}]))], "^a ^c d "),
        (vec![compacted(4, json!([new("x")])), undone()], "^a b ^c d ^"),
        (vec![compacted(4, json!([new("x")])), e(), undone()], "^a b ^c d ^e "),
        (vec![compacted(2, json!([new("x")])), e(), undone(), e()], "^a b ^c d e e "),
        (
            vec![compacted(2, json!([new("x")])), compacted(1, json!([new("y")])), undone()],
            "x ^c d ",
        ),
        (
            vec![compacted(2, json!([])), edited(2, json!([{"keep": [0, 2]}, new("y")])), undone()],
            "^a b ^c d y ",
        ),
        (
            vec![
                compacted(2, json!([])),
                e(),
                edited(3, json!([{"keep": [0, 2]}, new("y")])),
                undone(),
            ],
            "^a b ^c d y ",
        ),
    ];
    for (records, expected) in table {
        let mut log = Log::new();
        log.turn("1").user("a").user("b").turn("2").user("c").user("d");
        for (kind, payload) in &records {
            log.add(kind, payload.clone());
        }
        assert_eq!(outline(&log.read().unwrap()), expected, "{records:?}");
    }
}

#[test]
fn an_insertion_starts_no_turn() {
    let mut log = Log::new();
    log.turn("1").user("a").turn("2").item_at(1, "b").item_at(0, "c").user("d");
    assert_eq!(outline(&log.read().unwrap()), "c ^a b ^d ");
}

/// Each row: a record that asks for what there is not behind `a b`, and what is said of it.
#[test]
fn a_record_that_asks_for_what_there_is_not_is_damage() {
    let place = |what, asked, available| Flaw::Place { what, asked, available };
    let edited = |n: usize, parts: Value| json!({"replaced": n, "parts": parts, "reason": "x"});
    let table = [
        ("edited", edited(3, json!([])), place("replaced", 3, 2)),
        ("compacted", edited(3, json!([])), place("replaced", 3, 2)),
        ("edited", edited(1, json!([{"keep": [0, 2]}])), place("keep", 2, 1)),
        ("edited", edited(2, json!([{"keep": [1, 2]}, {"keep": [0, 1]}])), place("keep", 0, 2)),
        ("edited", edited(2, json!([{"keep": [2, 1]}])), place("keep", 2, 2)),
        ("compaction_undone", json!({}), Flaw::NothingToUndo),
    ];
    for (kind, payload, flaw) in table {
        let mut log = Log::new();
        log.user("a").user("b");
        let offset = log.bytes.len() as u64;
        log.add(kind, payload.clone()).user("c");
        let Err(ReadError::Damaged(damage)) = log.read() else { panic!("{payload}") };
        assert_eq!((damage.line, damage.offset, &damage.flaw), (4, offset, &flaw), "{payload}");
        let salvaged = log.salvage();
        assert_eq!(outline(&salvaged), "a b c ", "{payload}");
        assert_eq!(salvaged.damage, [damage]);
    }
    let mut log = Log::new();
    log.user("a").item_at(2, "b");
    let Err(ReadError::Damaged(damage)) = log.read() else { panic!() };
    assert_eq!(damage.flaw, place("at", 2, 1));
}

#[test]
fn a_compaction_is_taken_back_once() {
    let mut log = Log::new();
    log.user("a").user("b");
    log.add("compacted", json!({"replaced": 1, "parts": [new("x")], "told": null}));
    let mut shorter = log.clone();
    shorter.add("edited", json!({"replaced": 1, "parts": [], "reason": "removed"}));
    log.add("compaction_undone", json!({}));
    for mut log in [log, shorter] {
        log.add("compaction_undone", json!({}));
        let Err(ReadError::Damaged(damage)) = log.read() else { panic!() };
        assert_eq!((damage.line, damage.flaw), (6, Flaw::NothingToUndo));
    }
}

/// The session compares what stands there with what the compaction made, and so does not the log.
#[test]
fn what_changed_and_changed_back_can_be_taken_back() {
    let mut log = Log::new();
    log.user("a").user("b");
    log.add("compacted", json!({"replaced": 2, "parts": [new("x")], "told": null}));
    log.item_at(0, "y");
    log.add("edited", json!({"replaced": 1, "parts": [], "reason": "removed"}));
    log.user("c").add("compaction_undone", json!({}));
    assert_eq!(outline(&log.read().unwrap()), "a b c ");
}

#[test]
fn what_the_model_was_told() {
    let context = |turn: u64, cwd: &str, told: bool| json!({"turn_id": turn.to_string(), "cwd": cwd, "told": told});
    let settings = |cwd: &str| json!({"cwd": cwd});
    let compacted = |told: Value| json!({"replaced": 0, "parts": [], "told": told});
    let told = |log: &Log| {
        let told = log.read().unwrap().told;
        let cwd = |json: &str| serde_json::from_str::<Value>(json).unwrap()["cwd"].clone();
        told.iter().map(|(at, json)| json!([at, cwd(json.get())])).collect::<Vec<_>>()
    };
    let mut log = Log::new();
    log.add("turn_context", context(1, "/a", true)).user("a");
    log.add("turn_context", context(2, "/b", false)).user("b");
    assert_eq!(told(&log), [json!([0, "/a"])]);
    log.add("turn_context", context(3, "/a", true)).user("c");
    assert_eq!(told(&log), [json!([0, "/a"])], "the same again");
    log.add("turn_context", context(4, "/d", true)).user("d");
    assert_eq!(told(&log), [json!([0, "/a"]), json!([3, "/d"])]);

    let mut removed = log.clone();
    removed.add("edited", json!({"replaced": 2, "parts": [{"keep": [0, 1]}], "reason": "removed"}));
    assert_eq!(told(&removed), [json!([0, "/a"]), json!([2, "/d"])]);
    let mut repaired = log.clone();
    repaired
        .add("edited", json!({"replaced": 2, "parts": [{"keep": [0, 1]}], "reason": "repaired"}));
    assert_eq!(told(&repaired), told(&log));

    let mut kept = log.clone();
    kept.add("compacted", compacted(Value::Null));
    assert_eq!(told(&kept), [json!([0, "/d"])]);
    kept.add("compaction_undone", json!({}));
    assert_eq!(told(&kept), told(&log));

    log.add("compacted", compacted(settings("/e")));
    assert_eq!(told(&log), [json!([0, "/e"])]);
    let mut undone = log.clone();
    undone.add("turn_context", context(5, "/e", true)).add("compaction_undone", json!({}));
    assert_eq!(told(&undone), [json!([0, "/a"]), json!([3, "/d"])], "nothing new was told");
    log.add("turn_context", context(5, "/f", true)).add("compaction_undone", json!({}));
    assert!(told(&log).is_empty(), "of a context that is gone");
}

#[test]
fn the_newest_settings_and_usage_stand() {
    let mut log = Log::new();
    log.add("settings", json!({"model": "a"})).turn("1");
    log.add("event_msg", json!({"type": "token_count", "info": 1}));
    log.add("event_msg", json!({"info": 2, "type": "token_count"}));
    let replay = log.read().unwrap();
    let turn = json!({"turn_id": "1", "model": "m", "told": false});
    assert_eq!(replay.settings.unwrap().get(), raw(&turn).get());
    assert_eq!(replay.token_count.unwrap().get(), r#"{"info":2,"type":"token_count"}"#);
    log.add("event_msg", json!({"type": "token_count", "models": {"a": 1, "b\n": 1}, "cost": 3}));
    log.add("event_msg", json!({"type": "token_count", "models": {"c": 2, "b\n": [2]}}));
    assert_eq!(
        serde_json::from_str::<Value>(log.read().unwrap().token_count.unwrap().get()).unwrap(),
        json!({"type": "token_count", "info": 2, "cost": 3, "models": {"a": 1, "b\n": [2], "c": 2}}),
        "of each field and of each model what was said of it last"
    );
    log.add("settings", json!({"model": "b"}));
    assert_eq!(log.read().unwrap().settings.unwrap().get(), r#"{"model":"b"}"#);
}

/// Whoever goes on would take the old measure for one of the new conversation.
#[test]
fn what_was_measured_of_another_conversation_says_nothing() {
    let mut log = Log::new();
    let count = |measured: Value| json!({"type": "token_count", "info": 1, "measured": measured});
    let measured = |log: &Log| {
        let count = log.read().unwrap().token_count.unwrap();
        serde_json::from_str::<Value>(count.get()).unwrap().get("measured").cloned()
    };
    log.user("a").add("event_msg", count(json!({"tokens": 7})));
    assert_eq!(measured(&log), Some(json!({"tokens": 7})));
    log.user("b");
    assert_eq!(measured(&log), Some(json!({"tokens": 7})), "it is longer now, and no other one");
    log.add("compacted", json!({"replaced": 1, "parts": [new("s")]}));
    assert_eq!(measured(&log), None);
    log.add("event_msg", count(json!({"tokens": 8})));
    assert_eq!(measured(&log), Some(json!({"tokens": 8})));
    log.add("compaction_undone", json!({}));
    assert_eq!(measured(&log), None);
    log.add("event_msg", count(json!({"tokens": 9})));
    log.add("event_msg", count(Value::Null));
    assert_eq!(measured(&log), Some(Value::Null));
}

#[test]
fn a_turn_is_open_until_it_ends() {
    let call = |position: u64| json!({"turn_id": "1", "position": position, "state": "asked"});
    let open = |log: &Log| whole(&log.read().unwrap())["turn"].clone();
    let mut log = Log::new();
    assert_eq!(open(&log), Value::Null);
    log.turn("1").add("call", call(0)).add("call", call(1));
    assert_eq!(open(&log), json!(["1", [call(0), call(1)]]));
    for end in ["task_complete", "turn_aborted"] {
        let mut ended = log.clone();
        ended.add("event_msg", json!({"type": end, "turn_id": "1"}));
        assert_eq!(open(&ended), Value::Null, "{end}");
    }
    log.add("event_msg", json!({"type": "undo_completed"}));
    assert_eq!(open(&log), json!(["1", [call(0), call(1)]]));
    log.turn("2");
    assert_eq!(open(&log), json!(["2", []]));
}

#[test]
fn settings_of_a_turn_are_the_newest_that_it_was_given() {
    let given = |model: &str| json!({"turn_id": "1", "state": "settings", "model": model});
    let response = json!({"turn_id": "1", "state": "response", "calls": 0});
    let asked = json!({"turn_id": "1", "state": "asked", "position": 0});
    let mut log = Log::new();
    log.add("settings", json!({"model": "session"})).add("call", given("of no turn"));
    log.turn("1").add("call", asked).add("call", given("a")).add("call", given("b"));
    log.add("call", response.clone());
    let replay = log.read().unwrap();
    let turn = replay.turn.unwrap();
    assert_eq!(turn.context.unwrap().get(), raw(&given("b")).get());
    let calls: Vec<_> = turn.calls.iter().map(|call| call.get()).collect();
    assert_eq!(calls, [raw(&response).get()]);
    let own = json!({"turn_id": "1", "model": "m", "told": false});
    assert_eq!(replay.settings.unwrap().get(), raw(&own).get(), "those of the session stay");
    log.turn("1");
    let turn = log.read().unwrap().turn.unwrap();
    assert_eq!(turn.context.unwrap().get(), raw(&own).get(), "it is another turn");
}

#[test]
fn grants_and_inputs_wait() {
    let input = |id: &str, state: &str| json!({"id": id, "state": state});
    let mut log = Log::new();
    log.add("grant", json!({"digest": "a"})).add("grant", json!({"cleared": true}));
    log.add("grant", json!({"digest": "b"})).add("grant", json!({"digest": "c"}));
    log.add("grant", json!({"digest": "b"}));
    for (id, state) in [("1", "accepted"), ("2", "accepted"), ("3", "accepted"), ("4", "accepted")]
    {
        log.add("input", input(id, state));
    }
    log.add("input", input("1", "taken")).add("input", input("3", "withdrawn"));
    log.add("input", input("2", "looked at"));
    let item: Value = serde_json::from_str(Item::user("taken").json()).unwrap();
    log.add("input", json!({"id": "5", "state": "accepted", "item": item}));
    log.taken("5");
    let replay = log.read().unwrap();
    assert_eq!(outline(&replay), "taken ");
    let twice = log.clone().taken("5").clone();
    let error = twice.read().unwrap_err().to_string();
    assert!(error.contains("no input `5` waits"), "{error}");
    assert_eq!(outline(&twice.salvage()), "taken ", "what is lost keeps its place to the end");
    assert_eq!(replay.grants, ["b", "c"]);
    let inputs: Vec<&str> = replay.inputs.iter().map(|input| input.get()).collect();
    assert_eq!(inputs, [input("2", "accepted").to_string(), input("4", "accepted").to_string()]);
}

/// What was seen adds up until it is forgotten; of all else the newest counts.
#[test]
fn what_is_remembered_of_compactions_adds_up() {
    let table = [
        (vec![json!({"responses": 0})], vec![0]),
        (vec![json!({"responses": 0}), json!({"responses": 1})], vec![1]),
        (vec![json!({"seen": "a"}), json!({"stalls": [0]}), json!({"stalls": [1]})], vec![0, 2]),
        (vec![json!({"seen": "a"}), json!({"stalls": [0]}), json!({"seen": "b"})], vec![0, 2]),
        (vec![json!({"seen": "a"}), json!({"anew": true}), json!({"seen": "b"})], vec![2]),
        (vec![json!({"seen": "a"}), json!({"anew": true, "seen": "b"})], vec![1]),
    ];
    for (payloads, kept) in table {
        let mut log = Log::new();
        for payload in &payloads {
            log.add("breaker", payload.clone());
        }
        let found = log.read().unwrap().breaker;
        let found: Vec<Value> =
            found.iter().map(|it| serde_json::from_str(it.get()).unwrap()).collect();
        let expected: Vec<Value> = kept.iter().map(|n| payloads[*n].clone()).collect();
        assert_eq!(found, expected, "{payloads:?}");
    }
}

#[test]
fn what_is_unknown_is_skipped() {
    let mut log = Log::new();
    log.user("a").add("hologram", json!([])).add("event_msg", json!({"type": "other", "x": {}}));
    log.add("session_opened", json!({"differences": []})).user("b");
    assert_eq!(outline(&log.read().unwrap()), "a b ");
}

#[test]
fn a_payload_that_is_none_is_damage() {
    let kinds = ["session_meta", "turn_context", "response_item", "compacted", "edited"];
    for kind in kinds.into_iter().chain(["event_msg", "grant", "input", "breaker"]) {
        let mut log = Log::new();
        log.add(kind, json!(7)).user("a");
        let Err(ReadError::Damaged(damage)) = log.read() else { panic!("{kind}") };
        assert!(matches!((damage.line, &damage.flaw), (2, Flaw::Payload(_))), "{kind}: {damage}");
        assert_eq!(outline(&log.salvage()), "a ", "{kind}");
    }
}

#[test]
fn a_later_version_is_refused() {
    let mut log = Log::empty();
    log.add("session_meta", json!({"format_version": 2, "id": ID}));
    let error = log.read().unwrap_err();
    assert_eq!(error.to_string(), "the log has format version 2; this program reads up to 1");
}

/// That lines are lost holds until the next response, and says nothing of a call by itself.
#[test]
fn that_lines_of_a_turn_are_lost_is_no_call() {
    let response = || json!({"turn_id": "1", "state": "response", "calls": 0});
    let lost = || json!({"turn_id": "1", "state": "lost_lines"});
    let table = [
        (vec![], (false, 0)),
        (vec![lost()], (true, 0)),
        (vec![response(), lost()], (true, 1)),
        (vec![response(), lost(), response()], (false, 1)),
    ];
    for (records, expected) in table {
        let mut log = Log::new();
        log.add("turn_context", json!({"turn_id": "1", "model": "m", "told": false}));
        for record in &records {
            log.add("call", record.clone());
        }
        let turn = log.read().unwrap().turn.unwrap();
        assert_eq!((turn.has_lost_lines, turn.calls.len()), expected, "{records:?}");
    }
}

/// What tells of calls is of a turn, also where no line that began it is there. Of that no call is known to
/// go on, whatever is said of them, until somebody gives it settings.
#[test]
fn a_turn_whose_beginning_is_lost_is_there_all_the_same() {
    let call = |turn: &str, state: &str| json!({"turn_id": turn, "state": state, "position": 0});
    let end = |turn: &str| json!({"type": "task_complete", "turn_id": turn});
    let lost = (TurnStart::Unknown, true, false);
    let table = [
        (vec!["response"], 1, lost),
        (vec!["response", "asked", "allowed", "started"], 4, lost),
        (vec!["denied", "answered", "response"], 1, lost),
        (vec!["lost_lines"], 0, lost),
        (vec!["spent"], 1, lost),
        // Those of another turn that was open are gone with it.
        (vec!["started", "spent"], 2, lost),
        (vec!["response", "settings", "started"], 2, (TurnStart::Unknown, true, true)),
        (vec!["response", "settings", "response"], 1, (TurnStart::Unknown, false, true)),
        // No input began it.
        (vec!["settings"], 0, (TurnStart::At(1), false, true)),
        (vec!["settings", "response", "started"], 2, (TurnStart::At(1), false, true)),
        (vec!["settings", "lost_lines"], 0, (TurnStart::Unknown, true, true)),
    ];
    for (states, calls, expected) in table {
        let mut log = Log::new();
        log.turn("1").user("a").add("call", call("1", "response"));
        for state in &states {
            log.add("call", call("2", state));
        }
        let turn = log.read().unwrap().turn.unwrap();
        let found = (turn.start, turn.has_lost_lines, turn.context.is_some());
        assert_eq!((&*turn.turn_id, found, turn.calls.len()), ("2", expected, calls), "{states:?}");
        log.add("event_msg", end("2"));
        assert!(log.read().unwrap().turn.is_none(), "{states:?}");
    }
}

/// Where a turn starts that no input began is known until the items before it change.
#[test]
fn a_turn_that_no_input_began_starts_behind_what_was_there() {
    let settings = json!({"turn_id": "1", "state": "settings", "model": "m"});
    let mut log = Log::new();
    log.user("a").user("b").add("call", settings).user("c");
    let start = |log: &Log| log.read().unwrap().turn.unwrap().start;
    assert_eq!(start(&log), TurnStart::At(2));
    let parts = json!([new("s"), {"keep": [2, 3]}]);
    for kind in ["compacted", "edited"] {
        let mut log = log.clone();
        log.add(kind, json!({"replaced": 3, "parts": parts, "reason": "edited"}));
        assert_eq!(start(&log), TurnStart::Unknown, "{kind}");
    }
    let mut undone = Log::new();
    undone.user("a").add("compacted", json!({"replaced": 1, "parts": [new("s")]}));
    undone.add("call", json!({"turn_id": "1", "state": "settings", "model": "m"}));
    assert_eq!(start(&undone), TurnStart::At(1));
    undone.add("compaction_undone", json!({}));
    assert_eq!(start(&undone), TurnStart::Unknown);
    log.turn("2").user("d");
    assert_eq!(start(&log), TurnStart::Marked);
}

/// It has the schema of the input that it took, and none that another turn took.
#[test]
fn a_turn_whose_beginning_is_lost_has_its_schema() {
    let input = |id: &str, schema: &str| {
        let item: Value = serde_json::from_str(Item::user(id).json()).unwrap();
        json!({"id": id, "state": "accepted", "submission_id": id, "item": item, "output_schema": schema})
    };
    let response = |turn: &str| json!({"turn_id": turn, "state": "response", "calls": 0});
    let schema = |log: &Log| {
        let turn = log.read().unwrap().turn.unwrap();
        turn.output_schema.map(|schema| schema.get().to_owned())
    };
    let mut log = Log::new();
    log.add("input", input("a", "first")).taken("a").add("call", response("1"));
    assert_eq!(schema(&log).as_deref(), Some(r#""first""#));
    log.add("input", input("b", "second")).taken("b");
    assert_eq!(schema(&log).as_deref(), Some(r#""second""#));
    log.add("event_msg", json!({"type": "task_complete", "turn_id": "1"}));
    log.user("c").add("call", response("2"));
    assert_eq!(schema(&log), None);
    for end in ["task_complete", "turn_aborted"] {
        let mut log = Log::new();
        log.add("input", input("a", "first")).taken("a");
        log.add("event_msg", json!({"type": end, "turn_id": "1"})).add("call", response("2"));
        assert_eq!(schema(&log), None, "{end}");
    }
    let mut log = Log::new();
    log.add("input", input("a", "first")).taken("a").turn("1").add("call", response("2"));
    assert_eq!(schema(&log), None);
}
