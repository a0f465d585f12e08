//! What the server remembers, and what it complains about.

use longhaul_testkit::check::{ItemKind, Violation};
use longhaul_testkit::server::{Reply, Script, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{EMPTY, panic_message, post, read_to_close, read_until, send, split_head};

#[tokio::test]
async fn requests_are_recorded_over_keep_alive_connections() {
    let script = Script::new()
        .reply_with(|request| Reply::text(&format!("{} items", request.input().len())))
        .repeat_last();
    let server = Server::start(script).await.unwrap();
    // The second request waits in the buffer while the first is answered.
    let first = "POST /v1/responses?api-version=1 HTTP/1.1\r\nX-B: 1\r\nAuthorization: Bearer secret\r\nx-a: 2\r\n\
        codex-task-type: compact\r\nTransfer-Encoding: chunked\r\n\r\n\
        8\r\n{\"input\"\r\nb;ext=1\r\n: [{}, {}]}\r\n0\r\nTrailer: x\r\n\r\n";
    let mut client = send(&server, &[first, &post("not json")].concat()).await;
    assert!(read_until(&mut client, "0\r\n\r\n").await.contains("2 items"));
    assert!(read_until(&mut client, "0\r\n\r\n").await.contains("0 items"));
    let mut other = send(&server, &post(EMPTY)).await;
    read_until(&mut other, "0\r\n\r\n").await;

    let log = server.wait_for_requests(3).await;
    assert_eq!(
        log.iter().map(|r| (r.order, r.connection)).collect::<Vec<_>>(),
        [(0, 0), (1, 0), (2, 1)]
    );
    let request = &log[0];
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/v1/responses?api-version=1")
    );
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-B", "Authorization", "x-a", "codex-task-type", "Transfer-Encoding"]);
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    assert_eq!(request.task_kind(), Some("compact"));
    assert_eq!(request.body, r#"{"input": [{}, {}]}"#);
    assert_eq!(request.input(), [json!({}), json!({})]);
    assert_eq!(request.to_json()["headers"][1], json!(["Authorization", "[13 bytes]"]));
    assert!(!format!("{request:?}").contains("secret"));
    assert_eq!((log[1].json(), log[1].to_json()["body"].clone()), (Value::Null, json!("not json")));
    server.shutdown().await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_before_the_body() {
    let server = Server::start(Reply::json(&json!(1))).await.unwrap();
    let (head, body) =
        ("POST /responses HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "{}");
    let mut client = send(&server, head).await;
    assert_eq!(read_until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(body.as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n1").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(server.requests()[0].body, body);
}

#[tokio::test]
async fn broken_pairing_is_refused_and_remembered() {
    let body = json!({"input": [{"type": "function_call", "call_id": "a"}]}).to_string();
    let server = Server::start(Reply::text("x")).await.unwrap();
    let mut client = send(&server, &post(&body)).await;
    let answer = read_until(&mut client, "}}").await;
    let (head, error) = split_head(answer.as_bytes());
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(
        serde_json::from_slice::<Value>(error).unwrap(),
        json!({"error": {"type": "invalid_request_error", "code": null, "param": "input",
            "message": "input[0]: this function_call `a` has no output."}})
    );
    let (index, call_id, kind) = (0, "a".to_owned(), ItemKind::FunctionCall);
    assert_eq!(server.violations(), [(0, Violation::CallWithoutOutput { index, call_id, kind })]);
    let sentence = "requests()[0]: input[0]: this function_call `a` has no output.";
    assert!(panic_message(|| server.assert_complete()).contains(sentence));
    assert!(panic_message(|| drop(server)).contains(sentence));

    let server =
        Server::start(Script::from(Reply::json(&json!({}))).allow_broken_pairing()).await.unwrap();
    read_until(&mut send(&server, &post(&body)).await, "{}").await;
    server.assert_complete();
}

#[tokio::test]
async fn what_the_script_did_not_foresee_fails_the_test() {
    let server = Server::start([Reply::json(&json!({})), Reply::json(&json!({}))]).await.unwrap();
    let mut client = send(&server, &post(EMPTY)).await;
    read_until(&mut client, "{}").await;
    assert_eq!(server.problems(), ["1 of 2 scripted replies were not used."]);
    client.write_all(post(EMPTY).as_bytes()).await.unwrap();
    read_until(&mut client, "{}").await;
    server.assert_complete();
    client.write_all(post(EMPTY).as_bytes()).await.unwrap();
    let refused = read_until(&mut client, "}}").await;
    assert!(refused.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    assert!(refused.contains("The script is exhausted: this is request 3, it has 2 replies."));
    assert_eq!(server.problems(), ["3 requests came, but only 2 replies were scripted."]);
    assert!(panic_message(|| server.assert_complete()).contains("3 requests came"));
}

#[tokio::test]
async fn what_is_no_scripted_request_does_not_use_the_script() {
    let server = Server::start(Script::new().for_path("/oauth/token")).await.unwrap();
    let mut client = send(&server, &post(EMPTY)).await;
    assert!(read_until(&mut client, "}}").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert_eq!((server.requests().len(), server.other_requests().len()), (0, 1));
    server.assert_complete();
    let (bytes, _) = read_to_close(&mut send(&server, "what is this?\r\n\r\n").await).await;
    assert!(bytes.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(
        server.problems(),
        ["Connection 1 sent no valid HTTP request: invalid HTTP version."]
    );
}

#[tokio::test]
async fn a_panic_in_a_reply_function_is_remembered() {
    let server = Server::start(Script::new().reply_with(|_| panic!("planted"))).await.unwrap();
    let (bytes, _) = read_to_close(&mut send(&server, &post(EMPTY)).await).await;
    assert_eq!(bytes, b"");
    assert_eq!(server.problems(), ["A reply function or request hook panicked."]);
}
