//! What the program does not take, and how it says so.

use std::process::{Command, Output};

use longhaul_testkit::patience;
use longhaul_testkit::server::{Reply, Script, Server};
use serde_json::{Value, json};

use crate::support::{Folder, Program, config, example, shorts, text};

pub(crate) fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(example("stdio"));
    patience::output(command.args(arguments).env_clear()).unwrap()
}

/// Asserts that the program refuses, in one line that holds all of `parts`.
pub(crate) fn refused(output: &Output, parts: &[&str]) {
    let complaint = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("stdio: ") && complaint.ends_with('\n'), "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{complaint:?} lacks {part:?}");
    }
}

#[test]
fn a_bad_command_line_is_refused() {
    let table: &[(&[&str], &[&str])] = &[
        (&[], &["`--config` is missing", "usage: "]),
        (&["--config"], &["`--config` needs a value"]),
        (&["--help"], &["unknown argument `--help`", "usage: "]),
        (&["agent.json"], &["unknown argument `agent.json`"]),
        (&["two\nlines"], &["unknown argument"]),
        (&["--config", "/nowhere/agent.json"], &["/nowhere/agent.json", "cannot be read"]),
        (&["--config", "/"], &["`/` cannot be read"]),
        (&["--config", "x", "--config", "y"], &["`--config` is there twice"]),
        (&["--config", "x", "--resume"], &["`--resume` needs a value"]),
        (&["--config", "x", "--fork", "y"], &["do not go together", "usage: "]),
        (&["--config", "x", "--resume", "y", "--before", "1"], &["do not go together"]),
        (&["--config", "x", "--fork", "y", "--before", "-1"], &["`--before` is no number: `-1`"]),
    ];
    for (arguments, parts) in table {
        refused(&run(arguments), parts);
    }
}

#[test]
fn a_bad_configuration_is_refused_by_the_name_of_its_key() {
    let folder = Folder::new();
    let good =
        || json!({"model": "m", "provider": {"name": "test", "base_url": "http://127.0.0.1:1/v1"}});
    let tool = json!({"name": "ls", "description": "", "parameters": {"type": "object"}, "command": ["ls"]});
    let with = |pointer: &str, value: Value| {
        let mut config = good();
        config["tools"] = json!([tool]);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = match parent {
            "/provider/timeouts_ms" => {
                config["provider"]["timeouts_ms"] = json!({});
                &mut config["provider"]["timeouts_ms"]
            }
            parent => config.pointer_mut(parent).unwrap(),
        };
        parent[key] = value;
        config.to_string()
    };
    let table: Vec<(String, &[&str])> = vec![
        (String::new(), &["must be one JSON object"]),
        ("{".into(), &["EOF", "line 1 column 1"]),
        ("no json".into(), &["must be one JSON object"]),
        ("[]".into(), &["must be one JSON object"]),
        (format!("{} x", good()), &["trailing characters"]),
        (json!({"provider": {}}).to_string(), &["missing field `model`"]),
        (with("/model", json!("")), &["`model` is empty"]),
        (with("/model", json!(7)), &["`model`", "invalid type"]),
        (with("/modle", json!("m")), &["unknown field `modle`"]),
        (with("/provider/url", json!("x")), &["`provider.url`", "unknown field `url`"]),
        (with("/provider/timeouts_ms/x", json!(1)), &["`provider.timeouts_ms.x`", "unknown field"]),
        (with("/provider/timeouts_ms/idle", json!(-1)), &["`provider.timeouts_ms.idle`"]),
        (with("/tools/0/x", json!(1)), &["`tools[0].x`", "unknown field `x`"]),
        (with("/tools/0/command", json!("ls")), &["`tools[0].command`"]),
        (with("/tools/0/name", json!("l s")), &["tool name `l s`"]),
        (with("/tools/0/parameters", json!([])), &["tool `ls`", "object"]),
        (with("/approval_policy", json!("sometimes")), &["`approval_policy`", "`sometimes`"]),
        (with("/tools", json!([tool, tool])), &["two tools", "`ls`"]),
        (with("/cwd", json!("here")), &["`cwd` is relative: `here`"]),
        (with("/cwd", json!("/nowhere")), &["`cwd` is not a folder: `/nowhere`"]),
        (with("/provider/base_url", json!("nonsense")), &["`nonsense`"]),
        (with("/provider/base_url", json!("ftp://x")), &["`ftp://x`", "http"]),
        (with("/provider/base_url", json!("http://a:b@x/")), &["user name"]),
        (with("/provider/base_url", json!(null)), &["provider `test`", "base URL"]),
        (with("/provider/name", json!("openai")).replace("base_url", "//"), &["unknown field"]),
        (json!({"model": "m"}).to_string(), &["OPENAI_API_KEY is not set"]),
        (with("/provider/api_key_env", json!("MY_KEY")), &["MY_KEY is not set"]),
        (with("/provider/http_headers", json!({"a b": "c"})), &["header `a b`"]),
        (with("/provider/http_headers", json!({"a": "b\nc"})), &["header `a`", "value"]),
        (with("/request", json!({"extra": {"model": "x"}})), &["`extra.model`"]),
        (with("/request", json!({"tool_choice": "often"})), &["`request.tool_choice`", "`auto`"]),
        (
            r#"{"model":"m","provider":{"http_headers":{"a":"1","a":"2"}}}"#.into(),
            &["`provider.http_headers.a` is there twice"],
        ),
        (r#"{"model":"m","model":"n"}"#.into(), &["`model` is there twice"]),
        (with("/request", json!({"seed": 1})), &["`request.seed`", "unknown field `seed`"]),
        (with("/reasoning", json!({"x": 1})), &["`reasoning.x`"]),
    ];
    for (config, parts) in table {
        let path = folder.write("agent.json", &config);
        let output = run(&["--config", path.to_str().unwrap()]);
        refused(&output, &[parts, &["config"]].concat());
    }
}

#[test]
fn keys_without_an_effect_are_told() {
    let folder = Folder::new();
    let path = folder.write(
        "agent.json",
        json!({"model": "m", "provider": {"name": "test", "base_url": "http://127.0.0.1:1/v1"},
            "token_endpoint": "http://127.0.0.1:1/", "snapshots": true})
        .to_string(),
    );
    let output = run(&["--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let events = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = shorts(&events);
    assert_eq!(
        shown[1..],
        [
            " background_event `token_endpoint` has no effect: without `auth_file` there is nothing to \
             refresh",
            " shutdown_complete -",
        ]
    );
}

#[tokio::test]
async fn a_bad_line_is_answered_and_the_session_goes_on() {
    let server = Server::start([Reply::text("fine")]).await.unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings["tools"] = json!([{"name": "ls", "description": "", "parameters": {"type": "object"},
        "command": ["ls"]}]);
    let mut program = Program::start(&settings, &folder).await;
    let input = |items: Value| json!({"id": "1", "op": {"type": "user_input", "items": items}});
    let turn = |key: &str, value: Value| {
        let mut op = json!({"type": "user_turn", "items": [{"type": "text", "text": "x"}]});
        op[key] = value;
        json!({"id": "1", "op": op})
    };
    let op = |op: Value| json!({"id": "1", "op": op}).to_string();
    let image = |url: &str| {
        input(json!([{"type": "text", "text": "x"}, {"type": "image", "image_url": url}]))
    };
    let table: Vec<(String, &str, &str, &str)> = vec![
        ("hello".into(), "", "invalid_submission", "the line is not JSON"),
        ("\u{0}".into(), "", "invalid_submission", "the line is not JSON"),
        ("[]".into(), "", "invalid_submission", "not a JSON object"),
        (r#"{"id":"1"}"#.into(), "1", "invalid_submission", "`op` is missing"),
        (r#"{"op":{"type":"interrupt"}}"#.into(), "", "invalid_submission", "`id`"),
        (
            r#"{"id":"1","op":{"type":"interrupt"},"ops":1}"#.into(),
            "1",
            "invalid_submission",
            "`ops`",
        ),
        (op(json!({"type": "dance"})), "1", "invalid_submission", "`dance`"),
        (op(json!({"type": "user_input"})), "1", "invalid_submission", "`items`"),
        (op(json!({"type": "user_input", "items": [], "x": 1})), "1", "invalid_submission", "`x`"),
        (op(json!({"type": "interrupt", "x": 1})), "1", "invalid_submission", "`x`"),
        (op(json!({"type": "shutdown", "x": 1})), "1", "invalid_submission", "`x`"),
        (
            op(json!({"type": "override_turn_context", "modle": "x"})),
            "1",
            "invalid_submission",
            "`modle`",
        ),
        (input(json!([])).to_string(), "1", "invalid_submission", "`items` is empty"),
        (input(json!([{"type": "text"}])).to_string(), "1", "invalid_submission", "`text`"),
        (
            input(json!([{"type": "text", "text": "x", "y": 1}])).to_string(),
            "1",
            "invalid_submission",
            "`y`",
        ),
        (input(json!([{"type": "video"}])).to_string(), "1", "invalid_submission", "`video`"),
        (image("cat.png").to_string(), "1", "invalid_submission", "`items[1].image_url`: "),
        (image("data:text/plain;base64,AAAA").to_string(), "1", "invalid_submission", "image type"),
        (image("data:image/png;base64,?").to_string(), "1", "invalid_submission", "base64"),
        (turn("cwd", json!("here")).to_string(), "1", "invalid_submission", "`cwd` is relative"),
        (turn("model", json!("")).to_string(), "1", "invalid_submission", "`model` is empty"),
        (
            turn("approval_policy", json!("sometimes")).to_string(),
            "1",
            "invalid_submission",
            "`sometimes`",
        ),
        (turn("effort", json!(7)).to_string(), "1", "invalid_submission", "invalid type"),
        (op(json!({"type": "withdraw", "input_id": "x"})), "1", "unknown_input", "`x`"),
        (
            op(json!({"type": "approval", "call_id": "x", "decision": "denied"})),
            "1",
            "unknown_approval",
            "`x`",
        ),
        (
            op(json!({"type": "approval", "call_id": "x", "decision": "maybe"})),
            "1",
            "invalid_submission",
            "`maybe`",
        ),
        (op(json!({"type": "compact", "x": 1})), "1", "invalid_submission", "`x`"),
        (op(json!({"type": "review", "prompt": " "})), "1", "invalid_submission", "`prompt`"),
    ];
    for (line, id, code, part) in table {
        // Blank lines are nothing.
        program.line(&format!("\n  \n{line}")).await;
        let event = program.next().await.unwrap();
        let msg = &event["msg"];
        assert_eq!((&event["id"], &msg["code"]), (&json!(id), &json!(code)), "{line}: {event}");
        assert_eq!(msg["retryable"], false);
        assert!(text(&msg["message"]).contains(part), "{line}: {event}");
    }
    program.say("2", "still there?").await;
    let events = program.until("task_complete").await;
    assert_eq!(shorts(&events).last().unwrap(), "2 task_complete fine");
    program.shut_down().await;
    assert_eq!(server.requests()[0].input().len(), 2, "the context message and the input");
    server.assert_complete();
}

#[tokio::test]
async fn bytes_that_are_no_text_are_answered_too() {
    let server = Server::start(Script::new()).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.bytes(b"{\"id\":\"\xff\xfe\"}\n").await;
    let event = program.next().await.unwrap();
    assert_eq!(event["msg"]["code"], "invalid_submission");
    program.shut_down().await;
}
