//! The program `chat` over pipes: what a newcomer sees, offline and with a server.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use longhaul_testkit::patience::PATIENCE;
use longhaul_testkit::server::{Reply, Server};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Where cargo has built it: next to the folder of the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples").join("chat")
}

async fn chat(arguments: &[&str], server: Option<&Server>, said: &str) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("OPENAI_BASE_URL").env("OPENAI_API_KEY", "sk-test");
    if let Some(server) = server {
        command.env("OPENAI_BASE_URL", server.base_url());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let running = async {
        // A program that refuses its command line reads nothing.
        let _ = stdin.write_all(said.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    };
    let ended = tokio::time::timeout(PATIENCE, running).await;
    ended.unwrap_or_else(|_| panic!("the chat has not ended after {PATIENCE:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn offline_it_looks_writes_undoes_compacts_and_reviews() {
    let said = "files\nwrite\n/undo\nfiles\n/compact\n/review it\n/dance\n";
    let output = chat(&["--plain", "--yes"], None, said).await;
    let (answers, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{notes}");
    for part in ["2 done.", "35 bytes written", "A script finds nothing."] {
        assert!(answers.contains(part), "{part}: {answers}");
    }
    for part in ["-> write_file", "went back to snapshot", "compacted: ", "`/dance` is no command"]
    {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let (_, later) = notes.split_once("went back").unwrap();
    assert!(later.contains("README.md") && !later.contains("notes.md"), "{notes}");
}

#[tokio::test]
async fn without_a_yes_nothing_is_written() {
    let output = chat(&["--plain"], None, "write\nfiles\n").await;
    let notes = text(&output.stderr);
    assert!(notes.contains("-- write_file: rejected by the user: not run"), "{notes}");
    assert!(!notes.contains("notes.md\n"), "{notes}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_and_the_answer_comes() {
    let output = chat(&["--plain"], None, "break\n").await;
    assert!(text(&output.stderr).contains("reconnecting 1/5"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).ends_with("the answer was never complete.\n"));
}

#[tokio::test]
async fn t073_an_output_schema_is_sent_or_refused_before_any_request() {
    let folder = std::env::temp_dir().join(format!("longhaul-chat-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}},
        "required": ["a"], "additionalProperties": false});
    let good = path("good.json", &schema.to_string());
    let bad = path("bad.json", "{");
    let none = folder.join("none.json").display().to_string();
    let server = Server::start([Reply::text(r#"{"a":"b"}"#)]).await.unwrap();
    for (file, part) in [(&bad, "is no JSON"), (&none, "cannot be read")] {
        let output = chat(&["--plain", "--output-schema", file], Some(&server), "hi\n").await;
        assert_eq!(output.status.code(), Some(1));
        let notes = text(&output.stderr);
        assert!(notes.contains(part) && notes.contains(file.as_str()), "{notes}");
    }
    assert!(server.requests().is_empty());
    let output = chat(&["--plain", "--output-schema", &good], Some(&server), "hi\n").await;
    assert_eq!(text(&output.stdout), "{\"a\":\"b\"}\n");
    let format = server.requests()[0].json()["text"]["format"].clone();
    assert_eq!((&format["type"], &format["strict"]), (&json!("json_schema"), &json!(true)));
    assert_eq!(format["schema"], schema);
    server.assert_complete();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_failed_turn_and_a_bad_command_line_fail_the_program() {
    let refused = Reply::error(400, &json!({"error": {"message": "no", "type": "invalid"}}));
    let server = Server::start([refused]).await.unwrap();
    let output = chat(&["--plain"], Some(&server), "hi\n").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error: "), "{}", text(&output.stderr));
    let output = chat(&["--plian"], None, "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("unknown argument `--plian`; usage: "));
}
