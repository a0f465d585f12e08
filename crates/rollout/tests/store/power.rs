//! The power goes, at any step of a disk: what was acknowledged is there.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use longhaul_rollout::{FileStore, LogWriter, OnDamage, Query, Record, Replay, Store, StoreError};
use longhaul_testkit::disk::VolatileDisk;

use crate::support::*;

/// What was acknowledged when so many steps were done.
#[derive(Clone)]
struct Acknowledged {
    steps: usize,
    items: usize,
    /// The length of the log.
    bytes: u64,
}

/// Does things, and notes what was acknowledged.
struct Script {
    disk: VolatileDisk,
    acknowledged: Vec<Acknowledged>,
    items: Vec<String>,
}

impl Script {
    fn note(&mut self, path: &Path, records: &[Record]) {
        self.items.extend(records.iter().map(|it| it.payload.get().to_owned()));
        let bytes = fs::metadata(path).unwrap().len();
        let (steps, items) = (self.disk.step_count(), self.items.len());
        self.acknowledged.push(Acknowledged { steps, items, bytes });
    }

    async fn append(&mut self, writer: &mut Box<dyn LogWriter>, records: Vec<Record>) {
        writer.append(records.clone()).await.unwrap();
        self.note(writer.path().unwrap(), &records);
    }
}

/// One line, many, lines of more than a page, strings in blobs; and all again after it was opened.
fn groups() -> Vec<Vec<Record>> {
    let long = |n: usize, letter: &str| item(&format!("{n} {}", letter.repeat(n)));
    vec![
        vec![item("0")],
        (1..20).map(|n| item(&n.to_string())).collect(),
        vec![long(3_000, "a"), long(9_000, "b"), long(10, "c")],
        vec![item("blob"), long(70_000, "d"), long(66_000, "e"), item("behind")],
        vec![long(70_000, "d"), item("again")],
    ]
}

async fn script(home: &Path) -> Script {
    let disk = VolatileDisk::new(home).unwrap();
    let store = FileStore::new(home).disk(Arc::new(disk.clone()));
    let mut script = Script { disk, acknowledged: Vec::new(), items: Vec::new() };
    let mut writer = store.create(vec![session(0), item("first")]).await.unwrap();
    script.note(writer.path().unwrap(), &[item("first")]);
    for half in groups().chunks(3) {
        for group in half {
            script.append(&mut writer, group.clone()).await;
        }
        writer.close().await.unwrap();
        writer = store.open(&first(), OnDamage::Refuse).await.unwrap().writer;
    }
    script
}

fn json(replay: &Replay) -> Vec<String> {
    replay.items.iter().map(|it| it.item.json().to_owned()).collect()
}

/// Whether `part` is what is left of `whole` when some of it is taken out.
fn is_left_of(part: &[String], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|it| whole.any(|other| other == it))
}

/// What a log says after the power went, when `acknowledged` was; and that it goes on.
async fn look(home: &Path, acknowledged: &Acknowledged, items: &[String]) -> bool {
    let store = FileStore::new(home);
    let kept = &items[..acknowledged.items];
    let read = store.read(&first(), OnDamage::Refuse.into()).await;
    let is_sound = match read {
        Ok(replay) => {
            assert!(json(&replay).starts_with(kept));
            assert!(items.starts_with(&json(&replay)));
            true
        }
        Err(StoreError::Damaged { damage, .. }) => {
            assert!(damage.offset >= acknowledged.bytes, "{damage}");
            false
        }
        Err(error) => panic!("{error}"),
    };
    let salvaged = store.read(&first(), OnDamage::Salvage.into()).await.unwrap();
    assert!(json(&salvaged).starts_with(kept) && is_left_of(&json(&salvaged), items));
    is_sound
}

/// Opens the log, appends, and reads it again. Says too whether it was told of a salvage.
async fn go_on(store: &FileStore) -> (Vec<String>, bool) {
    let mut opened = store.open(&first(), OnDamage::Salvage).await.unwrap();
    let mut expected = json(&opened.replay);
    let is_told = opened.salvaged_from.is_some() && !opened.replay.damage.is_empty();
    opened.writer.append(vec![item("new")]).await.unwrap();
    opened.writer.close().await.unwrap();
    expected.push(item("new").payload.get().to_owned());
    let again = store.read(&first(), OnDamage::Refuse.into()).await.unwrap();
    assert_eq!(json(&again), expected);
    assert_eq!(store.list(&Query::default()).await.unwrap().sessions.len(), 1);
    (expected, is_told)
}

/// Nothing stays, all does, or what the seed says.
fn chance(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || match seed {
        0 => false,
        1 => true,
        _ => {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.is_multiple_of(2)
        }
    }
}

const SEEDS: u64 = 8;

#[tokio::test]
async fn f095_what_was_acknowledged_survives_a_loss_of_power_at_any_step() {
    let folder = Folder::new();
    let script = script(folder.path()).await;
    let steps = script.disk.step_count();
    let (mut unborn, mut salvaged) = (0, 0);
    for step in 0..=steps {
        for seed in 0..SEEDS {
            let left = Folder::new();
            script.disk.lose_power(step, chance(seed), left.path()).unwrap();
            let Some(acknowledged) = script.acknowledged.iter().rfind(|it| it.steps <= step) else {
                // It is there as a whole, or it can be started.
                match left.store().read(&first(), OnDamage::Refuse.into()).await {
                    Ok(replay) => assert_eq!(json(&replay), script.items[..1]),
                    Err(StoreError::NotFound { .. }) => {
                        left.store().create(vec![session(0)]).await.unwrap();
                        unborn += 1;
                    }
                    Err(error) => panic!("step {step}, seed {seed}: {error}"),
                }
                continue;
            };
            salvaged += usize::from(!look(left.path(), acknowledged, &script.items).await);
            go_on(&left.store()).await;
        }
    }
    println!("{steps} steps, {unborn} times no log, {salvaged} times one to salvage");
    assert!(steps > 50 && unborn > 0 && salvaged > 0);
}

/// The power goes again while the log is made fit to go on.
#[tokio::test]
async fn f095_a_recovery_may_lose_the_power_too() {
    let folder = Folder::new();
    let script = script(folder.path()).await;
    let (mut losses, mut salvages) = (0, 0);
    for (number, acknowledged) in script.acknowledged.iter().enumerate() {
        let next = script.acknowledged.get(number + 1).map_or(acknowledged.steps, |it| it.steps);
        for seed in 2..5 {
            let left = Folder::new();
            // The last write is not synced yet.
            let step = next.saturating_sub(1).max(acknowledged.steps);
            script.disk.lose_power(step, chance(seed), left.path()).unwrap();
            let disk = VolatileDisk::new(left.path()).unwrap();
            let (_, is_salvaged) = go_on(&left.store().disk(Arc::new(disk.clone()))).await;
            salvages += usize::from(is_salvaged);
            let all = disk.step_count();
            for step in 0..=all {
                let again = Folder::new();
                disk.lose_power(step, chance(seed + step as u64), again.path()).unwrap();
                let (items, is_told) = go_on(&again.store()).await;
                assert!(items.starts_with(&script.items[..acknowledged.items]), "{step}");
                let is_acknowledged = step == all;
                let new = item("new").payload.get().to_owned();
                let count = items.iter().filter(|it| **it == new).count();
                assert!(!is_acknowledged || count == 2, "{step}");
                assert!(!is_salvaged || is_told || count == 2, "{step}: a silent salvage");
                losses += 1;
            }
        }
    }
    println!("the power went {losses} times during a recovery, {salvages} of them salvages");
    assert!(losses > 50 && salvages > 0);
}
