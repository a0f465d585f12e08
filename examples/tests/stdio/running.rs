//! How the program ends, and what it leaves behind.

use std::io::{BufRead, BufReader, Read};

use longhaul_testkit::patience;
use longhaul_testkit::server::{Gate, Reply, ReplyOutcome, Server};
use serde_json::json;

use crate::support::{Folder, Program, config, in_time, reached, shorts, text};

#[tokio::test]
async fn the_end_of_stdin_is_a_shutdown() {
    let gate = Gate::new("silent");
    let server = Server::start([Reply::sse().gate(&gate)]).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "go").await;
    reached(&gate).await;
    program.close_stdin();
    let (events, code, complaints) = program.end().await;
    let shown = shorts(&events);
    assert_eq!(shown[shown.len() - 2..], ["1 turn_aborted interrupted", " shutdown_complete -"]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let outcome = in_time("the reply has not ended", server.wait_until_reply_ended(0)).await;
    assert!(matches!(outcome, ReplyOutcome::ClientClosed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_shutdown_aborts_what_runs_and_waits_for_no_end_of_stdin() {
    let gate = Gate::new("silent");
    let server = Server::start([Reply::sse().gate(&gate)]).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "go").await;
    reached(&gate).await;
    program.send("2", json!({"type": "shutdown"})).await;
    let (events, code, complaints) = program.end().await;
    let shown = shorts(&events);
    assert_eq!(shown[shown.len() - 2..], ["1 turn_aborted interrupted", "2 shutdown_complete -"]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_last_line_without_an_end_counts() {
    let server = Server::start([Reply::text("fine")]).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.bytes(br#"{"id":"1","op":{"type":"shutdown"}}"#).await;
    program.close_stdin();
    let (events, code, _) = program.end().await;
    assert_eq!((shorts(&events), code), (vec!["1 shutdown_complete -".to_owned()], Some(0)));
}

#[tokio::test]
async fn f119_a_signal_ends_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let gate = Gate::new("silent");
        let server = Server::start([Reply::sse().gate(&gate)]).await.unwrap();
        let folder = Folder::new();
        let mut program = Program::start(&config(&server, &folder), &folder).await;
        program.say("1", "go").await;
        reached(&gate).await;
        program.signal(signal);
        let (events, code, complaints) = program.end().await;
        let shown = shorts(&events);
        assert_eq!(
            shown[shown.len() - 2..],
            ["1 turn_aborted interrupted", " shutdown_complete -"]
        );
        assert_eq!((code, complaints.as_str()), (Some(0), ""));
    }
}

#[tokio::test]
async fn f119_a_second_signal_ends_it_at_once() {
    let gate = Gate::new("silent");
    // More than a socket holds: nobody reads what it says.
    let long = json!({"type": "response.output_text.delta", "delta": "x".repeat(1 << 20)});
    let server = Server::start([Reply::sse().event(&long).gate(&gate)]).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "go").await;
    // In the middle of its long line, and the rest of that has no room.
    program.read(1 << 19).await;
    program.signal("-TERM");
    in_time("the connection is open", server.connection_closed(0)).await;
    program.signal("-INT");
    let (code, complaints) = program.exit().await;
    assert_eq!(code, Some(1));
    assert_eq!(complaints, "stdio: a second signal came: ended at once\n");
}

#[tokio::test]
async fn without_a_stdout_it_ends_and_says_why() {
    let server = Server::start([Reply::text("fine")]).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.close_stdout();
    program.say("1", "go").await;
    let (code, complaints) = program.exit().await;
    assert_eq!(code, Some(1));
    assert!(complaints.starts_with("stdio: stdout: "), "{complaints}");
    assert_eq!(complaints.lines().count(), 1);
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(|| patience::in_time(work)).await.unwrap().unwrap()
}

/// Reads the pipe's first line: the process ids of a family that holds it.
async fn family(pipe: std::path::PathBuf) -> (BufReader<std::fs::File>, Vec<u32>) {
    blocking(move || {
        let mut pipe = BufReader::new(std::fs::File::open(pipe).unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        let pids = line.split_whitespace().map(|pid| pid.parse().unwrap());
        let pids = pids.collect();
        (pipe, pids)
    })
    .await
}

/// Waits until nobody holds the pipe, and looks that the processes are gone or at least dead.
async fn all_dead(mut pipe: BufReader<std::fs::File>, pids: Vec<u32>) {
    let rest = blocking(move || pipe.read_to_end(&mut Vec::new()).unwrap()).await;
    assert_eq!(rest, 0);
    for pid in pids {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // The pipe closes in the middle of a process's death.
        let name = stat.split(['(', ')']).nth(1).unwrap();
        assert!(name == "sh" || name == "sleep", "{pid} was used again: {stat}");
    }
}

/// Interrupts, or ends stdin, while a program with a child and a grandchild runs.
async fn with_a_family(shutdown: bool) {
    let server =
        Server::start([Reply::calls([("c1", "family", "{}")]), Reply::text("fine")]).await.unwrap();
    let folder = Folder::new();
    let pipe = folder.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = "exec 3>pipe; sh -c 'sleep 100000 & echo $PPID $$ $! >&3; wait' & wait";
    let mut settings = config(&server, &folder);
    settings["tools"] = json!([{"name": "family", "description": "",
        "parameters": {"type": "object"}, "command": ["sh", "-c", script]}]);
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "go").await;
    let (pipe, pids) = family(pipe).await;
    assert_eq!(pids.len(), 3);
    if shutdown {
        program.close_stdin();
    } else {
        program.send("2", json!({"type": "interrupt"})).await;
    }
    let events = program.until("turn_aborted").await;
    let end = &events[events.len() - 2]["msg"];
    assert_eq!(text(&end["output"]), "aborted: had started, effect unknown");
    all_dead(pipe, pids).await;
    if shutdown {
        assert_eq!(program.end().await.1, Some(0));
        return;
    }
    program.say("3", "next").await;
    program.until("task_complete").await;
    program.shut_down().await;
    server.assert_complete();
}

#[tokio::test]
async fn an_interrupt_kills_a_tool_with_all_its_children() {
    with_a_family(false).await;
}

#[tokio::test]
async fn a_shutdown_kills_a_tool_with_all_its_children() {
    with_a_family(true).await;
}
