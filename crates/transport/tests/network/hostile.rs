//! Servers that break HTTP itself. They run in a process of their own, whose memory is watched.

use bytes::Bytes;
use longhaul_testkit::raw::{Course, RawServer, http2};
use longhaul_testkit::server::{Framing, Reply};
use longhaul_transport::{ErrorCode, ResponsesClient};

use super::child::{peak_memory, with_own_roots};
use super::support::{MOMENT, attempt, client, fail, hello, http2_with, provider, succeed};

const MIB: u64 = 1024 * 1024;

fn body() -> String {
    String::from_utf8(Reply::sse().events(hello().completed()).body()).unwrap()
}

fn head(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{lines}\r\n")
}

fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

/// A whole response, properly framed.
fn good() -> Course {
    let body = body();
    let head = head(&format!("content-length: {}\r\n", body.len()));
    Course::new().read_request().write(head + &body)
}

/// What the first request gets; then the connection must not be used again.
async fn assert_broken(name: &str, course: Course, codes: &[ErrorCode]) {
    let server = RawServer::start([course, good()]).await.unwrap();
    let client = client(&server.base_url());
    let error = fail(&client).await;
    assert!(codes.contains(&error.code()), "{name}: {error:?}");
    assert!(error.is_retryable(), "{name}");
    assert!(error.to_string().len() < 2048, "{name}");
    succeed(&client).await;
    assert_eq!(server.connections(), 2, "{name}: the connection was used again");
}

const HEAD: &[ErrorCode] = &[ErrorCode::ConnectionFailed];
const BODY: &[ErrorCode] = &[ErrorCode::StreamIncomplete];

#[cfg(target_os = "linux")]
#[test]
fn f053_broken_framing_is_typed_and_its_connection_dropped() {
    with_own_roots("hostile::f053_broken_framing_is_typed_and_its_connection_dropped", |_| async {
        let whole = body();
        let (begin, chunked) = (&whole[..200], "transfer-encoding: chunked\r\n");
        let length = |bytes: usize| format!("content-length: {bytes}\r\n");
        let answer =
            |lines: &str, rest: String| Course::new().read_request().write(head(lines) + &rest);
        let table = [
            ("two lengths", answer(&(length(9) + &length(whole.len())), whole.clone()), HEAD),
            ("a length that is none", answer("content-length: 1x\r\n", whole.clone()), HEAD),
            ("a negative length", answer("content-length: -1\r\n", whole.clone()), HEAD),
            ("an unknown coding", answer("transfer-encoding: chonked\r\n", begin.into()), BODY),
            ("a short length", answer(&length(200), whole.clone()), BODY),
            ("a long length", answer(&length(9999), begin.into()), BODY),
            ("a chunk size that is none", answer(chunked, chunk(begin) + "zz\r\n" + &whole), BODY),
            (
                "an endless chunk size",
                answer(chunked, chunk(begin) + &"f".repeat(40) + "\r\n"),
                BODY,
            ),
            (
                "a chunk longer than it says",
                answer(chunked, format!("10\r\n{begin}\r\n0\r\n\r\n")),
                BODY,
            ),
            ("a chunk that breaks off", answer(chunked, format!("fff\r\n{begin}")), BODY),
            ("no last chunk", answer(chunked, chunk(begin)), BODY),
            ("no head", Course::new().read_request().write("\r\n\r\n\0\0"), HEAD),
            (
                "a version that is none",
                Course::new().read_request().write("HTTP/9.9 200 OK\r\n\r\n"),
                HEAD,
            ),
        ];
        for (name, course, codes) in table {
            assert_broken(name, course, codes).await;
        }
        // 16 MiB of extension to one chunk.
        let course = Course::new().read_request().write(head(chunked) + &chunk(begin) + "5;");
        assert_broken("an extension", course.flood("x".repeat(65_536), 256), BODY).await;
        let peak = peak_memory();
        assert!(peak < 150 * MIB, "{peak} bytes");
    });
}

/// Two framings at once: the chunked one counts (RFC 9112, 6.3), and nothing else comes over that connection.
#[tokio::test]
async fn f053_a_length_beside_chunks_is_not_believed() {
    let whole = body();
    for lines in [
        "content-length: 9\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 9\r\n",
    ] {
        let planted = "HTTP/1.1 500 Planted\r\ncontent-length: 0\r\n\r\n";
        let answer = head(lines) + &chunk(&whole) + "0\r\n\r\n" + planted;
        let server =
            RawServer::start([Course::new().read_request().write(answer), good()]).await.unwrap();
        let client = client(&server.base_url());
        succeed(&client).await;
        succeed(&client).await;
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn f053_trailers_and_early_hints_do_no_harm() {
    let whole = body();
    let trailers = chunk(&whole) + "0\r\nx-sum: 1\r\nx-request-id: late\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n".repeat(3);
    let answers = [
        head("transfer-encoding: chunked\r\n") + &trailers,
        hints + &head(&format!("content-length: {}\r\n", whole.len())) + &whole,
    ];
    for answer in answers {
        let server = RawServer::start([Course::new().read_request().write(answer)]).await.unwrap();
        succeed(&client(&server.base_url())).await;
    }
    let server = longhaul_testkit::server::Server::start(Reply::text("x").framing(Framing::Close));
    succeed(&client(&server.await.unwrap().base_url())).await;
}

/// So much at once, so that a flood is one of frames and not of system calls.
fn many(frame: &[u8]) -> Bytes {
    frame.repeat(65_536 / frame.len() + 1).into()
}

/// A header block that names a header of 4,000 bytes 12,000 times.
fn hpack_bomb() -> Bytes {
    // Literal with indexing, new name `a`; 4000 = 127 + 3873 in the prefix code; then the entry that this made.
    let value = [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'v'; 4000], &[0xbe; 12_000]].concat();
    http2::frame(
        http2::HEADERS,
        http2::END_HEADERS,
        1,
        &[&http2::event_stream_head()[..], &value].concat(),
    )
}

/// What a client makes of a flood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Borne {
    /// It closes the connection.
    No,
    /// It bears it for as long as someone wants the connection; for a response there is a deadline.
    Yes,
}

fn floods() -> Vec<(&'static str, Borne, Vec<Bytes>, Bytes)> {
    let open = || http2::frame(http2::HEADERS, 0, 1, &http2::event_stream_head());
    let more = |payload: &[u8]| http2::frame(http2::CONTINUATION, 0, 1, payload);
    let begun = || http2::event_stream(1);
    let promise = [&2_u32.to_be_bytes()[..], &http2::event_stream_head()].concat();
    let interim = http2::frame(http2::HEADERS, http2::END_HEADERS, 1, b"\x08\x03103");
    let window = |bytes: u32| http2::frame(0x8, 0, 0, &bytes.to_be_bytes());
    vec![
        ("continuation", Borne::No, vec![open()], many(&more(b"\x00\x01a\x01b"))),
        ("empty continuation", Borne::No, vec![open()], many(&more(b""))),
        ("settings", Borne::Yes, vec![], many(&http2::settings(&[(4, 65_535)]))),
        (
            "settings in the stream",
            Borne::Yes,
            vec![begun()],
            many(&http2::settings(&[(4, 65_535)])),
        ),
        ("ping", Borne::Yes, vec![], many(&http2::frame(http2::PING, 0, 0, b"12345678"))),
        (
            "ping in the stream",
            Borne::Yes,
            vec![begun()],
            many(&http2::frame(http2::PING, 0, 0, b"12345678")),
        ),
        ("reset", Borne::Yes, vec![begun()], many(&http2::rst_stream(1, 8))),
        ("reset of nothing", Borne::No, vec![begun()], many(&http2::rst_stream(3, 8))),
        (
            "hpack",
            Borne::No,
            vec![hpack_bomb()],
            many(&http2::frame(http2::PING, 0, 0, b"12345678")),
        ),
        (
            "push",
            Borne::No,
            vec![begun()],
            many(&http2::frame(http2::PUSH_PROMISE, http2::END_HEADERS, 1, &promise)),
        ),
        ("empty data", Borne::No, vec![begun()], many(&http2::data(1, b""))),
        ("interim", Borne::Yes, vec![], many(&interim)),
        ("window", Borne::Yes, vec![begun()], many(&window(1))),
        ("window overflow", Borne::No, vec![begun()], many(&window(0x7fff_ffff))),
        (
            "a frame too large",
            Borne::No,
            vec![begun()],
            many(&http2::data(1, &b"x".repeat(17_000))),
        ),
        ("unknown frames", Borne::Yes, vec![begun()], many(&http2::frame(0xee, 0xff, 1, b"what"))),
    ]
}

#[cfg(target_os = "linux")]
#[test]
fn f054_hostile_http2_is_typed_closed_and_bounded() {
    with_own_roots("hostile::f054_hostile_http2_is_typed_closed_and_bounded", |_| async {
        for (name, borne, begin, flood) in floods() {
            let begin = [vec![http2::settings(&[])], begin].concat().concat();
            let course = Course::new().read_http2_request().write(begin).flood(flood, u64::MAX);
            let server = RawServer::start([course]).await.unwrap();
            let mut provider = provider(&server.base_url());
            if borne == Borne::Yes {
                provider.deadlines.headers = 4 * MOMENT;
                provider.deadlines.first_event = 4 * MOMENT;
            }
            let client: ResponsesClient = http2_with(provider);
            let (events, error) = attempt(&client).await;
            let error = error.unwrap();
            assert!(events.is_empty(), "{name}");
            let codes =
                [ErrorCode::ConnectionFailed, ErrorCode::StreamIncomplete, ErrorCode::Timeout];
            assert!(codes.contains(&error.code()), "{name}: {error:?}");
            assert!(error.is_retryable() && error.to_string().len() < 2048, "{name}");
            if borne == Borne::No {
                assert_ne!(error.code(), ErrorCode::Timeout, "{name}: {error:?}");
                server.connection_closed(0).await;
            }
            drop(client);
            server.connection_closed(0).await;
            let peak = peak_memory();
            assert!(peak < 100 * MIB, "{name}: {peak} bytes");
        }
    });
}
