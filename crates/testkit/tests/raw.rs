//! The raw server: every step as it says, and what it notes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;

use longhaul_testkit::raw::{Course, RawServer, http2};
use longhaul_testkit::server::Gate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn connect(server: &RawServer) -> TcpStream {
    TcpStream::connect(server.addr()).await.unwrap()
}

async fn read_all(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.map(|_| bytes)
}

#[tokio::test]
async fn each_connection_takes_its_course_and_the_last_one_is_repeated() {
    let server =
        RawServer::start([Course::new().write("a"), Course::new().write("b")]).await.unwrap();
    assert_eq!(server.connections(), 0);
    for (number, expected) in [b"a", b"b", b"b"].into_iter().enumerate() {
        let mut client = connect(&server).await;
        assert_eq!(read_all(&mut client).await.unwrap(), expected);
        drop(client);
        server.connection_closed(number).await;
        assert_eq!(server.written_bytes(number), 1);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn no_more_is_read_than_a_step_asks_for() {
    let gate = Gate::new("after three bytes");
    let server = RawServer::start([Course::new().read(3).hold(&gate).read(2)]).await.unwrap();
    let mut client = connect(&server).await;
    client.write_all(b"abcdefg").await.unwrap();
    gate.reached().await;
    assert_eq!(server.received(0), b"abc");
    gate.open();
    assert_eq!(read_all(&mut client).await.unwrap(), b"");
    assert_eq!(server.received(0), b"abcde");
    drop(client);
    server.connection_closed(0).await;
}

#[tokio::test]
async fn heads_and_requests_end_where_they_end() {
    let (head, body) = ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n", "body");
    let courses = [Course::new().read_head().write("!"), Course::new().read_request().write("!")];
    let server = RawServer::start(courses).await.unwrap();
    for (number, expected) in [head.to_owned(), [head, body].concat()].into_iter().enumerate() {
        let mut client = connect(&server).await;
        client.write_all(format!("{head}{body}more").as_bytes()).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'!');
        assert_eq!(server.received(number), expected.as_bytes());
    }
}

#[tokio::test]
async fn an_http2_request_ends_with_its_stream_and_is_acknowledged_meanwhile() {
    let server =
        RawServer::start([Course::new().read_http2_request().read_http2_reset().write("!")])
            .await
            .unwrap();
    let mut client = connect(&server).await;
    let (settings, ping) =
        (http2::settings(&[(4, 1)]), http2::frame(http2::PING, 0, 0, b"12345678"));
    assert_eq!(settings[..], [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]);
    let acknowledged = http2::frame(http2::SETTINGS, http2::ACK, 0, b"");
    let request = http2::frame(http2::HEADERS, http2::END_HEADERS, 1, b"\x82");
    let end = http2::frame(http2::DATA, http2::END_STREAM, 1, b"{}");
    client
        .write_all(&[http2::PREFACE, &settings, &acknowledged, &ping, &request, &end].concat())
        .await
        .unwrap();
    client.write_all(&http2::rst_stream(1, 8)).await.unwrap();
    let echoes = [&acknowledged[..], &http2::frame(http2::PING, http2::ACK, 0, b"12345678"), b"!"];
    assert_eq!(read_all(&mut client).await.unwrap(), echoes.concat());
    assert!(server.received(0).ends_with(&http2::rst_stream(1, 8)));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_flood_ends_with_its_reader() {
    let courses = [
        Course::new().read(1).rst(),
        Course::new().flood("abc", u64::MAX),
        Course::new().flood("ab", 3),
    ];
    let server = RawServer::start(courses).await.unwrap();
    let mut client = connect(&server).await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(read_all(&mut client).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    server.connection_closed(0).await;

    let mut client = connect(&server).await;
    let mut some = vec![0; 300_000];
    client.read_exact(&mut some).await.unwrap();
    assert!(some.chunks(3).all(|piece| piece == b"abc"));
    drop(client);
    server.connection_closed(1).await;
    assert!(server.written_bytes(1) >= 299_997);

    assert_eq!(read_all(&mut connect(&server).await).await.unwrap(), b"ababab");
}

#[tokio::test]
async fn dropping_the_server_closes_what_it_holds() {
    let gate = Gate::new("never");
    let server = RawServer::start([Course::new().hold(&gate)]).await.unwrap();
    let mut client = connect(&server).await;
    gate.reached().await;
    drop(server);
    assert_eq!(read_all(&mut client).await.unwrap(), b"");
}
