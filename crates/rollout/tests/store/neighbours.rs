//! Lines in a row that are lost, and the places of their items, which records behind them count.

use std::fs;

use longhaul_rollout::{Fsync, OnDamage, Record, RecordKind, Replay, Store, replay};

use crate::recovery::messages;
use crate::support::*;

/// What a line says.
#[derive(Clone, Copy)]
enum Says {
    /// Nothing of items.
    Other,
    Item(&'static str),
    At(usize, &'static str),
    /// So many items go; a new one comes, and of the old those from here on stay.
    Compacted(usize, &'static str, usize),
    Edited(usize, &'static str, usize),
}

use Says::{At, Compacted, Edited, Item, Other};

/// Those behind the first line.
const LINES: [Says; 15] = [
    Item("a"),
    Item("b"),
    Item("c"),
    Item("d"),
    Other,
    At(1, "e"),
    Item("f"),
    Compacted(5, "x", 3),
    Item("g"),
    Item("h"),
    Other,
    At(2, "i"),
    Edited(4, "y", 1),
    Item("j"),
    Item("k"),
];

impl Says {
    fn record(self) -> Record {
        let record = |kind, json: String| {
            let payload = serde_json::value::RawValue::from_string(json).unwrap();
            Record::new(session(0).timestamp, kind, payload)
        };
        let replaced = |count, new, kept| {
            format!(
                r#"{{"reason":"x","replaced":{count},"parts":[{{"new":{}}},{{"keep":[{kept},{count}]}}],"told":null}}"#,
                item(new).payload.get()
            )
        };
        match self {
            Other => record(RecordKind::Grant, r#"{"digest":"x"}"#.into()),
            Item(text) => item(text),
            At(at, text) => item(text).with_at(at),
            Compacted(count, new, kept) => {
                record(RecordKind::Compacted, replaced(count, new, kept))
            }
            Edited(count, new, kept) => record(RecordKind::Edited, replaced(count, new, kept)),
        }
    }

    fn is_item(self) -> bool {
        matches!(self, Item(_) | At(..))
    }

    /// What it makes of the items. False if it does not fit: what it counts is lost.
    fn apply(self, items: &mut Vec<Option<&'static str>>, is_lost: bool) -> bool {
        let text = |text| (!is_lost).then_some(text);
        match self {
            Item(it) => items.push(text(it)),
            At(at, it) if at <= items.len() => items.insert(at, text(it)),
            Compacted(count, new, kept) | Edited(count, new, kept)
                if !is_lost && count <= items.len() =>
            {
                items.splice(..kept, [Some(new)]);
            }
            At(..) | Compacted(..) | Edited(..) => return false,
            Other => {}
        }
        true
    }
}

/// The items that are left if these lines are lost, the first of the log being 0, and which lines are
/// left out.
fn model(lost: &[usize]) -> (Vec<&'static str>, Vec<u64>) {
    let (mut items, mut out) = (Vec::new(), Vec::from_iter(lost.contains(&0).then_some(1)));
    for (at, says) in LINES.iter().enumerate() {
        let is_lost = lost.contains(&(at + 1));
        if !says.apply(&mut items, is_lost) || is_lost {
            out.push(at as u64 + 2);
        }
    }
    (items.into_iter().flatten().collect(), out)
}

/// Loses these lines: of items, the heads stay; so do those of others, unless they go whole.
fn lose(log: &[u8], lost: &[usize], is_whole: bool) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        log.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for &at in lost {
        let line = &mut lines[at];
        let end = line.len() - 1;
        let field = br#""payload":{""#;
        let name = line.windows(field.len()).position(|it| it == field).unwrap() + field.len();
        if is_whole && !(at > 0 && LINES[at - 1].is_item()) {
            line[..end].fill(b'?');
        } else {
            line[name] ^= 1;
        }
    }
    lines.concat()
}

fn texts_of(replay: &Replay) -> Vec<String> {
    replay.items.iter().filter_map(|it| text(it.item.json())).collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

#[tokio::test]
async fn each_of_several_lost_items_in_a_row_keeps_its_place() {
    let folder = Folder::new();
    let (mut writer, path) = start(&folder.store()).await;
    writer.append(LINES.iter().map(|it| it.record()).collect()).await.unwrap();
    writer.close().await.unwrap();
    let log = fs::read(&path).unwrap();
    let whole = replay(&log, &(), OnDamage::Refuse).unwrap();
    assert_eq!((texts_of(&whole), whole.damage.len()), (owned(&model(&[]).0), 0));
    let rows = (1..=4).flat_map(|len| (0..=LINES.len() + 1 - len).map(move |at| at..at + len));
    for (lost, is_whole) in rows.flat_map(|row| [(row.clone(), false), (row, true)]) {
        let lost: Vec<usize> = lost.collect();
        let context = format!("{lost:?} {is_whole}");
        let damaged = lose(&log, &lost, is_whole);
        let (items, out) = model(&lost);
        let salvaged = replay(&damaged, &(), OnDamage::Salvage).unwrap();
        let named: Vec<u64> = salvaged.damage.iter().map(|it| it.line).collect();
        assert_eq!((texts_of(&salvaged), named), (owned(&items), out), "{context}");

        let folder = Folder::new();
        let (writer, path) = start(&folder.store()).await;
        writer.close().await.unwrap();
        fs::write(&path, damaged).unwrap();
        let store = folder.store().fsync(Fsync::Off);
        for on_damage in [OnDamage::Salvage, OnDamage::Refuse] {
            let opened = store.open(&first(), on_damage).await.unwrap();
            assert_eq!(messages(&opened), items, "{context}");
            opened.writer.close().await.unwrap();
        }
    }
}
