//! The power goes, at any step of a disk: what was acknowledged is there.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use longhaul_rollout::{
    FileStore, Fsync, LogRef, LogWriter, OnDamage, Query, Record, Replay, Store, StoreError,
};
use longhaul_testkit::disk::{BAD_MEDIUM, Fault, Operation, Step, VolatileDisk};

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
    tell(&format!("{steps} steps, {unborn} times no log, {salvaged} times one to salvage"));
    assert!(steps > 50 && unborn > 0 && salvaged > 0);
}

/// One store does not sync, and another does: what that one acknowledges is there, with all that it
/// refers to and did not write itself.
#[tokio::test]
async fn f095_what_others_did_not_sync_is_durable_before_it_is_acknowledged() {
    let folder = Folder::new();
    let disk = VolatileDisk::new(folder.path()).unwrap();
    let store = folder.store().disk(Arc::new(disk.clone()));
    let fast = store.clone().fsync(Fsync::Off);
    let [x, y, z] = ["x", "y", "z"].map(|letter| item(&letter.repeat(70_000)));
    let mut writer = fast.create(vec![session(0), x.clone()]).await.unwrap();
    writer.append(vec![y.clone()]).await.unwrap();
    writer.close().await.unwrap();

    // Another session names a blob that is there.
    let mut other = store.create(vec![session(1), x.clone()]).await.unwrap();
    let mut acknowledged = vec![(disk.step_count(), 1, vec![x.clone()])];
    other.append(vec![y.clone()]).await.unwrap();
    acknowledged.push((disk.step_count(), 1, vec![x.clone(), y.clone()]));
    other.close().await.unwrap();

    // The log itself goes on, without a word of what was there.
    let mut writer = fast.create(vec![session(2), z.clone()]).await.unwrap();
    writer.append(vec![item("short")]).await.unwrap();
    writer.close().await.unwrap();
    let third = LogRef::Id(session_id(2));
    let mut writer = store.open(&third, OnDamage::Refuse).await.unwrap().writer;
    acknowledged.push((disk.step_count(), 2, vec![z.clone(), item("short")]));
    writer.append(vec![item("new")]).await.unwrap();
    acknowledged.push((disk.step_count(), 2, vec![z, item("short"), item("new")]));

    for (from, number, kept) in acknowledged {
        let kept: Vec<_> = kept.iter().map(|it| it.payload.get().to_owned()).collect();
        for step in from..=disk.step_count() {
            for seed in 0..SEEDS {
                let left = Folder::new();
                disk.lose_power(step, chance(seed), left.path()).unwrap();
                let which = LogRef::Id(session_id(number));
                // Of what was not acknowledged, any part may be there.
                let read = left.store().read(&which, OnDamage::Salvage.into()).await;
                let read = json(&read.unwrap_or_else(|e| panic!("step {step}, seed {seed}: {e}")));
                assert!(read.starts_with(&kept), "session {number}, step {step}, seed {seed}");
            }
        }
    }
}

/// What is known to be durable is not synced again.
#[tokio::test]
async fn a_blob_that_others_wrote_is_synced_once() {
    let folder = Folder::new();
    let [x, y] = ["x", "y"].map(|letter| item(&letter.repeat(70_000)));
    let mut writer = folder.store().create(vec![session(0), x.clone()]).await.unwrap();
    writer.append(vec![y.clone()]).await.unwrap();
    writer.close().await.unwrap();
    let (store, disk) = folder.faulty(|_| Fault::None);
    let synced = || {
        let is_sync = |it: &Step| it.operation == Operation::Sync && is_blob(&it.path);
        disk.steps().iter().filter(|it| is_sync(it)).count()
    };
    let mut other = store.create(vec![session(1)]).await.unwrap();
    for expected in [1, 1, 1] {
        other.append(vec![x.clone()]).await.unwrap();
        assert_eq!(synced(), expected);
    }
    let from = disk.steps().len();
    let mut opened = store.open(&first(), OnDamage::Refuse).await.unwrap();
    assert_eq!(synced(), 3, "what is active, by each writer");
    let blobs = folder.path().join("blobs");
    let steps = disk.steps();
    let folders = steps[from..].iter().filter(|it| it.operation == Operation::SyncFolder);
    let folders: Vec<_> = folders.map(|it| &it.path).filter(|it| it.starts_with(&blobs)).collect();
    assert_eq!(folders.len(), 3, "each of both and that of both, once: {folders:?}");
    opened.writer.append(vec![x, y]).await.unwrap();
    assert_eq!(synced(), 3);
}

/// A sync that failed is not tried again, since a second one may only seem to work: what it was to keep is
/// written anew.
#[tokio::test]
async fn a_blob_that_cannot_be_synced_is_written_anew() {
    let folder = Folder::new();
    let x = item(&"x".repeat(70_000));
    let fast = folder.store().fsync(Fsync::Off);
    fast.create(vec![session(0), x.clone()]).await.unwrap().close().await.unwrap();
    let identity = || {
        let blob = folder.names().into_iter().find(|it| it.starts_with("blobs")).unwrap();
        longhaul_rollout::Identity::of(&fs::metadata(folder.path().join(blob)).unwrap())
    };
    // Held open, so that no other file can be taken for it.
    let blob = folder.names().into_iter().find(|it| it.starts_with("blobs")).unwrap();
    let _held = fs::File::open(folder.path().join(blob)).unwrap();
    let before = identity();
    let (store, _) = folder.faulty(|step| {
        let is_sync = step.operation == Operation::Sync && is_blob(&step.path);
        if is_sync { Fault::Error(BAD_MEDIUM) } else { Fault::None }
    });
    let mut writer = store.create(vec![session(1)]).await.unwrap();
    writer.append(vec![x]).await.unwrap();
    assert_eq!(identity().is_same_file(&before), cfg!(not(unix)));
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
    tell(&format!("the power went {losses} times during a recovery, {salvages} of them salvages"));
    assert!(losses > 50 && salvages > 0);
}
