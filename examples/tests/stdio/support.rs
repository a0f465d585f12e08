//! The program between two pipes.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul_testkit::patience::PATIENCE;
use longhaul_testkit::server::{Gate, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};

/// Where cargo has built an example: next to the folder of the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: run the tests of the whole package, which builds it",
        program.display()
    );
    program
}

/// A folder that is removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("longhaul-stdio-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A configuration for `server`, without waits worth the name.
pub(crate) fn config(server: &Server, folder: &Folder) -> Value {
    json!({"model": "test-model", "cwd": folder.0, "instructions": "Be brief.",
        "context_window": 100_000,
        "provider": {"name": "test", "base_url": server.base_url()}})
}

/// What `awaited` gives. A program that keeps a test waiting for long hangs: its test is told so, rather than
/// hang with it.
pub(crate) async fn in_time<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    let awaited = tokio::time::timeout(PATIENCE, awaited).await;
    awaited.unwrap_or_else(|_| panic!("{what} after {PATIENCE:?}"))
}

/// Waits until the server has come to a gate.
pub(crate) async fn reached(gate: &Gate) {
    in_time(&format!("the server has not reached {gate:?}"), gate.reached()).await;
}

/// The running program. It is killed when the test ends without it.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    /// A socket in place of a pipe: it can be shut down whoever else holds it, as a child of another
    /// test does between its fork and its exec.
    socket: std::os::unix::net::UnixStream,
    stdout: Lines<BufReader<UnixStream>>,
    pub(crate) session_id: String,
    /// Set where the first event said so.
    pub(crate) configured: Value,
}

impl Program {
    /// Starts it and reads its first event.
    pub(crate) async fn start(config: &Value, folder: &Folder) -> Self {
        Self::start_with(config, folder, &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn start_with(config: &Value, folder: &Folder, arguments: &[&str]) -> Self {
        let path = folder.write("agent.json", config.to_string());
        let mut command = Command::new(example("stdio"));
        command.arg("--config").arg(path).args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("OPENAI_API_KEY", "sk-openai").env("OPENAI_ORGANIZATION", " org ");
        command.env("OPENAI_PROJECT", " ");
        command.env("SHELL", "/bin/sh").env("A_KEY", "sk-canary").env("A_HEADER", "from-env");
        let (stdout, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        stdout.set_nonblocking(true).unwrap();
        command.stdin(Stdio::piped()).stdout(OwnedFd::from(theirs)).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        // It holds the other end of the socket.
        drop(command);
        let stdin = child.stdin.take();
        let socket = stdout.try_clone().unwrap();
        let stdout = UnixStream::from_std(stdout).unwrap();
        let mut program = Self {
            child,
            stdin,
            socket,
            stdout: BufReader::new(stdout).lines(),
            session_id: String::new(),
            configured: Value::Null,
        };
        let Some(configured) = program.next().await else {
            panic!("the program refuses to start: {:?}", program.exit().await);
        };
        assert_eq!(configured["msg"]["type"], "session_configured");
        program.configured = configured;
        program.session_id = text(&program.configured["msg"]["session_id"]).to_owned();
        program
    }

    pub(crate) async fn line(&mut self, line: &str) {
        self.bytes(format!("{line}\n").as_bytes()).await;
    }

    /// Writes bytes as they are.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        let writing = async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        };
        in_time("the program has not read all of its stdin", writing).await.unwrap();
    }

    pub(crate) async fn send(&mut self, id: &str, op: Value) {
        self.line(&json!({"id": id, "op": op}).to_string()).await;
    }

    pub(crate) async fn say(&mut self, id: &str, text: &str) {
        let items = json!([{"type": "text", "text": text}]);
        self.send(id, json!({"type": "user_input", "items": items})).await;
    }

    /// The next event, which is one of the protocol's.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let what = "the program says nothing more and has not ended";
        let line = in_time(what, self.stdout.next_line()).await.unwrap()?;
        let event: Value = serde_json::from_str(&line).unwrap();
        check(&event);
        Some(event)
    }

    /// The events up to and including the next of these types.
    pub(crate) async fn until_any(&mut self, kinds: &[&str]) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let event = event.unwrap_or_else(|| panic!("no {kinds:?} after {events:#?}"));
            let found = kinds.contains(&text(&event["msg"]["type"]));
            events.push(event);
            if found {
                return events;
            }
        }
    }

    /// The events up to and including the next of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Value> {
        self.until_any(&[kind]).await
    }

    /// Ends stdin.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The events that are left, the exit code, and what it said on stderr.
    pub(crate) async fn end(mut self) -> (Vec<Value>, Option<i32>, String) {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        let (code, complaints) = self.exit().await;
        (events, code, complaints)
    }

    /// The exit code, and what it said on stderr.
    pub(crate) async fn exit(mut self) -> (Option<i32>, String) {
        // Tokio closes a stdin that is still there; the program must not wait for its end.
        let _open = self.stdin.take();
        let mut complaints = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        let ending = async {
            stderr.read_to_string(&mut complaints).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = in_time("the program has not ended", ending).await;
        (status.code(), complaints)
    }

    /// Kills it, so that it can do nothing more.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Reads so many bytes of what it says, and nothing else.
    pub(crate) async fn read(&mut self, bytes: usize) {
        let mut read = vec![0; bytes];
        let reading = self.stdout.get_mut().read_exact(&mut read);
        in_time("the program has not said so much", reading).await.unwrap();
    }

    /// Sends it a signal, as `kill` calls it.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args([signal, &self.pid()]).status().unwrap().success());
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().unwrap().to_string()
    }

    /// Lets no more events through.
    pub(crate) fn close_stdout(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// Ends it in order and looks that it does.
    pub(crate) async fn shut_down(mut self) {
        self.send("bye", json!({"type": "shutdown"})).await;
        let (events, code, complaints) = self.end().await;
        let complete = json!({"id": "bye", "msg": {"type": "shutdown_complete"}});
        assert_eq!((events, code, complaints.as_str()), (vec![complete], Some(0), ""));
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string"))
}

/// Each type of event with its fields; optional ones have a question mark.
const EVENTS: &[(&str, &str)] = &[
    (
        "session_configured",
        "session_id model rollout_path? initial_messages? initial_messages_truncated?",
    ),
    ("task_started", "model_context_window?"),
    ("task_complete", "last_agent_message?"),
    ("turn_aborted", "reason"),
    ("item_started", "thread_id turn_id item"),
    ("item_completed", "thread_id turn_id item"),
    ("user_message", "message"),
    ("agent_message", "message"),
    ("agent_message_delta", "delta"),
    ("agent_reasoning_delta", "delta"),
    ("agent_reasoning", "text"),
    ("web_search_begin", "call_id"),
    ("web_search_end", "call_id query"),
    ("approval_request", "call_id name arguments"),
    ("entered_review_mode", ""),
    ("exited_review_mode", "review_output?"),
    ("undo_started", ""),
    ("undo_completed", "success message?"),
    ("tool_call_begin", "call_id name arguments"),
    ("tool_call_end", "call_id success output duration_ms"),
    ("token_count", "info? rate_limits?"),
    ("stream_error", "message attempt max_attempts delay_ms"),
    ("stream_recovered", "message attempts"),
    ("background_event", "message"),
    (
        "context_compacted",
        "trigger strategy tokens_before tokens_after kept_items? dropped_items? trimmed_items requests \
         duration_ms",
    ),
    ("history_repaired", "repairs"),
    ("error", "message code retryable request_id? phase? reason?"),
    ("shutdown_complete", ""),
];

/// Asserts that the event has just the fields that the protocol gives it.
fn check(event: &Value) {
    let keys: Vec<_> = event.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "msg"], "{event}");
    let fields = event["msg"].as_object().unwrap();
    let kind = text(&event["msg"]["type"]);
    let (_, known) =
        EVENTS.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("{event}"));
    for field in known.split_whitespace() {
        assert!(field.ends_with('?') || fields.contains_key(field), "{field}: {event}");
    }
    for field in fields.keys().filter(|field| *field != "type") {
        let is_known = known.split_whitespace().any(|known| known.trim_end_matches('?') == field);
        assert!(is_known && !fields[field].is_null(), "{field}: {event}");
    }
}

/// An event as a short line: id, type, and what it says.
pub(crate) fn short(event: &Value) -> String {
    let (id, msg) = (text(&event["id"]), &event["msg"]);
    let said = ["message", "delta", "text", "last_agent_message", "reason"]
        .iter()
        .find_map(|key| msg[key].as_str());
    let said = match text(&msg["type"]) {
        "error" => msg["code"].as_str(),
        "tool_call_begin" => msg["arguments"].as_str(),
        "tool_call_end" => msg["output"].as_str(),
        "item_started" | "item_completed" => msg["item"]["type"].as_str(),
        _ => said,
    };
    format!("{id} {} {}", text(&msg["type"]), said.unwrap_or("-"))
}

pub(crate) fn shorts(events: &[Value]) -> Vec<String> {
    events.iter().map(short).collect()
}
