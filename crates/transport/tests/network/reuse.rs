//! Connections that are used again, and those that cannot be.

use longhaul_testkit::raw::{Course, RawServer};
use longhaul_testkit::server::{Framing, Gate, Reply, Script, Server};
use longhaul_transport::{Phase, ResponsesClient};

use super::support::{
    MAYBE_SENT, MOMENT, Protocol, assert_timeout, attempt, client, fail, hello, sampled, succeed,
    verdict,
};

/// A whole response with its head.
fn answer() -> String {
    let body = String::from_utf8(Reply::sse().events(hello().completed()).body()).unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length";
    format!("{head}: {}\r\n\r\n{body}", body.len())
}

/// One request and its response.
fn served() -> Course {
    Course::new().read_request().write(answer())
}

/// A server whose first connection serves once and then takes the rest of its course.
async fn start(after: impl FnOnce(Course) -> Course) -> (RawServer, ResponsesClient) {
    let server = RawServer::start([after(served()), served()]).await.unwrap();
    let client = client(&server.base_url());
    (server, client)
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    for framing in [Framing::Chunked, Framing::ContentLength] {
        let reply = || Reply::text("hello").framing(framing);
        let server = Server::start((0..5).map(|_| reply()).collect::<Script>());
        let server = server.await.unwrap();
        let client = client(&server.base_url());
        for _ in 0..5 {
            succeed(&client).await;
        }
        assert_eq!(server.connections(), 1, "{framing:?}");
    }
}

/// The end of the body comes after the terminal event was read and the stream dropped: the connection is kept for it,
/// whether the response is complete or a failure that the server reported.
#[tokio::test]
async fn a_connection_is_used_again_though_the_end_of_its_body_comes_late() {
    const ROUNDS: usize = 50;
    for ending in [hello().completed(), hello().failed("server_error", "sorry")] {
        let gates: Vec<Gate> = (0..ROUNDS).map(|_| Gate::new("before the end")).collect();
        let reply = |gate| Reply::sse().events(ending.clone()).gate(gate).done_marker();
        let server = Server::start(gates.iter().map(reply).collect::<Script>()).await.unwrap();
        let client = client(&server.base_url());
        for (order, gate) in gates.iter().enumerate() {
            attempt(&client).await;
            gate.reached().await;
            gate.open();
            server.wait_until_reply_ended(order).await;
            for _ in 0..1000 {
                // The client's task reads the end.
                tokio::task::yield_now().await;
            }
        }
        // A machine that stands still for as long as the client waits costs a connection. A client that does not
        // wait loses all.
        assert!(server.connections() <= 4, "{} connections", server.connections());
        assert_eq!(server.requests().len(), ROUNDS);
    }
}

/// The server closes before the second request is written: whether the client has noticed or not, it comes through.
#[tokio::test]
async fn f016_a_connection_that_closes_before_the_request_costs_one_retry_at_most() {
    for resets in [false, true] {
        for _ in 0..50 {
            let idle = Gate::new("idle");
            let (server, client) = start(|course| {
                let course = course.hold(&idle);
                if resets { course.rst() } else { course }
            })
            .await;
            succeed(&client).await;
            idle.reached().await;
            // From here on the two race.
            idle.open();
            let ended = sampled(&client).await;
            assert!(ended.error.is_none(), "{:?}", ended.error);
            assert!(ended.retried.len() <= 1, "{:?}", ended.retried);
            assert_eq!(server.connections(), 2);
        }
    }
}

/// The server closes after the head of the second request or after all of it: no byte of a response, one retry.
#[tokio::test]
async fn f016_a_connection_that_closes_during_the_request_costs_one_counted_retry() {
    let points: [fn(Course) -> Course; 4] = [
        Course::read_head,
        Course::read_request,
        |course| course.read_head().rst(),
        |course| course.read_request().rst(),
    ];
    for (point, close) in points.into_iter().enumerate() {
        let (server, client) = start(close).await;
        succeed(&client).await;
        let ended = sampled(&client).await;
        assert!(ended.error.is_none(), "{point}: {:?}", ended.error);
        let verdicts: Vec<_> = ended.retried.iter().map(verdict).collect();
        assert_eq!(verdicts, [MAYBE_SENT], "{point}");
        assert_eq!(server.connections(), 2, "{point}");
        let twice = server.received(0);
        assert_eq!(twice.windows(5).filter(|bytes| bytes == b"POST ").count(), 2, "{point}");
    }
}

/// The server has closed long ago, and the client has noticed: nothing fails, nothing is retried.
#[tokio::test]
async fn f017_a_dead_pooled_connection_is_not_used() {
    for resets in [false, true] {
        let (server, client) = start(|course| if resets { course.rst() } else { course }).await;
        succeed(&client).await;
        // Both sides have closed.
        server.connection_closed(0).await;
        let ended = sampled(&client).await;
        assert!(ended.error.is_none(), "{:?}", ended.error);
        if !resets {
            assert!(ended.retried.is_empty(), "{:?}", ended.retried);
        }
        assert_eq!(server.connections(), 2);
    }
}

/// The pooled connection is open and nobody is behind it: a deadline, and then another connection.
#[tokio::test]
async fn f017_a_pooled_connection_without_a_server_is_given_up() {
    let dead = Gate::new("dead");
    let server = RawServer::start([served().hold(&dead), served()]).await.unwrap();
    let [hasty, patient] = Protocol::Http1
        .hasty_and_patient(&server.base_url(), |deadlines| deadlines.headers = MOMENT);
    succeed(&patient).await;
    dead.reached().await;
    assert_timeout(&fail(&hasty).await, Phase::Headers);
    succeed(&patient).await;
    assert_eq!(server.connections(), 2);
    dead.open();
    server.connection_closed(0).await;
}
