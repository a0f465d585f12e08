//! A stored login: used for the providers that take one, refreshed in time, and shown nowhere.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use longhaul_testkit::server::{RecordedRequest, Reply, Script, Server};
use longhaul_testkit::token::{TokenServer, Tokens};
use serde_json::{Value, json};

use crate::refusals;
use crate::support::{Folder, Program, shorts, text};

/// A login of `tokens`, as it was stored by signing in, and not old enough to be refreshed for that.
fn store(folder: &Folder, access: &str, refresh: &str) -> PathBuf {
    let path = folder.0.join("auth.json");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
    let login = json!({"OPENAI_API_KEY": null, "unknown": [1], "last_refresh": "2200-01-01T00:00:00Z",
        "tokens": {"id_token": "", "access_token": access, "refresh_token": refresh,
            "account_id": "account-canary"}});
    file.write_all(login.to_string().as_bytes()).unwrap();
    path
}

fn config(name: &str, base_url: &str, folder: &Folder, auth_file: &PathBuf) -> Value {
    json!({"model": "test-model", "cwd": folder.0, "instructions": "Be brief.",
        "context_window": 100_000, "auth_file": auth_file,
        "provider": {"name": name, "base_url": base_url}})
}

/// The requests to the model.
fn asked(server: &TokenServer) -> Vec<RecordedRequest> {
    let all = server.server().requests().into_iter();
    all.filter(|request| request.path().ends_with("/responses")).collect()
}

fn header<'a>(request: &'a RecordedRequest, name: &str) -> Option<&'a str> {
    request.header(name)
}

#[tokio::test]
async fn a_login_is_used_and_refreshed_when_the_server_refuses_it() {
    let tokens = Tokens::new().prefix("canary-");
    let server = TokenServer::start(tokens).await.unwrap();
    let pair = server.first_pair();
    server.expire();
    let folder = Folder::new();
    let auth_file = store(&folder, &pair.access, &pair.refresh);
    let mut config = config("openai", &server.base_url(), &folder, &auth_file);
    config["token_endpoint"] = json!(server.token_url());
    let mut program = Program::start(&config, &folder).await;
    for id in ["1", "2"] {
        program.say(id, "Hello").await;
        let events = program.until("task_complete").await;
        assert!(!shorts(&events).iter().any(|event| event.contains("error")), "{events:?}");
        assert!(!json!(events).to_string().contains("canary"), "{events:?}");
    }
    program.shut_down().await;

    assert_eq!(server.refreshes(), 1);
    let asked = asked(&server);
    let bearers: Vec<_> = asked.iter().map(|r| header(r, "authorization").unwrap()).collect();
    let expected = ["Bearer canary-access-0", "Bearer canary-access-1", "Bearer canary-access-1"];
    assert_eq!(bearers, expected);
    assert!(asked.iter().all(|r| header(r, "chatgpt-account-id") == Some("account-canary")));
    let stored: Value = serde_json::from_slice(&fs::read(&auth_file).unwrap()).unwrap();
    assert_eq!(stored["tokens"]["access_token"], "canary-access-1");
    assert_eq!(stored["tokens"]["refresh_token"], "canary-refresh-1");
    assert_eq!(stored["unknown"], json!([1]));
    assert_eq!(fs::metadata(&auth_file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_login_that_cannot_be_refreshed_is_one_clear_error() {
    let refused =
        json!({"error": "invalid_grant", "error_description": "canary-refresh-0 is revoked"});
    let tokens = Tokens::new().prefix("canary-").fail(Reply::error(400, &refused));
    let server = TokenServer::start(tokens).await.unwrap();
    let pair = server.first_pair();
    server.expire();
    let folder = Folder::new();
    let auth_file = store(&folder, &pair.access, &pair.refresh);
    let mut config = config("chatgpt", &server.base_url(), &folder, &auth_file);
    config["token_endpoint"] = json!(server.token_url());
    let mut program = Program::start(&config, &folder).await;
    program.say("1", "Hello").await;
    let events = program.until("task_complete").await;
    let error = events.iter().find(|event| event["msg"]["type"] == "error").unwrap();
    assert_eq!(error["msg"]["code"], "refresh_failed");
    assert_eq!(error["msg"]["retryable"], false);
    assert!(text(&error["msg"]["message"]).contains("sign in again"), "{error}");
    assert!(!json!(events).to_string().contains("canary"), "{events:?}");
    assert_eq!(asked(&server).len(), 1);
}

#[tokio::test]
async fn a_login_is_never_sent_to_a_provider_that_takes_none() {
    let server = Server::start(Script::from(Reply::text("hello"))).await.unwrap();
    let folder = Folder::new();
    let auth_file = store(&folder, "canary-access", "canary-refresh");
    let config = config("test", &server.base_url(), &folder, &auth_file);
    let mut program = Program::start(&config, &folder).await;
    let warning = program.next().await.unwrap();
    assert!(text(&warning["msg"]["message"]).contains("`auth_file` has no effect"), "{warning}");
    program.say("1", "Hello").await;
    program.until("task_complete").await;
    program.shut_down().await;
    let request = &server.requests()[0];
    assert_eq!(header(request, "authorization"), None);
    assert!(!format!("{request:?}").contains("canary"));
}

#[tokio::test]
async fn a_key_that_is_named_comes_before_the_login() {
    let server = Server::start(Script::from(Reply::text("hello"))).await.unwrap();
    let folder = Folder::new();
    let auth_file = store(&folder, "canary-access", "canary-refresh");
    let mut config = config("openai", &server.base_url(), &folder, &auth_file);
    config["provider"]["api_key_env"] = json!("A_KEY");
    let mut program = Program::start(&config, &folder).await;
    let warning = program.next().await.unwrap();
    assert!(text(&warning["msg"]["message"]).contains("`auth_file` has no effect"), "{warning}");
    program.say("1", "Hello").await;
    program.until("task_complete").await;
    program.shut_down().await;
    assert_eq!(header(&server.requests()[0], "authorization"), Some("Bearer sk-canary"));
}

#[test]
fn a_login_that_others_can_read_is_refused_and_left_alone() {
    let folder = Folder::new();
    let auth_file = store(&folder, "canary-access", "canary-refresh");
    fs::set_permissions(&auth_file, fs::Permissions::from_mode(0o644)).unwrap();
    let before = fs::read(&auth_file).unwrap();
    let config = config("openai", "http://127.0.0.1:9/v1", &folder, &auth_file);
    let config = folder.write("agent.json", config.to_string());
    let output = refusals::run(&["--config", config.to_str().unwrap()]);
    let path = auth_file.to_str().unwrap();
    refusals::refused(&output, &["`auth_file`", path, "chmod 600"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"));
    assert_eq!(fs::read(&auth_file).unwrap(), before);
}

#[test]
fn a_provider_that_nobody_can_get_into_is_refused_at_once() {
    let folder = Folder::new();
    let config = json!({"model": "m", "provider": {"name": "chatgpt"}});
    let config = folder.write("agent.json", config.to_string());
    let output = refusals::run(&["--config", config.to_str().unwrap()]);
    refusals::refused(&output, &["`chatgpt`", "`auth_file`", "`provider.api_key_env`"]);
}
