//! The token endpoint: rotation, scripted failures, and what it notes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_testkit::server::{Gate, Reply};
use longhaul_testkit::token::{TokenServer, Tokens};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Status and body of one request.
async fn post(server: &TokenServer, path: &str, header: &str, body: &str) -> (u16, String) {
    let mut client = TcpStream::connect(server.server().addr()).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\n{header}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    client.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn refresh(server: &TokenServer, token: &str) -> (u16, Value) {
    let body = json!({"grant_type": "refresh_token", "refresh_token": token}).to_string();
    let (status, body) = post(server, "/oauth/token", "", &body).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn call(server: &TokenServer, token: &str) -> u16 {
    post(server, "/v1/responses", &format!("authorization: Bearer {token}\r\n"), "{}").await.0
}

#[tokio::test]
async fn each_refresh_token_is_good_once_and_each_access_token_until_the_next() {
    let server =
        TokenServer::start(Tokens::new().expires_in(60).field("id_token", "x")).await.unwrap();
    assert_eq!(call(&server, "access-0").await, 200);
    let grant = json!({"access_token": "access-1", "refresh_token": "refresh-1",
        "token_type": "Bearer", "expires_in": 60, "id_token": "x"});
    assert_eq!(refresh(&server, "refresh-0").await, (200, grant));
    assert_eq!((call(&server, "access-0").await, call(&server, "access-1").await), (401, 200));
    let (status, error) = refresh(&server, "refresh-0").await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("refresh_token_reused")));
    assert_eq!(refresh(&server, "unknown").await, (400, json!({"error": "invalid_grant"})));
    assert_eq!(server.sent(), ["refresh-0", "refresh-0", "unknown"]);
    assert_eq!(server.reused(), ["refresh-0"]);
    assert_eq!((server.refreshes(), server.calls()), (1, (2, 1)));
    assert_eq!(server.pair().refresh, "refresh-1");
}

#[tokio::test]
async fn an_expired_token_is_refused_until_the_next_refresh() {
    let server = TokenServer::start(Tokens::new().prefix("p-")).await.unwrap();
    server.expire();
    assert_eq!(call(&server, "p-access-0").await, 401);
    assert_eq!(refresh(&server, "p-refresh-0").await.0, 200);
    assert_eq!(call(&server, "p-access-1").await, 200);
}

#[tokio::test]
async fn scripted_failures_use_no_token_up() {
    let busy = || Reply::error(503, &json!({}));
    let server = TokenServer::start(Tokens::new().fail(busy()).pass().fail(busy())).await.unwrap();
    assert_eq!(refresh(&server, "refresh-0").await.0, 503);
    assert_eq!(refresh(&server, "refresh-0").await.0, 200);
    assert_eq!(refresh(&server, "refresh-1").await.0, 503);
    assert_eq!(refresh(&server, "refresh-1").await.0, 200);
    assert_eq!((server.refreshes(), server.reused().len()), (2, 0));
}

#[tokio::test]
async fn a_reply_may_keep_the_refresh_token_to_itself() {
    let server = TokenServer::start(Tokens::new().leave_out("refresh_token")).await.unwrap();
    let grant = json!({"access_token": "access-1", "token_type": "Bearer"});
    assert_eq!(refresh(&server, "refresh-0").await, (200, grant));
    assert_eq!(refresh(&server, "refresh-0").await.1["access_token"], "access-2");

    let server = TokenServer::start(Tokens::new().reusable()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(refresh(&server, "refresh-0").await.1["refresh_token"], "refresh-0");
    }
    assert!(server.reused().is_empty());
}

#[tokio::test]
async fn a_held_reply_has_used_its_token_up() {
    let gate = Gate::new("reply");
    let server = TokenServer::start(Tokens::new().hold(&gate)).await.unwrap();
    let first = refresh(&server, "refresh-0");
    let check = async {
        gate.reached().await;
        assert_eq!((server.refreshes(), server.sent().len()), (1, 1));
        gate.open();
    };
    assert_eq!(tokio::join!(first, check).0.0, 200);
}

#[tokio::test]
async fn form_bodies_are_read_too_and_other_paths_are_not_found() {
    let server = TokenServer::start(Tokens::new()).await.unwrap();
    let body = "grant_type=refresh_token&refresh_token=refresh-0";
    assert_eq!(post(&server, "/oauth/token", "", body).await.0, 200);
    assert_eq!(post(&server, "/elsewhere", "", "").await.0, 404);
    assert_eq!(server.sent(), ["refresh-0"]);
}
