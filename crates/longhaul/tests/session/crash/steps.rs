//! The process is gone at a named step, or twice, or with a child of its own alive.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul::prelude::*;
use longhaul::rollout::{LogRef, OnDamage};
use longhaul::tool::command::CommandTool;
use longhaul_testkit::check::log::Note;

use super::child::{driver_of, ended};
use super::recover::recover;
use super::script::{compact, follow, prompt};
use super::world::{Folder, World};
use crate::support::{Probe, conversation};

/// The parts of the driver that these tests start.
pub(super) async fn part(part: &str, world: World) {
    match part.split_once('@') {
        Some(("turn", at)) => turn(ended_at(world, at)).await,
        Some(("command", folder)) => command(&world, folder.into()).await,
        Some(("open", log)) => {
            let which = LogRef::Path(log.into());
            let agent = world.agent();
            let opened = agent.session().resume(which, OnDamage::Refuse).start().await;
            fs::write(format!("{log}.told"), opened.unwrap_err().to_string()).unwrap();
        }
        _ => panic!("{part}"),
    }
}

/// A world that ends its process at the `n`-th step of a name: `n name`.
fn ended_at(world: World, at: &str) -> World {
    let (n, name) = at.split_once(' ').unwrap();
    let (left, name) = (AtomicUsize::new(n.parse().unwrap()), name.to_owned());
    world.hooked(move |step| {
        if step == name && left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    })
}

async fn turn(world: World) {
    let session = world.agent().session().start().await.unwrap();
    world.enter(&session);
    prompt(&world, &session, "p1: change once once").await;
    compact(&world, &session).await;
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn f115_a_session_goes_on_from_every_named_step() {
    // How often the tools have started by then, and how many of these calls are unknown.
    let steps = [
        ("1 input accepted", 0, 0),
        ("1 request", 0, 0),
        ("1 first delta", 3, 0),
        ("1 item done", 0, 0),
        ("1 intent durable", 0, 0),
        ("1 tool started", 1, 1),
        ("1 tool done", 1, 1),
        ("1 result durable", 1, 0),
        ("2 tool started", 2, 1),
        ("3 tool started", 3, 2),
        ("3 tool done", 3, 2),
        ("3 result durable", 3, 0),
        ("2 request", 3, 0),
        ("2 item done", 3, 0),
        ("1 terminal durable", 3, 0),
    ];
    for (step, started, unknown) in steps {
        let folder = Folder::new();
        let status = ended(driver_of(&format!("turn@{step}"), folder.path()));
        assert!(!status.success(), "{step}");
        let starts = |notes: &[Note]| notes.iter().filter(|it| is_start(it)).count();
        let before = starts(&folder.notes());
        let checked = recover(&folder).await.unwrap_or_else(|found| panic!("{step}: {found}"));
        let [session] = checked[..] else { panic!("{step}: {checked:?}") };
        // Which of the steps that follow came before the end is the scheduler's to say.
        assert!(before >= started, "{step}: {before} starts");
        assert!(session.unknown >= unknown, "{step}: {session:?}");
        // Of three calls, those whose intent was durable and no more never start; then comes another turn.
        let all = starts(&folder.notes());
        assert!((1..=4).contains(&all), "{step}: {all} starts");
    }
}

fn is_start(note: &Note) -> bool {
    matches!(note, Note::Start { .. })
}

#[tokio::test]
async fn f118_behind_a_crash_in_a_compaction_the_view_is_the_old_or_the_new_one() {
    for (step, is_new) in [("3 request", false), ("1 compacted", true)] {
        let folder = Folder::new();
        let status = ended(driver_of(&format!("turn@{step}"), folder.path()));
        assert!(!status.success(), "{step}");
        recover(&folder).await.unwrap_or_else(|found| panic!("{step}: {found}"));
        let rests = folder.notes().into_iter().filter_map(|note| match note {
            Note::Rests { items, .. } => Some(items),
            _ => None,
        });
        let old = rests.into_iter().next().unwrap();
        let opened = folder.notes().into_iter().find_map(|note| match note {
            Note::Recovered { items, .. } => Some(items),
            _ => None,
        });
        let opened = opened.unwrap();
        assert_eq!(opened == old, !is_new, "{step}");
        assert!(!is_new || opened.len() < old.len(), "{step}: {opened:?}");
    }
}

#[tokio::test]
async fn f118_a_record_of_a_compaction_counts_as_a_whole_or_not_at_all() {
    let whole = Folder::new();
    let world = World::begin(whole.path(), None, false);
    let session = world.agent().session().start().await.unwrap();
    world.enter(&session);
    prompt(&world, &session, "p1: change look").await;
    let old = conversation(&session.history());
    compact(&world, &session).await;
    let new = conversation(&session.history());
    session.shutdown().await.unwrap();
    assert_ne!(old, new);

    let log = session.log_path().unwrap();
    let bytes = fs::read(log).unwrap();
    let lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let is_it = |line: &&[u8]| line.windows(20).any(|it| it == b"\"type\":\"compacted\",\"");
    let at = lines.iter().position(is_it).unwrap();
    let start: usize = lines[..at].iter().map(|line| line.len()).sum();
    let end = start + lines[at].len();
    for cut in start..=end {
        let folder = Folder::new();
        whole.copy_to(&folder, |path| (path == log).then(|| bytes[..cut].to_vec()));
        let session = opened(&folder).await;
        let expected = if cut < end { &old } else { &new };
        assert_eq!(&conversation(&session.history()), expected, "cut at {cut}");
        session.shutdown().await.unwrap();
    }
}

/// The one session of a folder, opened again.
async fn opened(folder: &Folder) -> Session {
    let world = World::begin(folder.path(), None, false);
    let which = LogRef::Path(log_of(folder));
    let session = world.agent().session().resume(which, OnDamage::Refuse).start().await.unwrap();
    world.enter(&session);
    session
}

fn log_of(folder: &Folder) -> PathBuf {
    folder.files("sessions", ".jsonl").remove(0)
}

/// Cuts the log behind each of its records from the first on that is of a type; gives the folders.
fn cut_behind_each(whole: &Folder, from: &str) -> Vec<Folder> {
    let log = log_of(whole);
    let bytes = fs::read(&log).unwrap();
    let first = bytes.windows(from.len()).rposition(|it| it == from.as_bytes()).unwrap();
    let ends = (first..bytes.len()).filter(|&at| bytes[at] == b'\n').map(|at| at + 1);
    let cut = |end: usize| {
        let folder = Folder::new();
        whole.copy_to(&folder, |path| (path == log).then(|| bytes[..end].to_vec()));
        folder
    };
    ends.map(cut).collect()
}

#[tokio::test]
async fn f125_two_crashes_resolve_each_of_two_parallel_calls_once_and_in_order() {
    let whole = Folder::new();
    let world = World::begin(whole.path(), None, false);
    let session = world.agent().session().start().await.unwrap();
    world.enter(&session);
    prompt(&world, &session, "p1: once once").await;
    session.shutdown().await.unwrap();

    // Both have started, and nothing else is there.
    let first = cut_behind_each(&whole, "\"state\":\"started\"").remove(0);
    let session = opened(&first).await;
    assert_eq!(session.resumed().unwrap().unknown_calls, ["c1_0", "c1_1"]);
    session.continue_turn().unwrap().await.unwrap();
    session.shutdown().await.unwrap();
    let mut crashes = 0;
    for second in cut_behind_each(&first, "\"state\":\"started\"") {
        let session = opened(&second).await;
        if session.resumed().unwrap().open_turn.is_some() {
            session.continue_turn().unwrap().await.unwrap();
        }
        let unknown = "aborted: had started, effect unknown";
        assert_eq!(
            conversation(&session.history())[..5],
            [
                "user p1: once once".to_owned(),
                "call c1_0 once {\"n\":0}".to_owned(),
                format!("output c1_0 {unknown}"),
                "call c1_1 once {\"n\":1}".to_owned(),
                format!("output c1_1 {unknown}"),
            ],
            "the second crash came behind {crashes} more records"
        );
        let starts = second.notes().into_iter().filter(is_start).count();
        assert_eq!(starts, 0, "nothing runs again");
        session.shutdown().await.unwrap();
        crashes += 1;
    }
    assert!(crashes > 4, "{crashes}");
}

/// A tool whose program kills its parent, and lives on.
async fn command(world: &World, folder: PathBuf) {
    let script = "kill -KILL $PPID; echo alive > lives";
    let shell = CommandTool::new("shell", "", &["sh", "-c", script]);
    let agent = world.builder().tool(shell).cwd(folder).build().unwrap();
    let session = agent.session().start().await.unwrap();
    world.enter(&session);
    prompt(world, &session, "p1: shell").await;
}

#[tokio::test]
async fn f122_the_effect_of_a_command_whose_parent_died_is_told_to_be_unknown() {
    use std::os::unix::process::ExitStatusExt;
    let folder = Folder::new();
    let part = format!("command@{}", folder.path().display());
    let status = ended(driver_of(&part, folder.path()));
    assert_eq!(status.signal(), Some(9));
    let world = World::begin(folder.path(), None, false);
    let agent = world.builder().tool(Probe::echo("shell").write()).build().unwrap();
    let which = LogRef::Path(log_of(&folder));
    let session = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    world.enter(&session);
    assert_eq!(session.resumed().unwrap().unknown_calls, ["c1_0"]);
    follow(&world, &session, session.continue_turn().unwrap()).await;
    let history = conversation(&session.history());
    assert_eq!(history[2], "output c1_0 aborted: had started, effect unknown");
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn f120_a_panic_of_a_tool_or_a_reader_leaves_a_log_that_is_opened_again() {
    let folder = Folder::new();
    let world = World::begin(folder.path(), None, false);
    let panics = Probe::new("panics", |_, _| async { panic!("a tool") }).write();
    let agent = world.builder().tool(panics).build().unwrap();
    let session = agent.session().start().await.unwrap();
    world.enter(&session);
    let mut events = session.events();
    let reader = tokio::spawn(async move {
        events.next().await;
        panic!("a reader");
    });
    prompt(&world, &session, "p1: panics look").await;
    assert!(reader.await.unwrap_err().is_panic());
    prompt(&world, &session, "p2: look").await;
    let left = conversation(&session.history());
    assert_eq!(left.len(), 10, "{left:?}");
    session.shutdown().await.unwrap();
    let session = opened(&folder).await;
    assert_eq!(conversation(&session.history()), left);
    prompt(&world, &session, "p3: look").await;
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn f123_another_process_does_not_open_a_session_that_is_open() {
    let folder = Folder::new();
    let world = World::begin(folder.path(), None, false);
    let session = world.agent().session().start().await.unwrap();
    let log = session.log_path().unwrap().to_owned();
    let before = fs::read(&log).unwrap();
    let open = || {
        // It fails where the session can be opened.
        ended(driver_of(&format!("open@{}", log.display()), folder.path())).success()
    };
    assert!(open());
    let told = fs::read_to_string(log.with_extension("jsonl.told")).unwrap();
    let is_named = told.contains(&std::process::id().to_string());
    assert!(told.contains("open for writing") && is_named, "{told}");
    assert_eq!(fs::read(&log).unwrap(), before);
    session.shutdown().await.unwrap();
    assert!(!open());
}
