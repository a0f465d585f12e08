//! Strings that are stored beside the log.

use std::collections::BTreeMap;

use longhaul_history::Item;
use longhaul_rollout::{Flaw, OnDamage, ReadError, Replay, blob_digest, replay};
use serde_json::json;

use crate::log::{Log, outline, record, text};

type Blobs = BTreeMap<String, Vec<u8>>;

fn digest(text: &str, blobs: &mut Blobs) -> String {
    let digest = blob_digest(text.as_bytes());
    blobs.insert(digest.clone(), text.as_bytes().to_vec());
    digest
}

fn read(log: &Log, blobs: &Blobs) -> Result<Replay, ReadError> {
    replay(&log.bytes, blobs, OnDamage::Refuse)
}

#[test]
fn a_digest_is_the_sha_256() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(blob_digest(b"abc"), expected);
}

#[test]
fn what_blobs_hold_is_put_back_to_the_byte() {
    let (first, second) = ("a\\n\\u00e9 é", "");
    let mut blobs = Blobs::new();
    let (a, b) = (digest(first, &mut blobs), digest(second, &mut blobs));
    let whole = |a: &str, b: &str| {
        format!(
            r#"{{"type":"hologram","like":"blob:{}","a":"{a}","b":["{b}"],"c":1e400}}"#,
            digest("x", &mut Blobs::new())
        )
    };
    let stored = whole(&format!("blob:{a}"), &format!("blob:{b}"));
    let places: Vec<usize> =
        [a, b].iter().map(|it| stored.find(&format!("\"blob:{it}")).unwrap()).collect();

    let mut log = Log::new();
    log.seal(&record("response_item", &stored).with_blobs(&places));
    log.seal(&record("response_item", &stored).with_at(0).with_blobs(&places));
    log.seal(&record("response_item", &stored));
    let replay = read(&log, &blobs).unwrap();
    let items: Vec<&str> = replay.items.iter().map(|it| it.item.json()).collect();
    assert_eq!(items, [whole(first, second), whole(first, second), stored]);
}

#[test]
fn parts_and_settings_may_have_blobs() {
    let mut blobs = Blobs::new();
    let digest = digest("long", &mut blobs);
    let item = |text: &str| Item::user(text).json().to_owned();
    let stand_in = format!("blob:{digest}");
    let payload = format!(
        r#"{{"replaced":0,"parts":[{{"new":{}}},{{"new":{}}},{{"new":{}}}],"told":{{"cwd":"{stand_in}"}}}}"#,
        item("a"),
        item(&stand_in),
        item(&stand_in),
    );
    let places: Vec<usize> =
        payload.match_indices(&format!("\"{stand_in}")).map(|it| it.0).collect();
    let mut log = Log::new();
    log.seal(&record("compacted", &payload).with_blobs(&[places[0], places[2]]));
    log.seal(&record("settings", &format!(r#"{{"cwd":"{stand_in}"}}"#)).with_blobs(&[7]));
    let replay = read(&log, &blobs).unwrap();
    let texts: Vec<String> = replay.items.iter().map(|it| text(&it.item)).collect();
    assert_eq!(texts, ["a", "long", &stand_in]);
    assert_eq!(replay.told[0].1.get(), r#"{"cwd":"long"}"#);
    assert_eq!(replay.settings.unwrap().get(), r#"{"cwd":"long"}"#);
}

/// Each row: where the stand-in is said to be, what the blob holds, and what is said of it.
#[test]
fn a_blob_that_is_not_as_it_was_is_damage_of_its_line() {
    let digest = blob_digest(b"long");
    let flaw = |is_there| Flaw::Blob { digest: digest.clone(), is_there, place: None };
    let no_digest = |text: &str| Flaw::Blob {
        digest: text.chars().take(64).collect(),
        is_there: false,
        place: None,
    };
    let item = Item::user(format!("blob:{digest}"));
    let place = item.json().find("\"blob:").unwrap();
    let table = [
        (vec![place], None, flaw(false)),
        (vec![place], Some(b"lonG".to_vec()), flaw(true)),
        (vec![place], Some(b"long\xff".to_vec()), flaw(true)),
        (vec![place + 1], Some(b"long".to_vec()), no_digest(&item.json()[place + 1..])),
        (vec![0], Some(b"long".to_vec()), no_digest(item.json())),
        (vec![9_999], Some(b"long".to_vec()), no_digest("")),
        (vec![place, place], Some(b"long".to_vec()), no_digest(&item.json()[place..])),
    ];
    for (places, bytes, flaw) in table {
        let blobs: Blobs = bytes.into_iter().map(|bytes| (digest.clone(), bytes)).collect();
        let mut log = Log::new();
        log.turn("1").user("a");
        let offset = log.bytes.len() as u64;
        log.seal(&record("response_item", item.json()).with_blobs(&places)).turn("2").user("b");
        let Err(ReadError::Damaged(damage)) = read(&log, &blobs) else { panic!("{places:?}") };
        assert_eq!((damage.line, damage.offset, &damage.flaw), (4, offset, &flaw));
        let salvaged = replay(&log.bytes, &blobs, OnDamage::Salvage).unwrap();
        assert_eq!((outline(&salvaged).as_str(), salvaged.damage), ("^a ^b ", vec![damage]));
    }
}

#[test]
fn blobs_of_what_is_dropped_are_not_looked_for() {
    let mut log = Log::new();
    let item = Item::user(format!("blob:{}", blob_digest(b"x")));
    let place = item.json().find("\"blob:").unwrap();
    log.seal(&record("response_item", item.json()).with_blobs(&[place]));
    log.add("compacted", json!({"replaced": 1, "parts": [], "told": null}));
    assert!(read(&log, &Blobs::new()).unwrap().items.is_empty());
}

#[test]
fn an_item_that_is_lost_moves_what_stands_behind_it() {
    let mut log = Log::new();
    let item = Item::user(format!("blob:{}", blob_digest(b"x")));
    let place = item.json().find("\"blob:").unwrap();
    log.turn("1").seal(&record("response_item", item.json()).with_blobs(&[place])).user("a");
    log.add("turn_context", json!({"turn_id": "2", "model": "n", "told": true}));
    let salvaged = log.salvage();
    assert_eq!((outline(&salvaged).as_str(), salvaged.told[0].0), ("^a ^", 1));
}
