//! Cancelling or dropping the stream closes its connection (HTTP/1.1) or resets its stream (HTTP/2), in every phase.
//!
//! While a request is being sent: `upload`.

use futures_util::StreamExt;
use longhaul_testkit::raw::{Course, RawServer};
use longhaul_testkit::server::{Gate, Reply, ReplyOutcome, Server};
use longhaul_transport::{Model, ResponseEvent, ResponsesClient};

use tokio::time::timeout;

use super::support::{BOTH, NEVER, Protocol, begun, client, request, succeed};

/// Over HTTP/1.1 the connection of the first request is closed; over HTTP/2 it serves the next one.
async fn assert_let_go(protocol: Protocol, server: &Server, client: &ResponsesClient) {
    let end = timeout(NEVER, server.wait_until_reply_ended(0)).await.unwrap();
    assert!(matches!(end, ReplyOutcome::ClientClosed { .. }), "{protocol:?}: {end:?}");
    if protocol == Protocol::Http1 {
        timeout(NEVER, server.connection_closed(0)).await.unwrap();
    }
    succeed(client).await;
    let connections = if protocol == Protocol::Http1 { 2 } else { 1 };
    assert_eq!(server.connections(), connections, "{protocol:?}");
}

#[tokio::test]
async fn cancelled_while_connecting() {
    let inside = Gate::new("within the handshake");
    let server = RawServer::start([Course::new().read(5).hold(&inside).drain()]).await.unwrap();
    let client = client(&format!("https://{}/v1", server.addr()));
    let request = request();
    tokio::select! {
        _ = client.stream(&request) => panic!("nobody answers"),
        () = inside.reached() => {}
    }
    inside.open();
    server.connection_closed(0).await;
}

#[tokio::test]
async fn cancelled_while_waiting_for_the_head() {
    for protocol in BOTH {
        let held = Gate::new("before the head");
        let replies = [Reply::text("late").hold_head(&held), Reply::text("hello")];
        let (server, client) = protocol.pair(replies).await;
        let request = request();
        tokio::select! {
            _ = client.stream(&request) => panic!("the head is held back"),
            () = held.reached() => {}
        }
        assert_let_go(protocol, &server, &client).await;
    }
}

#[tokio::test]
async fn dropped_before_the_first_event() {
    for protocol in BOTH {
        let (server, client) =
            protocol.pair([Reply::sse().keep_open(), Reply::text("hello")]).await;
        drop(client.stream(&request()).await.unwrap());
        assert_let_go(protocol, &server, &client).await;
    }
}

#[tokio::test]
async fn dropped_within_the_stream() {
    for protocol in BOTH {
        let (server, client) = protocol.pair([begun().keep_open(), Reply::text("hello")]).await;
        let mut stream = client.stream(&request()).await.unwrap();
        assert!(matches!(stream.next().await, Some(Ok(ResponseEvent::Created { .. }))));
        drop(stream);
        assert_let_go(protocol, &server, &client).await;
    }
}

/// The reader stands still, its windows are full, and the server waits for room.
#[tokio::test]
async fn dropped_while_paused() {
    for protocol in BOTH {
        let piece = format!(": {}\n", "x".repeat(65_533));
        let large = (0..1024).fold(begun(), |reply, _| reply.bytes(piece.clone()));
        let (server, client) = protocol.pair([large, Reply::text("hello")]).await;
        let mut stream = client.stream(&request()).await.unwrap();
        assert!(matches!(stream.next().await, Some(Ok(ResponseEvent::Created { .. }))));
        if protocol == Protocol::Http2 {
            assert_eq!(server.wait_until_reply_blocked(0).await, ReplyOutcome::Blocked);
        }
        drop(stream);
        assert_let_go(protocol, &server, &client).await;
    }
}

/// A consumer that goes away in the middle of waiting leaves nothing behind either.
#[tokio::test]
async fn cancelled_while_waiting_for_an_event() {
    for protocol in BOTH {
        let silent = Gate::new("silent");
        let (server, client) =
            protocol.pair([begun().gate(&silent).bytes("x"), Reply::text("hello")]).await;
        let mut stream = client.stream(&request()).await.unwrap();
        let reading = tokio::spawn(async move { while stream.next().await.is_some() {} });
        silent.reached().await;
        reading.abort();
        assert_let_go(protocol, &server, &client).await;
    }
}
