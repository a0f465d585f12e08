//! What is left of a start that failed, or that nobody waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::task::Poll;

use async_trait::async_trait;
use longhaul::approval::Approvals;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, OnDamage, Query, Store};
use longhaul::state::protocol::{ApprovalPolicy, SettingsUpdate};
use longhaul::tool::{ToolCall, ToolContext, ToolForm, ToolOutput, ToolSpec};
use longhaul::transport::Provider;
use longhaul::{BuildError, ForkPoint, Resumed, SessionBuilder};
use longhaul_testkit::ScriptedModel;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::support::{Folder, Probe, conversation, scripted};

/// What the last writer of a log left at its end.
const TORN: &[u8] = b"{\"timestamp\":\"2026";

/// The ways in which a session begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    New,
    Resumed,
    Torn,
    Salvaged,
    Forked,
    ForkedBehind,
    ForkedOpen,
    Imported,
}

impl Way {
    /// A log comes of it.
    fn begins(self) -> bool {
        !matches!(self, Self::Resumed | Self::Torn | Self::Salvaged)
    }
}

const WAYS: [Way; 8] = [
    Way::New,
    Way::Resumed,
    Way::Torn,
    Way::Salvaged,
    Way::Forked,
    Way::ForkedBehind,
    Way::ForkedOpen,
    Way::Imported,
];

/// A store with the log of one session, under which all calls are asked about.
struct Home {
    way: Way,
    folder: Folder,
    log: PathBuf,
    foreign: PathBuf,
    session: Option<Session>,
}

impl Home {
    async fn new(way: Way) -> Self {
        let folder = Folder::new();
        let model = ScriptedModel::new().text("one").text("two");
        let agent = scripted(&model).approvals(Approvals::answered()).store(store(&folder));
        let agent = agent.approval_policy(ApprovalPolicy::Always).build().unwrap();
        let session = agent.session().start().await.unwrap();
        for prompt in ["a", "b"] {
            session.prompt(prompt).await.unwrap().await.unwrap();
        }
        let log = session.log_path().unwrap().to_owned();
        let foreign = folder.0.join("foreign.jsonl");
        fs::write(&foreign, session.export().await.unwrap()).unwrap();
        let mut session = Some(session);
        if way != Way::ForkedOpen {
            session.take().unwrap().shutdown().await.unwrap();
        }
        let bytes = fs::read(&log).unwrap();
        match way {
            Way::Imported => fs::remove_dir_all(folder.0.join("sessions")).unwrap(),
            Way::Torn => fs::write(&log, [&*bytes, TORN].concat()).unwrap(),
            Way::Salvaged => {
                let text = String::from_utf8(bytes).unwrap();
                fs::write(&log, text.replace("\"one\"", "\"One\"")).unwrap();
            }
            _ => {}
        }
        Self { way, folder, log, foreign, session }
    }

    /// As another program opens it, where nobody answers and a tool is there to be asked about.
    fn agent(&self) -> Agent {
        let mut provider = Provider::custom("http://127.0.0.1:9/v1").unwrap();
        provider.features.custom_tools = false;
        let agent = longhaul::Agent::builder("test-model", provider).store(store(&self.folder));
        agent.tool(Probe::echo("look")).build().unwrap()
    }

    fn start(&self) -> SessionBuilder {
        let (new, log) = (self.agent().session(), LogRef::Path(self.log.clone()));
        match self.way {
            Way::New => new,
            Way::Resumed | Way::Torn => new.resume(log, OnDamage::Refuse),
            Way::Salvaged => new.resume(log, OnDamage::Salvage),
            Way::Forked => new.fork_log(log, 1),
            Way::ForkedBehind => new.fork_log(log, ForkPoint::Behind(6)),
            Way::ForkedOpen => new.fork(self.session.as_ref().unwrap(), 1).unwrap(),
            Way::Imported => new.import(&*self.foreign, OnDamage::Refuse),
        }
    }

    /// What a session has that began in this way.
    fn conversation(&self) -> &[&str] {
        match self.way {
            Way::New => &[],
            Way::Salvaged => &["user a", "user b", "assistant two"],
            Way::Forked | Way::ForkedBehind | Way::ForkedOpen => &["user a", "assistant one"],
            Way::Resumed | Way::Torn | Way::Imported => {
                &["user a", "assistant one", "user b", "assistant two"]
            }
        }
    }

    /// What a session is told that goes on with its log, and that nothing of it is gone.
    fn check_found(&self, resumed: &Resumed) {
        let torn = if self.way == Way::Torn { TORN } else { b"" };
        assert_eq!(resumed.torn_bytes, torn.len() as u64, "{:?}", self.way);
        let set_aside = resumed.set_aside.as_ref().map(|path| fs::read(path).unwrap());
        assert_eq!(set_aside.as_deref().unwrap_or_default(), torn, "{:?}", self.way);
        let from = (self.way == Way::Salvaged).then_some(&self.log);
        let found = (resumed.salvaged_from.as_ref(), resumed.damage.len());
        assert_eq!(found, (from, from.into_iter().count()), "{:?}", self.way);
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files(&self.folder.0)
    }

    /// The logs that the store lists.
    async fn logs(&self) -> Vec<PathBuf> {
        let page = store(&self.folder).list(&Query::default()).await.unwrap();
        assert!(page.unreadable.is_empty(), "{page:?}");
        page.sessions.into_iter().filter_map(|session| session.path).collect()
    }
}

fn store(folder: &Folder) -> FileStore {
    FileStore::new(&folder.0)
}

/// All files in a folder, with their bytes, and all folders.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
            files.push((path, Vec::new()));
        } else {
            files.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

fn changed(change: impl FnOnce(&mut SettingsUpdate)) -> SettingsUpdate {
    let mut settings = SettingsUpdate::default();
    change(&mut settings);
    settings
}

/// Settings under which no call is asked about.
fn good() -> SettingsUpdate {
    changed(|settings| settings.approval_policy = Some(ApprovalPolicy::Never))
}

/// A tool whose specification is this.
struct Given(ToolSpec);

#[async_trait]
impl Tool for Given {
    fn spec(&self) -> ToolSpec {
        self.0.clone()
    }

    async fn call(&self, _: ToolCall, _: ToolContext) -> ToolOutput {
        ToolOutput::text("")
    }
}

fn function(name: &str, parameters: Value) -> Given {
    Given(ToolSpec::function(name, "", parameters))
}

/// A tool to whose schema no strict server holds a model.
fn strict() -> Given {
    let tuple = json!({"type": "object", "properties": {"a": {"prefixItems": []}}});
    let Given(mut spec) = function("f", tuple);
    if let ToolForm::Function { strict, .. } = &mut spec.form {
        *strict = true;
    }
    Given(spec)
}

type Bad = fn(SessionBuilder) -> SessionBuilder;

/// What a session cannot be started with, and a part of what it is told.
const BAD: [(Bad, &str); 9] = [
    (|it| it.settings(changed(|it| it.model = Some(" ".into()))), "`model` is empty"),
    (|it| it.settings(changed(|it| it.cwd = Some("x".into()))), "`cwd` is relative: `x`"),
    (
        |it| it.settings(changed(|it| it.approval_policy = Some(ApprovalPolicy::Always))),
        "tool `look` may ask",
    ),
    (|it| it.tool(Probe::echo("look")), "two tools are called `look`"),
    (|it| it.tool(Probe::echo("no name")), "tool name `no name`"),
    (|it| it.tool(function("f", json!({"type": "string"}))), "tool `f`: its parameters"),
    (|it| it.tool(strict()), "tool `f` cannot be strict"),
    (|it| it.tool(Probe::echo("patch").custom()), "tool `patch` takes free text"),
    (
        |it| {
            let asks = Probe::echo("asks").asks();
            let policy = Some(ApprovalPolicy::OnRequest);
            it.tool(asks).settings(changed(|it| it.approval_policy = policy))
        },
        "tool `asks` may ask",
    ),
];

#[tokio::test]
async fn a_start_that_fails_leaves_the_store_as_it_was_and_the_next_one_succeeds() {
    for way in WAYS {
        let home = Home::new(way).await;
        let (left, logs) = (home.files(), home.logs().await);
        for (bad, expected) in BAD {
            let error = bad(home.start().settings(good())).start().await.err();
            let told = error.as_ref().map(ToString::to_string).unwrap_or_default();
            assert!(told.contains(expected), "{way:?}, {expected}: {told}");
            assert_eq!(home.files(), left, "{way:?}, {expected}");
        }
        if way != Way::New {
            // The settings of its log say that all calls are asked about.
            let error = home.start().start().await.err();
            assert_eq!(error, Some(BuildError::NobodyApproves("look".into())), "{way:?}");
            assert_eq!(home.files(), left, "{way:?}");
        }
        let session = home.start().settings(good()).start().await.unwrap();
        assert_eq!(conversation(&session.history()), home.conversation(), "{way:?}");
        assert_eq!(session.resumed().is_some(), !way.begins(), "{way:?}");
        if let Some(resumed) = session.resumed() {
            home.check_found(resumed);
        }
        session.shutdown().await.unwrap();
        assert_eq!(home.logs().await.len(), logs.len() + usize::from(way.begins()), "{way:?}");
    }
}

/// The path that it had before names it as well.
#[tokio::test]
async fn a_salvaged_log_is_forked_and_opened_by_the_path_that_it_had() {
    let home = Home::new(Way::Salvaged).await;
    let session = home.start().settings(good()).start().await.unwrap();
    let next = session.log_path().unwrap().to_owned();
    session.shutdown().await.unwrap();
    for path in [&home.log, &next] {
        let fork = home.agent().session().fork_log(&**path, ForkPoint::End).settings(good());
        let fork = fork.start().await.unwrap();
        assert_eq!(conversation(&fork.history()), home.conversation());
        fork.shutdown().await.unwrap();
        let session = home.agent().session().resume(LogRef::from(&**path), OnDamage::Refuse);
        let session = session.settings(good()).start().await.unwrap();
        assert_eq!(session.log_path(), Some(&*next));
        assert_eq!(conversation(&session.history()), home.conversation());
        session.shutdown().await.unwrap();
    }
}

/// Polls a future so often, each time when it was woken, and drops it; gives what it gave, if it did.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut future, mut polled) = (Box::pin(future), 0);
    std::future::poll_fn(move |context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_start_that_is_given_up_after_any_poll_leaves_nothing_or_a_whole_log() {
    for way in WAYS {
        for polls in 1.. {
            let first = runtime();
            let mut home = first.block_on(Home::new(way));
            let left = home.files();
            let is_started = first.block_on(async {
                let started = dropped_after(polls, home.start().settings(good()).start()).await;
                started.map(Result::unwrap).is_some()
            });
            // Ends when whatever is under way in its threads has ended.
            home.session.take();
            drop(first);
            runtime().block_on(check_left(&home, &left, &format!("{way:?}, {polls} polls")));
            if is_started {
                assert!(polls > 1, "{way:?}");
                break;
            }
        }
    }
}

/// What a start has left that was given up: `left` was there before.
async fn check_left(home: &Home, left: &[(PathBuf, Vec<u8>)], place: &str) {
    let files = home.files();
    let is_lasting = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_dir() || matches!(ending, Some("jsonl" | "torn-2"))
    };
    assert!(files.iter().all(|(path, _)| is_lasting(path)), "{place}: {files:?}");
    for (path, bytes) in left.iter().filter(|(path, _)| is_lasting(path)) {
        let is_own = *path == home.log && matches!(home.way, Way::Resumed | Way::Torn);
        let now = files.iter().find(|(other, _)| other == path);
        assert!(is_own || now.is_some_and(|(_, now)| now == bytes), "{place}: {}", path.display());
    }
    if home.way == Way::Torn {
        assert!(files.iter().any(|(_, bytes)| bytes.ends_with(TORN)), "{place}");
    }
    let begun: Vec<PathBuf> = { home.logs().await }
        .into_iter()
        .filter(|log| !left.iter().any(|(path, _)| path == log) || *log == home.log)
        .collect();
    for log in begun {
        let is_parent = log == home.log && !matches!(home.way, Way::Resumed | Way::Torn);
        let which = LogRef::Path(log);
        let again = home.agent().session().resume(which, OnDamage::Refuse).settings(good());
        let session = match again.start().await {
            Err(_) if is_parent && home.way == Way::Salvaged => continue,
            started => started.unwrap(),
        };
        if !is_parent {
            assert_eq!(conversation(&session.history()), home.conversation(), "{place}");
        }
        session.shutdown().await.unwrap();
    }
    if home.way == Way::ForkedOpen {
        return;
    }
    // What was given up is done again.
    match home.start().settings(good()).start().await {
        Err(BuildError::AlreadyImported { log }) => {
            assert_eq!(home.logs().await, [PathBuf::from(log)], "{place}");
        }
        started => {
            let session = started.unwrap();
            assert_eq!(conversation(&session.history()), home.conversation(), "{place}");
            session.shutdown().await.unwrap();
        }
    }
}
