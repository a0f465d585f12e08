//! A process is ended at every step of its disk: before it, in the middle of it, after it. Whatever
//! it acknowledged is there afterwards, and the log opens and goes on.

use std::fs;
use std::path::PathBuf;

use longhaul_rollout::{FileStore, LogWriter, OnDamage, Record, Store, StoreError};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::child::{Child, ENDS, say};
use crate::support::*;

const NEVER: usize = usize::MAX;

/// The groups that the script appends, after the first record: 20 operations with the opening.
fn groups() -> Vec<Vec<Record>> {
    let text = |n: usize| if n == 7 { "x".repeat(80_000) } else { n.to_string() };
    let mut next = 0;
    let mut group = |length: usize| {
        next += length;
        (next - length..next).map(|n| item(&text(n))).collect()
    };
    (0..16).map(|n| group(n % 4 + 1)).collect()
}

async fn append(writer: &mut Box<dyn LogWriter>, group: Vec<Record>) {
    writer.append(group).await.unwrap();
    say("ack");
}

/// Starts a log, appends, closes, opens, appends, closes.
pub(crate) async fn script(store: &FileStore) {
    let mut writer = store.create(vec![session(0)]).await.unwrap();
    say("start");
    for group in groups().drain(..8) {
        append(&mut writer, group).await;
    }
    writer.close().await.unwrap();
    let mut writer = store.open(&first(), OnDamage::Refuse).await.unwrap().writer;
    for group in groups().drain(8..) {
        append(&mut writer, group).await;
    }
    writer.close().await.unwrap();
}

/// Opens a log that may be torn or damaged, and appends.
pub(crate) async fn recover(store: &FileStore) {
    let mut writer = store.open(&first(), OnDamage::Salvage).await.unwrap().writer;
    append(&mut writer, vec![item("new")]).await;
    writer.close().await.unwrap();
}

/// How many steps a part has when nothing ends it.
fn steps(folder: &Folder, part: &str) -> usize {
    let (said, was_killed) = Child::start(folder.path(), part, NEVER, 0).hear_all();
    assert!(!was_killed, "{said:?}");
    said.last().unwrap().strip_prefix("steps ").unwrap().parse().unwrap()
}

/// What the log says, also after it was opened and went on once more.
async fn reopened(folder: &Folder) -> Result<Vec<String>, StoreError> {
    let mut opened = folder.store().open(&first(), OnDamage::Salvage).await?;
    let json = |replay: &longhaul_rollout::Replay| {
        replay.items.iter().map(|it| it.item.json().to_owned()).collect::<Vec<_>>()
    };
    let items = json(&opened.replay);
    opened.writer.append(vec![item("more")]).await.unwrap();
    opened.writer.close().await.unwrap();
    let again = folder.store().read(&first(), OnDamage::Refuse.into()).await.unwrap();
    assert_eq!(json(&again)[..items.len()], items);
    assert_eq!(again.items.len(), items.len() + 1);
    Ok(items)
}

/// What is told of a salvage, without a word to the log: the damaged log, and how many lines were left out.
pub(crate) async fn told(folder: &Folder) -> (Option<PathBuf>, usize) {
    let opened = folder.store().open(&first(), OnDamage::Salvage).await.unwrap();
    opened.writer.close().await.unwrap();
    (opened.salvaged_from, opened.replay.damage.len())
}

fn payloads(records: impl IntoIterator<Item = Record>) -> Vec<String> {
    records.into_iter().map(|record| record.payload.get().to_owned()).collect()
}

#[tokio::test]
async fn f114_what_was_acknowledged_survives_an_end_at_any_step() {
    let whole = Folder::new();
    let steps = steps(&whole, "script");
    let groups = groups();
    let all = payloads(groups.concat());
    let mut whole_items = reopened(&whole).await.unwrap();
    assert_eq!(whole_items.len(), all.len());
    let mut unborn = 0;
    for step in 0..steps {
        for (end, fault) in ENDS.iter().enumerate() {
            let folder = Folder::new();
            let (said, was_killed) = Child::start(folder.path(), "script", step, end).hear_all();
            assert!(was_killed, "step {step}, {fault:?}");
            let Some(acks) = said.len().checked_sub(1) else {
                // Its start was not acknowledged: it is there as a whole, or can be started.
                match reopened(&folder).await {
                    Err(StoreError::NotFound { .. }) => {
                        unborn += 1;
                        folder.store().create(vec![session(0)]).await.unwrap();
                    }
                    items => assert_eq!(items.unwrap(), [""; 0]),
                }
                continue;
            };
            let items = reopened(&folder).await.unwrap();
            let least: usize = groups[..acks].iter().map(Vec::len).sum();
            let most = least + groups.get(acks).map_or(0, Vec::len);
            assert!((least..=most).contains(&items.len()), "step {step}: {acks} {}", items.len());
            assert_eq!(items, all[..items.len()], "step {step}, {fault:?}");
        }
    }
    whole_items.clear();
    tell(&format!(
        "a process was ended {} times, {unborn} of them without a log",
        steps * ENDS.len()
    ));
    assert!(unborn > 0 && steps > 40);
}

/// A log of three items, whose end is torn, and one in the middle damaged if it should be.
pub(crate) async fn hurt(folder: &Folder, is_damaged: bool) -> PathBuf {
    let (mut writer, path) = start(&folder.store()).await;
    writer.append(["0", "1", "2"].map(item).into()).await.unwrap();
    writer.close().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    if is_damaged {
        let at = bytes.windows(6).position(|it| it == b"\"1\"}]}").unwrap();
        bytes[at + 1] = b'9';
    }
    bytes.extend(b"{\"timestamp\":\"20");
    fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn f116_an_end_during_recovery_changes_nothing() {
    let mut ends = 0;
    for is_damaged in [false, true] {
        let whole = Folder::new();
        hurt(&whole, is_damaged).await;
        let kept = if is_damaged { vec!["0", "2"] } else { vec!["0", "1", "2"] };
        let expected = payloads(kept.into_iter().map(item));
        let steps = steps(&whole, "recover");
        for step in 0..steps {
            for (end, fault) in ENDS.iter().enumerate() {
                let folder = Folder::new();
                let damaged = Some(hurt(&folder, is_damaged).await).filter(|_| is_damaged);
                let before = folder.files();
                let (said, was_killed) =
                    Child::start(folder.path(), "recover", step, end).hear_all();
                assert!(was_killed);
                // Once more at the same step: the first end may have left something in the way.
                let (again, _) = Child::start(folder.path(), "recover", step, end).hear_all();
                let acks = [said, again].concat().iter().filter(|it| *it == "ack").count();
                let early = told(&folder).await;
                assert_eq!(told(&folder).await, early, "until somebody goes on with it");
                let items = reopened(&folder).await.unwrap();
                assert_eq!(told(&folder).await, (None, 0));
                assert_eq!(items[..expected.len()], expected, "step {step}, {fault:?}");
                let new = items.len() - expected.len();
                // Who appended was told before.
                let unheard = damaged.filter(|_| new == 0).map_or((None, 0), |log| (Some(log), 1));
                assert_eq!(early, unheard, "step {step}, {fault:?}");
                assert!((acks..=2).contains(&new));
                // Of a torn log, what was cut off is aside. A damaged one is as it was.
                let torn = b"{\"timestamp\":\"20";
                let is_kept = |(name, bytes): &(String, Vec<u8>)| {
                    name.contains(".torn-") && !name.contains("new") && bytes == torn
                };
                let is_safe = if is_damaged {
                    folder.files().contains(&before[0])
                } else {
                    folder.files().iter().any(is_kept)
                };
                assert!(is_safe, "step {step}, {fault:?}: {:?}", folder.names());
                ends += 1;
            }
        }
    }
    tell(&format!("a recovery was ended {ends} times, twice each"));
}

/// Appends longer and longer texts until there is no memory for one, and says each that was acknowledged.
pub(crate) async fn grow(store: &FileStore) {
    let (mut writer, _) = start(store).await;
    let own = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = own.split(' ').next().unwrap().parse().unwrap();
    let limit = Some(pages * 4096 + (48 << 20));
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
    let mut text = "x".repeat(1 << 16);
    loop {
        writer.append(vec![item(&text)]).await.unwrap();
        say(&text.len().to_string());
        text = text.repeat(2);
    }
}

/// Where the memory ends, the process does, wherever it is.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn f121_a_process_that_runs_out_of_memory_leaves_what_was_acknowledged() {
    let folder = Folder::new();
    let (said, was_killed) = Child::start(folder.path(), "grow", NEVER, 0).hear_all();
    assert!(was_killed && said.len() > 3, "{said:?}");
    let mut opened = folder.store().open(&first(), OnDamage::Refuse).await.unwrap();
    let texts = opened.replay.items.iter().map(|it| text(it.item.json()).unwrap().len());
    let texts: Vec<String> = texts.map(|len| len.to_string()).collect();
    assert!(texts.starts_with(&said) && texts.len() <= said.len() + 1, "{said:?} {texts:?}");
    opened.writer.append(vec![item("more")]).await.unwrap();
    opened.writer.close().await.unwrap();
}
