//! A server that stops reading the request.

use longhaul_testkit::raw::{Course, RawServer, http2};
use longhaul_testkit::server::Gate;
use longhaul_transport::{Model, Phase};

use super::support::{BOTH, MOMENT, Protocol, assert_timeout, large_request, provider};

/// More than the operating system takes by itself on both sides.
const LARGE: usize = 16 * 1024 * 1024;

/// A server that reads a little, and then nothing until the gate opens.
async fn start(protocol: Protocol, stopped: &Gate) -> RawServer {
    let course = match protocol {
        Protocol::Http1 => Course::new().read(2000).hold(stopped).drain(),
        Protocol::Http2 => {
            let begin = Course::new().write(http2::settings(&[])).read(2000);
            begin.hold(stopped).read_http2_reset().drain()
        }
    };
    RawServer::start([course]).await.unwrap()
}

/// The client has let go of the request: its connection or its stream.
async fn assert_let_go(protocol: Protocol, server: RawServer, client: impl Sized) {
    if protocol == Protocol::Http2 {
        // The stream is reset, then the connection closed with its pool: else this would wait forever.
        drop(client);
    }
    server.connection_closed(0).await;
}

#[tokio::test]
async fn f025_a_server_that_stops_reading_meets_the_send_deadline() {
    for protocol in BOTH {
        let stopped = Gate::new("stopped");
        let server = start(protocol, &stopped).await;
        let mut provider = provider(&server.base_url());
        provider.deadlines.send = 4 * MOMENT;
        let client = protocol.client(provider);
        let error = client.stream(&large_request(LARGE)).await.err().unwrap();
        assert_timeout(&error, Phase::Send);
        assert!(error.may_have_been_processed());
        stopped.open();
        assert_let_go(protocol, server, client).await;
    }
}

#[tokio::test]
async fn f025_cancelling_a_blocked_request_lets_its_connection_go() {
    for protocol in BOTH {
        let stopped = Gate::new("stopped");
        let server = start(protocol, &stopped).await;
        let client = protocol.client(provider(&server.base_url()));
        let request = large_request(LARGE);
        tokio::select! {
            _ = client.stream(&request) => panic!("nobody reads it"),
            () = stopped.reached() => {}
        }
        stopped.open();
        assert_let_go(protocol, server, client).await;
    }
}
