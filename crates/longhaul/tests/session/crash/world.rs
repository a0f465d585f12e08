//! A folder with a store and the notes beside it, and agents that note what they do.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longhaul::AgentBuilder;
use longhaul::approval::Approvals;
use longhaul::history::History;
use longhaul::prelude::*;
use longhaul::rollout::{Disk, FileStore};
use longhaul::tool::{ToolCall, ToolSpec};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::check::log::{Ack, Note};
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::Value;
use tokio::sync::Notify;

use super::disk::{Tracked, lose_power, write_apart};
use crate::support::{Probe, scripted};

/// The tools that only read.
pub(super) const READING: [&str; 3] = ["look", "big", "slow"];

/// What a long output says: longer than what a log holds itself.
fn long() -> String {
    "0123456789".repeat(7_000)
}

/// One process's view of the folder. Clones share it.
#[derive(Clone)]
pub(super) struct World {
    root: Arc<Path>,
    notes: Arc<Mutex<File>>,
    pub(super) disk: Tracked,
    /// The session at work: its id and its log.
    session: Arc<Mutex<(String, PathBuf)>>,
    /// Some tools wait, as they do in the script.
    pub(super) waits: bool,
    /// Lets the slow tool end.
    pub(super) gate: Arc<Notify>,
    /// Called by name at each step that is not one of the disk.
    hook: Arc<dyn Fn(&str) + Send + Sync>,
}

impl World {
    /// Begins a process in the folder `root`. Its tools wait if `waits`.
    pub(super) fn begin(root: &Path, disk: Option<Arc<dyn Disk>>, waits: bool) -> Self {
        let notes = OpenOptions::new().append(true).create(true).open(root.join("notes")).unwrap();
        let world = Self {
            root: root.into(),
            notes: Arc::new(Mutex::new(notes)),
            disk: Tracked::new(disk, &root.join("durable")),
            session: Arc::default(),
            waits,
            gate: Arc::default(),
            hook: Arc::new(|_| ()),
        };
        world.note(&Note::Run);
        world
    }

    /// Calls `hook` with the name of each step, before it is noted.
    pub(super) fn hooked(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.hook = Arc::new(hook);
        self
    }

    /// The step of this name is there.
    pub(super) fn step(&self, name: &str) {
        (self.hook)(name);
    }

    pub(super) fn note(&self, note: &Note) {
        let line = format!("{}\n", serde_json::to_string(note).unwrap());
        write_apart(&mut self.notes.lock().unwrap(), &line);
    }

    pub(super) fn acked(&self, ack: Ack) {
        let session = self.session().0;
        self.note(&Note::Acked { session, ack });
    }

    /// From now on this session is at work.
    pub(super) fn enter(&self, session: &Session) {
        let log = session.log_path().unwrap().to_owned();
        *self.session.lock().unwrap() = (session.id().to_owned(), log);
    }

    /// The session at work, and how much of its log is durable.
    pub(super) fn session(&self) -> (String, u64) {
        let (session, log) = self.session.lock().unwrap().clone();
        (session, self.disk.durable(&log))
    }

    pub(super) fn rests(&self, session: &Session) {
        let (id, durable) = self.session();
        let items = items(&session.history());
        self.note(&Note::Rests { session: id, items, durable });
    }

    pub(super) fn agent(&self) -> Agent {
        self.builder().build().unwrap()
    }

    pub(super) fn builder(&self) -> AgentBuilder {
        let world = self.clone();
        let model = ScriptedModel::new()
            .respond_with(move |request| {
                world.request(request);
                respond(request)
            })
            .repeat_last();
        let store = FileStore::new(self.root.join("home")).disk(Arc::new(self.disk.clone()));
        let agent = scripted(&model).store(store).approvals(Approvals::answered());
        let agent = agent.max_tool_output_bytes(1 << 20).cwd("/0");
        let agent = READING.iter().fold(agent, |agent, name| agent.tool(self.tool(name)));
        let agent = agent.tool(self.tool("change").write()).tool(self.tool("endless").write());
        agent.tool(self.tool("risky").write().asks()).tool(Once(self.tool("once")))
    }

    fn request(&self, request: &Recorded) {
        self.step("request");
        let (session, durable) = self.session();
        let outputs = request.input().into_iter();
        let outputs = outputs.filter(|item| item["type"] == "function_call_output");
        let outputs = outputs.map(|item| item["call_id"].as_str().unwrap().to_owned()).collect();
        self.note(&Note::Request { session, outputs, durable });
    }

    fn tool(&self, name: &'static str) -> Probe {
        let world = self.clone();
        Probe::new(name, move |call, _| {
            let world = world.clone();
            async move {
                let nonce = world.start(&call);
                match name {
                    "endless" if world.waits => std::future::pending().await,
                    "slow" if world.waits => world.gate.notified().await,
                    _ => {}
                }
                world.end(&call, nonce);
                let said = format!("{} by {}", call.arguments, call.call_id);
                ToolOutput::text(if name == "big" { long() } else { said })
            }
        })
    }

    fn start(&self, call: &ToolCall) -> u64 {
        static NONCE: AtomicU64 = AtomicU64::new(0);
        let number = NONCE.fetch_add(1, Ordering::Relaxed);
        let nonce = u64::from(std::process::id()) << 32 | number;
        let (session, durable) = self.session();
        let (call_id, tool) = (call.call_id.clone(), call.name.clone());
        self.note(&Note::Start { session, call_id, tool, nonce, durable });
        self.step("tool started");
        nonce
    }

    fn end(&self, call: &ToolCall, nonce: u64) {
        let (session, durable) = self.session();
        self.note(&Note::End { session, call_id: call.call_id.clone(), nonce, durable });
        self.step("tool done");
    }
}

/// A tool whose calls run beside each other, and never again.
struct Once(Probe);

#[async_trait]
impl Tool for Once {
    fn spec(&self) -> ToolSpec {
        self.0.spec()
    }

    fn parallel(&self) -> bool {
        true
    }

    fn may_run_again(&self) -> bool {
        false
    }

    async fn call(&self, call: ToolCall, context: ToolContext) -> ToolOutput {
        self.0.call(call, context).await
    }
}

/// The conversation's items as they are.
pub(super) fn items(history: &History) -> Vec<Value> {
    history.iter().map(|item| serde_json::from_str(item.json()).unwrap()).collect()
}

/// `p3: look change` is answered by calls of these tools, and then by a text.
fn respond(request: &Recorded) -> Answer {
    if request.body["tool_choice"] == "none" {
        return Answer::from(ResponseBuilder::new().text("SUMMARY"));
    }
    let input = request.input();
    let prompts = input.iter().filter(|item| item["role"] == "user");
    let prompts = prompts.filter_map(|item| item["content"][0]["text"].as_str());
    let prompt = prompts.filter_map(|text| text.strip_prefix('p')?.split_once(": ")).next_back();
    let Some((number, tools)) = prompt else {
        return Answer::from(ResponseBuilder::new().text("nothing was asked"));
    };
    let is_call = |item: &Value| {
        let id = item["call_id"].as_str().unwrap_or_default();
        id.strip_prefix('c').is_some_and(|id| id.starts_with(&format!("{number}_")))
    };
    let response = ResponseBuilder::new();
    if input.iter().any(is_call) {
        // It may be asked again, and never says the same.
        let said = input.iter().filter(|item| item["role"] == "assistant").count();
        return Answer::from(response.text(format!("p{number} is done, {said}")));
    }
    let mut calls = tools.split_whitespace().enumerate().peekable();
    if calls.peek().is_none() {
        let said = input.iter().filter(|item| item["role"] == "assistant").count();
        return Answer::from(response.text(format!("p{number} is answered, {said}")));
    }
    let response = calls.fold(response, |response, (n, name)| {
        response.call(&format!("c{number}_{n}"), name, format!("{{\"n\":{n}}}"))
    });
    Answer::from(response)
}

/// A folder that is deleted with everything in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("crash-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn lose_power(&self) {
        lose_power(&self.0.join("durable"));
    }

    /// All that was noted.
    pub(super) fn notes(&self) -> Vec<Note> {
        let text = fs::read_to_string(self.0.join("notes")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Notes it as another process did.
    pub(super) fn note(&self, note: &Note) {
        let mut file =
            OpenOptions::new().append(true).create(true).open(self.0.join("notes")).unwrap();
        write_apart(&mut file, &format!("{}\n", serde_json::to_string(note).unwrap()));
    }

    /// Copies those files of the store that `bytes` gives something for.
    pub(super) fn copy_to(&self, other: &Self, bytes: impl Fn(&Path) -> Option<Vec<u8>>) {
        for path in self.files("", "") {
            let copy = other.0.join(path.strip_prefix(&self.0).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            if let Some(bytes) = bytes(&path) {
                fs::write(copy, bytes).unwrap();
            }
        }
    }

    /// Files of the store below `folder` whose names end so.
    pub(super) fn files(&self, folder: &str, end: &str) -> Vec<PathBuf> {
        let (mut files, mut open) = (Vec::new(), vec![self.0.join("home").join(folder)]);
        while let Some(folder) = open.pop() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    open.push(path);
                } else if path.to_str().unwrap().ends_with(end) {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
