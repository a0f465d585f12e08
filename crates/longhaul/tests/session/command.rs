//! Tools that run a program, on real processes.
//!
//! A program says that it runs, and dies visibly, through a named pipe: the test reads what it
//! writes, and the pipe's end comes when the last process that holds it is gone.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul::prelude::*;
use longhaul::tool::command::CommandTool;
use longhaul_testkit::ScriptedModel;
use serde_json::json;

use super::support::{Folder, blocking, conversation, lines, scripted};

fn sh(name: &str, script: &str) -> CommandTool {
    CommandTool::new(name, "", &["sh", "-c", script])
}

/// The outputs of `tools`, each called once in one response.
async fn outputs(folder: &Path, bytes: usize, tools: Vec<(CommandTool, &str)>) -> Vec<String> {
    let calls: Vec<_> = tools
        .iter()
        .enumerate()
        .map(|(number, (tool, arguments))| (format!("c{number}"), tool.name.clone(), *arguments))
        .collect();
    let calls = calls.iter().map(|(id, name, arguments)| (&**id, &**name, *arguments));
    let model = ScriptedModel::new().calls(calls).text("done");
    let agent = scripted(&model).cwd(folder).max_tool_output_bytes(bytes);
    let agent = tools.into_iter().fold(agent, |agent, (tool, _)| agent.tool(tool));
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let events = lines(&mut turn).await;
    let ends = events.iter().filter_map(|line| line.strip_prefix("end "));
    ends.map(|end| end.split_once(' ').unwrap().1.to_owned()).collect()
}

#[tokio::test]
async fn a_program_gets_its_arguments_and_gives_its_output() {
    let folder = Folder::new();
    let arguments = r#"{"a": "b",  "c": 1}"#;
    let seen = outputs(
        &folder.0,
        1 << 20,
        vec![
            (sh("cat", "cat"), arguments),
            (sh("deaf", "echo I do not listen"), arguments),
            (sh("where", "pwd -P"), "{}"),
            (
                sh(
                    "environment",
                    "env | cut -d= -f1 | sort | tr '\\n' ' '; echo $LONGHAUL_CALL_ID",
                ),
                "{}",
            ),
            (sh("fails", "echo so far; echo the reason >&2; exit 3"), "{}"),
            (sh("killed", "kill -9 $$"), "{}"),
            (CommandTool::new("missing", "", &["/nowhere/program"]), "{}"),
            (CommandTool::new("empty", "", &[]), "{}"),
        ],
    )
    .await;
    let place = folder.0.canonicalize().unwrap();
    assert_eq!(seen[0], format!("ok {arguments}"));
    assert_eq!(seen[1], "ok I do not listen\n");
    assert_eq!(seen[2], format!("ok {}\n", place.display()));
    let names: Vec<_> = seen[3].split_whitespace().skip(1).collect();
    // The shell adds some of its own.
    let allowed =
        ["HOME", "LANG", "TMPDIR", "PATH", "LONGHAUL_CALL_ID", "PWD", "OLDPWD", "SHLVL", "_", "c3"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert_eq!(names.last(), Some(&"c3"));
    assert_eq!(
        seen[4],
        "failed the program failed: exit status: 3\nstderr:\nthe reason\n\nstdout:\nso far\n"
    );
    assert_eq!(seen[5], "failed the program failed: signal: 9 (SIGKILL)");
    assert!(seen[6].starts_with("failed `/nowhere/program` could not be started: "), "{}", seen[6]);
    assert!(
        seen[7].starts_with("failed `` could not be started: `command` is empty"),
        "{}",
        seen[7]
    );
}

#[tokio::test]
async fn a_program_that_says_too_much_is_bounded() {
    let folder = Folder::new();
    let loud = "printf head; head -c 3000000 /dev/zero | tr '\\0' x; printf tail";
    let seen = outputs(&folder.0, 1000, vec![(sh("loud", loud), "{}")]).await;
    assert!(seen[0].starts_with("ok headx") && seen[0].ends_with("xtail"), "{}", &seen[0][..99]);
    assert!(seen[0].len() < 1200, "{}", seen[0].len());
}

/// A named pipe, which a program writes into.
struct Pipe(PathBuf);

impl Pipe {
    fn new(folder: &Folder) -> Self {
        let path = folder.0.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Self(path)
    }

    /// Waits for the first line, which the program writes when it runs.
    async fn open(&self) -> (BufReader<std::fs::File>, Vec<u32>) {
        let path = self.0.clone();
        blocking(move || {
            let mut pipe = BufReader::new(std::fs::File::open(path).unwrap());
            let mut line = String::new();
            pipe.read_line(&mut line).unwrap();
            (pipe, line.split_whitespace().map(|pid| pid.parse().unwrap()).collect())
        })
        .await
    }
}

/// Waits until no process holds the pipe.
async fn all_dead(mut pipe: BufReader<std::fs::File>) {
    let rest = blocking(move || pipe.read_to_end(&mut Vec::new()).unwrap()).await;
    assert_eq!(rest, 0);
}

/// A program with a child and a grandchild, all of which hold the pipe and never end.
const FAMILY: &str = "exec 3>pipe; sh -c 'sleep 100000 & echo $$ $! >&3; wait' & wait";

#[tokio::test]
async fn an_interrupt_kills_a_program_with_all_its_children() {
    let folder = Folder::new();
    let pipe = Pipe::new(&folder);
    let model = ScriptedModel::new().call("c1", "family", "{}").text("fine");
    let agent = scripted(&model).cwd(&folder.0).tool(sh("family", FAMILY)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let (pipe, pids) = pipe.open().await;
    assert_eq!(pids.len(), 2);
    assert!(session.interrupt());
    let events = lines(&mut turn).await;
    assert_eq!(
        events[events.len() - 2..],
        ["end c1 failed aborted: had started, effect unknown", "aborted"]
    );
    all_dead(pipe).await;
    session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history())[2],
        "output c1 aborted: had started, effect unknown"
    );
    model.assert_complete();
}

// The clock is virtual, and stands still while the pipe is awaited.
#[tokio::test(start_paused = true)]
async fn a_timeout_kills_a_program_with_all_its_children() {
    let folder = Folder::new();
    let pipe = Pipe::new(&folder);
    let mut family = sh("family", FAMILY);
    family.timeout_ms = Some(2_000);
    let model = ScriptedModel::new().call("c1", "family", "{}").text("fine");
    let agent = scripted(&model).cwd(&folder.0).tool(family).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    let (pipe, _) = pipe.open().await;
    turn.await.unwrap();
    all_dead(pipe).await;
    assert_eq!(
        conversation(&session.history())[2],
        "output c1 the tool was stopped after 2000 ms; its effect is unknown"
    );
}

#[tokio::test]
async fn children_that_a_program_leaves_behind_do_not_outlive_its_call() {
    let folder = Folder::new();
    let pipe = Pipe::new(&folder);
    let model = ScriptedModel::new().call("c1", "leaves", "{}").text("fine");
    // The child holds stdout too.
    let leaves = sh("leaves", "exec 3>pipe; sleep 100000 & echo $! >&3; echo gone");
    let agent = scripted(&model).cwd(&folder.0).tool(leaves).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    let (pipe, _) = pipe.open().await;
    turn.await.unwrap();
    all_dead(pipe).await;
    assert_eq!(conversation(&session.history())[2], "output c1 gone\n");
}

#[test]
fn the_end_of_the_runtime_kills_a_program() {
    let folder = Folder::new();
    let pipe = Pipe::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let model = ScriptedModel::new().call("c1", "family", "{}");
    let pipe = runtime.block_on(async {
        let agent = scripted(&model).cwd(&folder.0).tool(sh("family", FAMILY)).build().unwrap();
        let session = agent.session().start().await.unwrap();
        let _turn = session.prompt("go").await.unwrap();
        pipe.open().await.0
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(all_dead(pipe));
}

#[tokio::test]
async fn programs_that_only_look_run_together() {
    let folder = Folder::new();
    let pipe = Pipe::new(&folder);
    // Each waits for the other: one opens the pipe to write, the other to read.
    let mut writer = sh("writer", "echo hello > pipe");
    let mut reader = sh("reader", "cat pipe");
    (writer.parallel, reader.parallel) = (true, true);
    let seen = outputs(&folder.0, 1 << 20, vec![(writer, "{}"), (reader, "{}")]).await;
    assert_eq!(seen, ["ok ", "ok hello\n"]);
    drop(pipe);
}

#[test]
fn a_command_tool_is_read_from_a_configuration() {
    let tool: CommandTool =
        serde_json::from_value(json!({"name": "ls", "command": ["ls"]})).unwrap();
    assert_eq!(tool, CommandTool::new("ls", "", &["ls"]));
    let tool: Arc<dyn Tool> = Arc::new(tool);
    assert_eq!(tool.effect(), longhaul::tool::Effect::Write);
}
