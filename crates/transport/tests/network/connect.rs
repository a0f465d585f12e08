//! Before there is a connection: refused, a black hole, names, a silent handshake.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use longhaul_testkit::raw::{Course, RawServer};
use longhaul_testkit::server::{Gate, Reply, Server};
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{Phase, ResponsesClient};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::support::{
    MOMENT, NEVER, NOT_SENT, assert_timeout, builder, client, fail, kind, over, provider, sampled,
    succeed, verdict,
};

/// Takes a port without listening on it.
fn unused_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

#[tokio::test]
async fn f001_connection_refused_is_retried_and_then_typed() {
    let (_held, addr) = unused_port();
    let ended = sampled(&client(&format!("http://{addr}/v1"))).await;
    assert_eq!(ended.retried.len(), 2);
    let error = ended.error.unwrap();
    for error in ended.retried.iter().chain([&error]) {
        assert_eq!(verdict(error), NOT_SENT);
        assert_eq!(kind(error), Some(ExchangeErrorKind::Connect));
    }
    assert!(error.to_string().starts_with("could not connect to the server: "), "{error}");
}

/// A listener whose queue is full, so that the system answers no further `SYN`; and what fills it.
async fn black_hole(addr: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(addr).unwrap();
    // The queue takes one more than it is told to.
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let filling =
        [TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap()];
    (listener, filling.into())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn f002_a_black_hole_meets_the_connect_deadline() {
    let (listener, _filling) = black_hole((Ipv4Addr::LOCALHOST, 0).into()).await;
    let mut provider = provider(&format!("http://{}/v1", listener.local_addr().unwrap()));
    provider.deadlines.connect = MOMENT;
    let error = fail(&ResponsesClient::new(provider).unwrap()).await;
    assert_timeout(&error, Phase::Connect);
    assert!(!error.may_have_been_processed());
}

/// What a name resolves to.
#[derive(Clone)]
enum Names {
    Unknown,
    Silent,
    Are(Vec<SocketAddr>),
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            match names {
                Self::Unknown => Err(io::Error::other("no such name").into()),
                Self::Silent => std::future::pending().await,
                Self::Are(addrs) => Ok(Box::new(addrs.into_iter()) as Addrs),
            }
        })
    }
}

/// A client that looks names up in `names`.
fn resolving(names: Names, base_url: &str) -> ResponsesClient {
    resolving_within(NEVER, names, base_url)
}

fn resolving_within(connect: Duration, names: Names, base_url: &str) -> ResponsesClient {
    let http = builder().connect_timeout(connect).dns_resolver(Arc::new(names)).build().unwrap();
    over(provider(base_url), http)
}

#[tokio::test]
async fn f003_a_name_that_is_unknown_silent_or_empty_is_typed() {
    let base_url = "http://model.test/v1";
    for names in [Names::Unknown, Names::Are(Vec::new())] {
        let error = fail(&resolving(names, base_url)).await;
        assert_eq!(verdict(&error), NOT_SENT);
        assert!(!error.to_string().contains("model.test"), "{error}");
    }
    let error = fail(&resolving_within(MOMENT, Names::Silent, base_url)).await;
    assert_timeout(&error, Phase::Connect);
    assert!(!error.may_have_been_processed());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn f004_the_second_address_is_tried_when_the_first_is_dead() {
    let server = Server::start([Reply::text("hello"), Reply::text("hello")]).await.unwrap();
    let live = server.addr();
    let dead = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), live.port()));
    let base_url = format!("http://model.test:{}/v1", live.port());
    // Refused.
    succeed(&resolving(Names::Are(vec![dead, live]), &base_url)).await;
    // Silent: each address gets its share of the time.
    let _hole = black_hole(dead).await;
    let names = Names::Are(vec![dead, live]);
    succeed(&resolving_within(Duration::from_secs(4), names, &base_url)).await;
    server.assert_complete();
}

#[tokio::test]
async fn f006_a_stalled_handshake_meets_the_connect_deadline() {
    let silent = Gate::new("silent");
    let courses = [Course::new().hold(&silent), Course::new().read(5).hold(&silent)];
    let server = RawServer::start(courses).await.unwrap();
    for _ in 0..2 {
        let mut provider = provider(&format!("https://{}/v1", server.addr()));
        provider.deadlines.connect = MOMENT;
        let error = fail(&ResponsesClient::new(provider).unwrap()).await;
        assert_timeout(&error, Phase::Connect);
        assert!(!error.may_have_been_processed());
    }
    server.wait_for_connections(2).await;
    silent.open();
    server.connection_closed(0).await;
    server.connection_closed(1).await;
}
