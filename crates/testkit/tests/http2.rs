//! The scripted server over HTTP/2: frames, windows, and the ends that only HTTP/2 has.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use longhaul_testkit::server::{Cut, Gate, Reply, ReplyOutcome, Script, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

async fn start(script: impl Into<Script>) -> Server {
    Server::builder().http2().start(script).await.unwrap()
}

/// A connection, and the task that keeps it going.
async fn connect(server: &Server) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let socket = TcpStream::connect(server.addr()).await.unwrap();
    // Tiny frames are what these tests are about.
    let mut builder = h2::client::Builder::new();
    let (send, connection) = builder.data_frame_budget(usize::MAX).handshake(socket).await.unwrap();
    (send, tokio::spawn(connection))
}

async fn post(client: &mut SendRequest<Bytes>) -> Result<Response<RecvStream>, h2::Error> {
    futures_util::future::poll_fn(|cx| client.poll_ready(cx)).await?;
    let request = Request::post("http://localhost/v1/responses?a=b").header("X-A", "1");
    let (response, mut body) = client.send_request(request.body(()).unwrap(), false)?;
    body.send_data("{\"input\":[]}".into(), true)?;
    response.await
}

/// The frames of a body, and how it ended.
async fn frames(mut body: RecvStream) -> (Vec<Bytes>, Option<h2::Error>) {
    let mut frames = Vec::new();
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                body.flow_control().release_capacity(piece.len()).unwrap();
                frames.push(piece);
            }
            Err(error) => return (frames, Some(error)),
        }
    }
    (frames, None)
}

#[tokio::test]
async fn each_piece_is_a_frame_and_each_request_is_recorded() {
    let reply = Reply::text("hello").one_byte_pieces();
    let body = reply.body();
    let server = start(Script::new().reply(reply).reply(Reply::error(503, &json!({})))).await;
    let (mut client, _) = connect(&server).await;
    let response = post(&mut client).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let pieces: Vec<Bytes> = body.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
    assert_eq!(frames(response.into_body()).await.0, pieces);
    assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Complete);
    assert_eq!(server.sent_body_bytes(0), body.len());

    let response = post(&mut client).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-length"]),
        (503, &"2".parse().unwrap())
    );
    let requests = server.requests();
    let request = &requests[1];
    assert_eq!((request.order, request.connection, request.input().len()), (1, 0, 0));
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/v1/responses?a=b"));
    assert_eq!(
        (request.header(":authority"), request.header("x-a")),
        (Some("localhost"), Some("1"))
    );
    assert_eq!(server.connections(), 1);
    server.assert_complete();
}

#[tokio::test]
async fn a_full_window_holds_the_server_back_and_nothing_is_lost() {
    let reply = (0..10_000).fold(Reply::sse(), |reply, _| reply.bytes(vec![b'x'; 20]));
    let server = start([reply, Reply::text("meanwhile")]).await;
    let (mut client, _) = connect(&server).await;
    let response = post(&mut client).await.unwrap();
    assert_eq!(server.wait_until_reply_blocked(0).await, ReplyOutcome::Blocked);
    // The default window holds 65,535 bytes.
    assert!((65_500..65_536).contains(&server.sent_body_bytes(0)));
    let (pieces, error) = frames(response.into_body()).await;
    assert!(error.is_none());
    assert_eq!(pieces.len(), 10_000);
    assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Complete);
    assert_eq!(
        frames(post(&mut client).await.unwrap().into_body()).await.1.map(|e| e.to_string()),
        None
    );
}

/// Every end that a script can give to a stream, after each of its frames, and before the head.
#[tokio::test]
async fn cuts_leave_exactly_the_frames_before_them() {
    let pieces: Vec<Bytes> = ["a", "bc", "def"].map(Bytes::from).to_vec();
    for (cut, reason, connection_reason) in [
        (Cut::Stream(2), Some(Reason::INTERNAL_ERROR), None),
        (Cut::Stream(8), Some(Reason::CANCEL), None),
        (Cut::GoAway(11), None, Some(Reason::ENHANCE_YOUR_CALM)),
        (Cut::GoAway(0), None, None),
        (Cut::Fin, None, None),
        (Cut::Truncate, None, None),
    ] {
        for k in 0..=pieces.len() {
            let reply =
                pieces[..k].iter().fold(Reply::sse(), |reply, piece| reply.bytes(piece.clone()));
            let server = start([reply.cut(cut), Reply::text("next")]).await;
            let (mut client, connection) = connect(&server).await;
            let (got, error) = frames(post(&mut client).await.unwrap().into_body()).await;
            assert_eq!(got, pieces[..k], "{cut:?}");
            assert_eq!(error.unwrap().reason(), reason, "{cut:?}");
            assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Cut);
            let next = post(&mut client).await;
            assert_eq!(next.is_ok(), matches!(cut, Cut::Stream(_)), "{cut:?}");
            drop((client, next, server));
            let ended = connection.await.unwrap().err().and_then(|error| error.reason());
            assert_eq!(ended, connection_reason, "{cut:?}");
        }
    }
    let server = start(Reply::sse().without_head().cut(Cut::Stream(7))).await;
    let (mut client, _) = connect(&server).await;
    assert_eq!(post(&mut client).await.unwrap_err().reason(), Some(Reason::REFUSED_STREAM));
}

#[tokio::test]
async fn a_reset_connection_is_reset() {
    let gate = Gate::new("answered");
    let server = start(Reply::sse().bytes("a").gate(&gate).bytes("b").cut_after(1, Cut::Rst)).await;
    let (mut client, connection) = connect(&server).await;
    let mut body = post(&mut client).await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "a");
    gate.open();
    let error = connection.await.unwrap().unwrap_err();
    assert_eq!(error.get_io().unwrap().kind(), std::io::ErrorKind::ConnectionReset);
    server.connection_closed(0).await;
}

#[tokio::test]
async fn an_announced_end_lets_the_stream_finish() {
    let gate = Gate::new("announced");
    let server = start(Reply::sse().bytes("a").go_away().gate(&gate).bytes("b")).await;
    let (mut client, connection) = connect(&server).await;
    let body = post(&mut client).await.unwrap().into_body();
    gate.reached().await;
    gate.open();
    let (pieces, error) = frames(body).await;
    assert_eq!((pieces.concat(), error.is_none()), (b"ab".to_vec(), true));
    drop(client);
    connection.await.unwrap().unwrap();
    server.connection_closed(0).await;
}

#[tokio::test]
async fn a_client_that_gives_a_stream_up_is_noticed_wherever_the_server_is() {
    let (held, inside) = (Gate::new("head"), Gate::new("inside"));
    let server = start([
        Reply::text("x").hold_head(&held),
        Reply::sse().bytes("ab").gate(&inside).bytes("c"),
        Reply::sse().bytes("abc").keep_open(),
        Reply::sse().bytes(vec![b'x'; 100_000]),
        Reply::text("the connection lives"),
    ])
    .await;
    let (mut client, _) = connect(&server).await;
    {
        let mut waiting = std::pin::pin!(post(&mut client));
        tokio::select! {
            _ = &mut waiting => unreachable!(),
            () = held.reached() => {}
        }
    }
    let closed = |after_bytes| ReplyOutcome::ClientClosed { after_bytes };
    assert_eq!(server.wait_until_reply_ended(0).await, closed(0));
    for (order, after_bytes) in [(1, 2), (2, 3)] {
        let mut body = post(&mut client).await.unwrap().into_body();
        body.data().await.unwrap().unwrap();
        drop(body);
        assert_eq!(server.wait_until_reply_ended(order).await, closed(after_bytes));
    }
    let body = post(&mut client).await.unwrap().into_body();
    assert_eq!(server.wait_until_reply_blocked(3).await, ReplyOutcome::Blocked);
    drop(body);
    assert!(matches!(server.wait_until_reply_ended(3).await, ReplyOutcome::ClientClosed { .. }));
    assert!(frames(post(&mut client).await.unwrap().into_body()).await.1.is_none());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_client_that_closes_the_connection_ends_all_its_streams() {
    let server = start([Reply::sse().keep_open(), Reply::sse().keep_open()]).await;
    let (mut client, connection) = connect(&server).await;
    let _bodies = (post(&mut client).await.unwrap(), post(&mut client).await.unwrap());
    connection.abort();
    for order in 0..2 {
        let outcome = server.wait_until_reply_ended(order).await;
        assert_eq!(outcome, ReplyOutcome::ClientClosed { after_bytes: 0 });
    }
    server.connection_closed(0).await;
}

#[tokio::test]
async fn what_is_no_http2_is_a_fault() {
    let server = start(Script::new()).await;
    let mut client = TcpStream::connect(server.addr()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let _ = client.read_to_end(&mut Vec::new()).await;
    server.connection_closed(0).await;
    assert!(server.problems()[0].starts_with("Connection 0 sent no HTTP/2: "));
}
