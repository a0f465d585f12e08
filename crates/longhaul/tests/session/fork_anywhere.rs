//! Forks at any record of a log, and of sessions that are open.

use std::path::Path;
use std::sync::Arc;

use longhaul::coding::CodingContext;
use longhaul::history::History;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, ForkedFrom, Fsync, LogRef, MemoryStore, OnDamage, Store};
use longhaul::{BuildError, ForkPoint};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::disk::{Fault, FaultyDisk};
use serde_json::Value;

use super::support::{Folder, Probe, conversation, items, lines, scripted, until};

fn store(folder: &Folder) -> FileStore {
    FileStore::new(&folder.0).fsync(Fsync::Off)
}

/// What a list of records comes to, by the letter of the format.
#[derive(Default)]
struct Naive {
    items: Vec<Value>,
    before: Option<(Vec<Value>, usize)>,
}

impl Naive {
    fn apply(&mut self, line: &Value) {
        let payload = &line["payload"];
        match line["type"].as_str().unwrap() {
            "response_item" => {
                let at = line["at"].as_u64().map_or(self.items.len(), index);
                self.items.insert(at, payload.clone());
            }
            "edited" => self.replace(payload),
            "compacted" => {
                let before = self.items.clone();
                self.replace(payload);
                self.before = Some((before, self.items.len()));
            }
            "compaction_undone" => {
                let (mut before, after) = self.before.take().unwrap();
                before.extend(self.items.split_off(after));
                self.items = before;
            }
            _ => {}
        }
    }

    fn replace(&mut self, payload: &Value) {
        let rest = self.items.split_off(index(payload["replaced"].as_u64().unwrap()));
        let old = std::mem::take(&mut self.items);
        for part in payload["parts"].as_array().unwrap() {
            match part["keep"].as_array() {
                Some(range) => {
                    let place = |n: usize| index(range[n].as_u64().unwrap());
                    self.items.extend_from_slice(&old[place(0)..place(1)]);
                }
                None => self.items.push(part["new"].clone()),
            }
        }
        self.items.extend(rest);
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// The conversation behind each record, and the type of the record.
fn behind_each(log: &[u8]) -> Vec<(String, Vec<Value>)> {
    let mut naive = Naive::default();
    let text = std::str::from_utf8(log).unwrap();
    let behind = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        naive.apply(&line);
        (line["type"].as_str().unwrap().to_owned(), naive.items.clone())
    });
    behind.collect()
}

fn values(history: &History) -> Vec<Value> {
    history.iter().map(|item| serde_json::from_str(item.json()).unwrap()).collect()
}

/// From where a session was forked, as its log says.
async fn parent_of(store: &FileStore, session: &Session) -> ForkedFrom {
    let which = LogRef::Id(session.id().to_owned());
    let replay = store.read(&which, OnDamage::Refuse.into()).await.unwrap();
    replay.meta.unwrap().forked_from.unwrap()
}

fn agent(model: &ScriptedModel, store: &FileStore) -> Agent {
    let agent = scripted(model).store(store.clone()).context(CodingContext::new(None)).cwd("/work");
    let agent = agent.tool(Probe::echo("look")).tool(Probe::endless("hang").write());
    agent.build().unwrap()
}

/// Turns with tools, compactions of which one is taken back, and interrupts. At each event the
/// conversation is taken down, and a fork that begins there.
async fn live(agent: &Agent, session: &Session) -> Vec<(Vec<Value>, longhaul::SessionBuilder)> {
    let mut seen = Vec::new();
    let mut look = || {
        let fork = agent.session().fork(session, ForkPoint::End).unwrap();
        seen.push((values(&session.history()), fork));
    };
    for step in ["a", "b", "compact", "c", "undo", "d", "compact", "e"] {
        let turn = match step {
            "compact" => session.compact(),
            "undo" => {
                assert!(session.undo_compaction().await.unwrap());
                look();
                continue;
            }
            said => session.prompt(said).await,
        };
        let mut turn = turn.unwrap();
        while let Some(event) = turn.next().await {
            look();
            if matches!(&event, Event::ToolCallBegin { name, .. } if name == "hang") {
                session.interrupt();
            }
        }
    }
    seen
}

fn script() -> ScriptedModel {
    ScriptedModel::new()
        .calls([("c1", "look", "{}"), ("c2", "look", "{}")])
        .text("one")
        .calls([("c3", "look", "{}"), ("c4", "hang", "{}"), ("c5", "look", "{}")])
        .text("SUMMARY 1")
        .text("three")
        .text("four")
        .text("SUMMARY 2")
        .text("five")
        .text("on")
        .repeat_last()
}

#[tokio::test]
async fn at_every_record_a_fork_has_what_the_session_had_there() {
    let folder = Folder::new();
    let (model, store) = (script(), store(&folder));
    let agent = agent(&model, &store);
    let session = agent.session().start().await.unwrap();
    let path = session.log_path().unwrap().to_owned();
    let seen = live(&agent, &session).await;
    let bytes = std::fs::read(&path).unwrap();
    let behind = behind_each(&bytes);
    assert_eq!(session.log_position(), Some(behind.len() as u64 - 1));
    for kind in ["turn_context", "call", "compacted", "compaction_undone", "event_msg"] {
        assert!(behind.iter().any(|it| it.0 == kind), "{kind}");
    }

    // What the live session had, by the record that the child names.
    let mut ordinals = std::collections::BTreeSet::new();
    for (had, fork) in seen {
        let fork = fork.start().await.unwrap();
        let from = parent_of(&store, &fork).await;
        assert_eq!((from.id.as_str(), from.path.as_deref()), (session.id(), path.to_str()));
        let ordinal = from.ordinal.unwrap();
        assert_eq!(values(&fork.history()), had, "{ordinal}");
        assert_eq!(behind[index(ordinal)].1, had, "{ordinal}");
        ordinals.insert(ordinal);
    }
    assert!(ordinals.len() >= 8, "{ordinals:?}");

    for (ordinal, (kind, had)) in behind.iter().enumerate() {
        let at = ForkPoint::Behind(ordinal as u64);
        let fork = agent.session().fork(&session, at).unwrap().start().await.unwrap();
        assert_eq!(&values(&fork.history()), had, "{ordinal} {kind}");
        assert_eq!(parent_of(&store, &fork).await.ordinal, Some(ordinal as u64));
        let which = LogRef::Path(path.clone());
        let closed = agent.session().fork_log(which, at).start().await.unwrap();
        assert_eq!(&values(&closed.history()), had, "{ordinal} {kind}");

        // Its own log says the same, and where turns begin.
        let which = LogRef::Id(fork.id().to_owned());
        let own = store.read(&which, OnDamage::Refuse.into()).await.unwrap();
        let starts = own.items.iter().enumerate().filter(|(_, it)| it.starts_turn);
        let starts: Vec<usize> = starts.map(|(index, _)| index).collect();
        let history = fork.history();
        assert_eq!(starts, history.turn_starts(0).collect::<Vec<_>>(), "{ordinal} {kind}");
        assert_eq!(own.next_starts_turn, history.awaits_turn(), "{ordinal} {kind}");

        // It goes on: calls are answered, and the model knows its place.
        fork.prompt("go on").await.unwrap().await.unwrap();
        let request = model.requests().last().unwrap().clone();
        let sent = items(&request.input());
        assert_eq!(sent.last().unwrap(), "user go on");
        assert!(sent.iter().any(|item| item.contains("<cwd>/work</cwd>")), "{ordinal} {sent:?}");
        let expected = fork.preview_request("next").await.unwrap();
        fork.shutdown().await.unwrap();
        let which = LogRef::Id(fork.id().to_owned());
        let again = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
        assert_eq!(again.preview_request("next").await.unwrap(), expected, "{ordinal} {kind}");
    }
    assert_eq!(model.problems(), [""; 0]);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the parent's log");
}

#[tokio::test]
async fn a_fork_of_a_fork_has_its_edits_and_each_goes_its_way() {
    let folder = Folder::new();
    let (model, store) = (script(), store(&folder));
    let agent = agent(&model, &store);
    let parent = agent.session().start().await.unwrap();
    drop(live(&agent, &parent).await);
    let parent_log = parent.log_path().unwrap().to_owned();
    let behind = behind_each(&std::fs::read(&parent_log).unwrap());
    // Behind the first call, which has no output there.
    let call = behind
        .iter()
        .position(|(_, had)| had.last().unwrap_or(&Value::Null)["type"] == "function_call");
    let at = ForkPoint::Behind(call.unwrap() as u64);
    let child = agent.session().fork(&parent, at).unwrap().start().await.unwrap();
    child.prompt("on").await.unwrap().await.unwrap();
    let answered = conversation(&child.history());
    assert!(answered.contains(&"output c1 aborted".to_owned()), "{answered:?}");
    assert!(!answered.iter().any(|it| it.contains("c2")), "{answered:?}");

    let child_log = child.log_path().unwrap().to_owned();
    let behind = behind_each(&std::fs::read(&child_log).unwrap());
    assert!(behind.iter().any(|it| it.0 == "edited"));
    for (ordinal, (kind, had)) in behind.iter().enumerate() {
        let at = ForkPoint::Behind(ordinal as u64);
        let fork = agent.session().fork(&child, at).unwrap().start().await.unwrap();
        assert_eq!(&values(&fork.history()), had, "{ordinal} {kind}");
        assert_eq!(parent_of(&store, &fork).await.id, child.id());
    }

    let left = std::fs::read(&parent_log).unwrap();
    child.prompt("child").await.unwrap().await.unwrap();
    assert_eq!(std::fs::read(&parent_log).unwrap(), left);
    let left = std::fs::read(&child_log).unwrap();
    parent.prompt("parent").await.unwrap().await.unwrap();
    assert_eq!(std::fs::read(&child_log).unwrap(), left);
}

#[tokio::test]
async fn a_fork_in_the_middle_of_a_turn_has_all_until_there() {
    let folder = Folder::new();
    let model = ScriptedModel::new().calls([("c1", "look", "{}"), ("c2", "hang", "{}")]).text("ok");
    let store = store(&folder);
    let agent = agent(&model, &store);
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("begin c2")).await;
    let had = values(&session.history());
    let fork = agent.session().fork(&session, ForkPoint::End).unwrap().start().await.unwrap();
    assert_eq!(values(&fork.history()), had);
    fork.prompt("and?").await.unwrap().await.unwrap();
    let said = conversation(&fork.history());
    let turn_of_fork = said.iter().skip_while(|it| *it != "user go").cloned().collect::<Vec<_>>();
    let expected = [
        "user go",
        "call c1 look {}",
        "output c1 {}",
        "call c2 hang {}",
        "output c2 aborted",
        "user and?",
        "assistant ok",
    ];
    assert_eq!(turn_of_fork, expected);
    // The parent's own turn is not concerned.
    assert_eq!(values(&session.history()), had);
    session.interrupt();
    assert_eq!(lines(&mut turn).await.last().unwrap(), "aborted");
    assert_eq!(model.problems(), [""; 0]);
}

#[tokio::test]
async fn where_there_is_no_such_place_that_is_said() {
    let folder = Folder::new();
    let (model, store) = (ScriptedModel::new().text("one").repeat_last(), store(&folder));
    let kept = agent(&model, &store);
    let session = kept.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    let available = session.log_position().unwrap() + 1;
    let which = LogRef::Id(session.id().to_owned());
    for asked in [available, u64::MAX] {
        let at = ForkPoint::Behind(asked);
        let expected = BuildError::NoSuchPlace { what: "record", asked, available };
        let live = kept.session().fork(&session, at).unwrap().start().await;
        assert_eq!(live.err().unwrap(), expected);
        let closed = kept.session().fork_log(which.clone(), at).start().await;
        assert_eq!(closed.err().unwrap(), expected);
    }
    let expected = BuildError::NoSuchPlace { what: "user message", asked: 1, available: 1 };
    assert_eq!(kept.session().fork(&session, 1).err().unwrap(), expected);
    assert_eq!(kept.session().fork_log(which, 1).start().await.err().unwrap(), expected);

    let unkept = scripted(&model).build().unwrap();
    let session = unkept.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    assert_eq!(session.log_position(), None);
    let at = ForkPoint::Behind(0);
    assert_eq!(unkept.session().fork(&session, at).err().unwrap(), BuildError::NoLog);
    let whole = unkept.session().fork(&session, ForkPoint::End).unwrap().start().await.unwrap();
    assert_eq!(values(&whole.history()), values(&session.history()));
    // In a log of its own it says that the parent had none.
    let child = kept.session().fork(&session, 0).unwrap().start().await.unwrap();
    let from = ForkedFrom { id: session.id().into(), path: None, ordinal: None };
    assert_eq!(parent_of(&store, &child).await, from);
}

#[tokio::test]
async fn a_session_that_has_ended_can_be_forked() {
    let model = ScriptedModel::new().text("one").repeat_last();
    let agent = scripted(&model).store(MemoryStore::new()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    session.shutdown().await.unwrap();
    for at in [ForkPoint::End, ForkPoint::Behind(session.log_position().unwrap())] {
        let fork = agent.session().fork(&session, at).unwrap().start().await.unwrap();
        assert_eq!(values(&fork.history()), values(&session.history()));
    }
}

const HOME: &str = "LONGHAUL_TEST_FORK_HOME";
const PARENT: &str = "LONGHAUL_TEST_FORK_PARENT";
const STEP: &str = "LONGHAUL_TEST_FORK_STEP";
const END: &str = "LONGHAUL_TEST_FORK_END";
const ENDS: [Fault; 3] = [Fault::Abort, Fault::AbortMidway, Fault::AbortAfter];

/// The process that forks and ends at a step of its disk. In the other process it does nothing.
#[tokio::test]
async fn child() {
    let Ok(home) = std::env::var(HOME) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let (failing, end) = (number(STEP), ENDS[number(END)]);
    let disk = FaultyDisk::new(move |step| if step.number == failing { end } else { Fault::None });
    let store = FileStore::new(home).disk(Arc::new(disk));
    let which = LogRef::Id(std::env::var(PARENT).unwrap());
    let agent = agent(&ScriptedModel::new(), &store);
    agent.session().fork_log(which, 1).start().await.unwrap();
}

/// Says whether it ended by itself.
fn fork_elsewhere(home: &Path, parent: &str, step: usize, end: usize) -> bool {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["fork_anywhere::child", "--exact", "--test-threads=1"]);
    process.env(HOME, home).env(PARENT, parent);
    process.env(STEP, step.to_string()).env(END, end.to_string());
    process.output().unwrap().status.success()
}

#[tokio::test]
async fn f117_an_end_in_the_middle_of_a_fork_leaves_it_whole_or_not_at_all() {
    let folder = Folder::new();
    let model = ScriptedModel::new().text("one").repeat_last();
    let store = store(&folder);
    let agent = agent(&model, &store);
    let parent = agent.session().start().await.unwrap();
    parent.prompt("a").await.unwrap().await.unwrap();
    let whole = values(&parent.history());
    parent.prompt("b").await.unwrap().await.unwrap();
    let left = std::fs::read(parent.log_path().unwrap()).unwrap();

    let (mut absent, mut there) = (0, 0);
    for end in 0..ENDS.len() {
        for step in 0.. {
            let known = sessions(&store).await;
            let is_done = fork_elsewhere(&folder.0, parent.id(), step, end);
            assert_eq!(std::fs::read(parent.log_path().unwrap()).unwrap(), left);
            let mut new = sessions(&store).await;
            new.retain(|id| !known.contains(id));
            for id in &new {
                let opened = store.open(&LogRef::Id(id.clone()), OnDamage::Refuse).await.unwrap();
                let items = opened.replay.items.iter();
                let items = items.map(|it| serde_json::from_str(it.item.json()).unwrap());
                assert_eq!(items.collect::<Vec<Value>>(), whole, "{step} {end}");
                // What is recorded behind the fork may be torn, and was not acknowledged.
                assert!(opened.replay.next_ordinal > whole.len() as u64, "{step} {end}");
            }
            if is_done {
                assert_eq!(new.len(), 1);
                break;
            }
            (absent, there) = (absent + usize::from(new.is_empty()), there + new.len());
        }
    }
    assert!(absent > 5 && there > 2, "{absent} {there}");
}

async fn sessions(store: &FileStore) -> Vec<String> {
    let page = store.list(&longhaul::rollout::Query::default().limit(1000)).await.unwrap();
    assert_eq!(page.unreadable, []);
    page.sessions.into_iter().map(|session| session.id).collect()
}
