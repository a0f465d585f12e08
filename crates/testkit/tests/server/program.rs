//! The server as a process of its own.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use longhaul_testkit::patience::{self, Lines, PATIENCE};
use serde_json::{Value, json};

use super::{EMPTY, post};

fn program(script: &str, name: &str) -> (Child, std::path::PathBuf) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (script_file, log) =
        (folder.join(format!("{name}.json")), folder.join(format!("{name}.jsonl")));
    std::fs::write(&script_file, script).unwrap();
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul-testkit-server"));
    command.arg("--script").arg(script_file).arg("--log").arg(&log);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command.spawn().unwrap(), log)
}

fn ended(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = patience::ended(child).unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_program_serves_a_script_and_logs_requests() {
    let script = r#"{"replies": [{"calls": [{"call_id": "c", "name": "f", "arguments": "{}"}],
        "headers": {"connection": "close"}, "splits": [1], "pause_ms": 1}, {"text": "unused"}]}"#;
    let (mut child, log) = program(script, "serves");
    let line = Lines::of(child.stdout.take().unwrap()).hear().unwrap().unwrap();
    let addr = line.strip_prefix("listening on http://").unwrap().strip_suffix("/v1").unwrap();
    let mut client = std::net::TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = post(EMPTY).replacen("\r\n", "\r\nauthorization: Bearer secret\r\n", 1);
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("\r\n1\r\ne\r\n") && answer.contains(r#""arguments":"{}""#),
        "{answer}"
    );

    let line = std::fs::read_to_string(log).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        json!({"order": 0, "connection": 0, "method": "POST", "target": "/v1/responses",
            "headers": [["authorization", "[13 bytes]"], ["Content-Length", "12"]], "body": {"input": []}})
    );
    assert_eq!(ended(child), (Some(1), "1 of 2 scripted replies were not used.\n".into()));
}

#[test]
fn the_program_refuses_a_bad_script_in_one_sentence() {
    let bad = [
        (r#"{"replys": []}"#, "unknown field `replys`"),
        (
            r#"{"replies": [{"text": "a", "raw": "b"}]}"#,
            "replies[0] has more than one body: text, raw",
        ),
        (
            r#"{"replies": [{"cut": {"kind": "fin"}, "keep_open": true}]}"#,
            "replies[0] has both cut and keep_open",
        ),
        (r#"{"replies": [{"cut": {"kind": "axe"}}]}"#, "unknown variant `axe`"),
    ];
    for (script, why) in bad {
        let (code, stderr) = ended(program(script, "bad").0);
        assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
