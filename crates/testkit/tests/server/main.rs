//! The scripted server, driven byte by byte over raw sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod events;
mod faults;
mod program;
mod record;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use longhaul_testkit::server::{Reply, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const EMPTY: &str = r#"{"input":[]}"#;

fn post(body: &str) -> String {
    format!("POST /v1/responses HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn send(server: &Server, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.addr()).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

/// Reads until the server closes: all bytes, and whether it was a reset.
async fn read_to_close(client: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes).await {
        Ok(_) => (bytes, false),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            (bytes, true)
        }
    }
}

/// Reads until what was read ends with `end`.
async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn split_head(answer: &[u8]) -> (&str, &[u8]) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    (std::str::from_utf8(&answer[..end]).unwrap(), &answer[end..])
}

/// The chunks of a chunked body, and whether it has its end.
fn chunks(mut body: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut chunks = Vec::new();
    while let Ok(httparse::Status::Complete((start, len))) = httparse::parse_chunk_size(body) {
        let end = start + usize::try_from(len).unwrap();
        assert_eq!(&body[end..end + 2], b"\r\n");
        if len == 0 {
            assert_eq!(body.len(), end + 2, "bytes after the end");
            return (chunks, true);
        }
        chunks.push(body[start..end].to_vec());
        body = &body[end + 2..];
    }
    assert_eq!(body, b"", "a half chunk");
    (chunks, false)
}

/// Everything that the server says to one request before it closes.
async fn answer(reply: Reply) -> (String, Vec<u8>) {
    let server = Server::start(reply).await.unwrap();
    let mut client =
        send(&server, &post(EMPTY).replacen("\r\n", "\r\nConnection: close\r\n", 1)).await;
    let (bytes, reset) = read_to_close(&mut client).await;
    assert!(!reset);
    server.assert_complete();
    let (head, body) = split_head(&bytes);
    (head.to_owned(), body.to_vec())
}

fn panic_message(action: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(action)).unwrap_err();
    payload.downcast_ref::<String>().unwrap().clone()
}
