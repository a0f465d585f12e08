//! Bytes as scripted: splits, gates, framings, cuts, connections kept open.

use std::io;

use longhaul_testkit::server::{Cut, Framing, Gate, Reply, ReplyOutcome, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{EMPTY, answer, chunks, post, read_to_close, read_until, send, split_head};

#[tokio::test]
async fn pieces_arrive_as_they_were_split() {
    let text = Reply::text("schöner Gruß");
    let body = text.body();
    let (head, framed) = answer(text.clone().one_byte_pieces()).await;
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(chunks(&framed), (body.iter().map(|byte| vec![*byte]).collect(), true));

    let (_, framed) = answer(text.split_at(&[7, 3, 7, 0, 100_000])).await;
    assert_eq!(
        chunks(&framed),
        (vec![body[..3].to_vec(), body[3..7].to_vec(), body[7..].to_vec()], true)
    );
}

#[tokio::test]
async fn splits_keep_gates_where_they_were() {
    let gate = Gate::new("after three bytes");
    let reply = Reply::sse().bytes("a").bytes("bc").gate(&gate).bytes("def").split_at(&[2, 5]);
    let server = Server::start(reply).await.unwrap();
    let mut client = send(&server, &post(EMPTY)).await;
    gate.reached().await;
    assert_eq!(server.requests()[0].reply_outcome, ReplyOutcome::Held);
    let before = read_until(&mut client, "c\r\n").await;
    gate.open();
    let after = read_until(&mut client, "0\r\n\r\n").await;
    assert_eq!(split_head(before.as_bytes()).1, b"2\r\nab\r\n1\r\nc\r\n");
    assert_eq!(after, "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n");
    assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Complete);
}

#[tokio::test]
async fn heads_and_framings_are_as_asked() {
    let body = Reply::sse().event(&json!({"type": "x"})).header("retry-after", "1").status(429);
    let (head, bytes) = answer(body.clone().framing(Framing::ContentLength)).await;
    assert_eq!(
        head,
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/event-stream\r\nretry-after: 1\r\ncontent-length: 29\r\n\r\n"
    );
    assert_eq!(bytes, b"event: x\ndata: {\"type\":\"x\"}\n\n"[..].to_vec());
    let (head, bytes) = answer(body.framing(Framing::Close)).await;
    assert!(head.contains("connection: close\r\n"));
    assert_eq!(bytes, b"event: x\ndata: {\"type\":\"x\"}\n\n"[..].to_vec());

    let (head, bytes) = answer(Reply::error(500, &json!({"error": {}}))).await;
    assert_eq!(
        head,
        "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n"
    );
    assert_eq!(bytes, br#"{"error":{}}"#);

    assert_eq!(answer(Reply::sse()).await.1, b"0\r\n\r\n");

    let odd = "HTTP/1.1 099 Odd\r\n\r\nbody";
    let (head, bytes) = answer(Reply::sse().without_head().bytes(odd)).await;
    assert_eq!(head.into_bytes(), odd.as_bytes()[..20]);
    assert_eq!(bytes, b"body");
}

#[tokio::test]
async fn nothing_is_sent_before_the_head_is_released() {
    let gate = Gate::new("head");
    let server = Server::start(Reply::text("x").hold_head(&gate)).await.unwrap();
    let client = send(&server, &post(EMPTY)).await;
    gate.reached().await;
    assert_eq!(peek(client).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn cuts_leave_exactly_the_bytes_before_them() {
    let body = b"data: {\"type\":\"x\"}\n\n";
    for k in 0..=body.len() {
        for (cut, framing) in [
            (Cut::Fin, Framing::Chunked),
            (Cut::Fin, Framing::ContentLength),
            (Cut::HalfClose, Framing::Chunked),
            (Cut::Rst, Framing::Chunked),
        ] {
            // The client has read all k bytes before a reset can take them away.
            let gate = Gate::new("at the cut");
            let reply =
                Reply::sse().framing(framing).bytes(&body[..k]).gate(&gate).bytes(&body[k..]);
            let server = Server::start(reply.cut_after(k, cut)).await.unwrap();
            let mut client = send(&server, &post(EMPTY)).await;
            gate.reached().await;
            let mut received = read_until(&mut client, "\r\n\r\n").await.into_bytes();
            let framed = match framing {
                Framing::Chunked if k > 0 => {
                    [format!("{k:x}\r\n").as_bytes(), &body[..k], b"\r\n"].concat()
                }
                _ => body[..k].to_vec(),
            };
            let mut before = vec![0; framed.len()];
            client.read_exact(&mut before).await.unwrap();
            received.extend(&before);
            gate.open();
            let (after, reset) = read_to_close(&mut client).await;
            assert_eq!(
                (before, after, reset),
                (framed, Vec::new(), cut == Cut::Rst),
                "{k} {cut:?}"
            );
            assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Cut);
            if cut == Cut::HalfClose {
                // The server still reads: had it closed, the first write would make the second fail.
                client.write_all(b"more").await.unwrap();
                client.write_all(b"more").await.unwrap();
                drop(client);
            }
            server.connection_closed(0).await;
            server.assert_complete();
        }
    }
}

#[tokio::test]
async fn a_cut_inside_a_piece_sends_the_part_before_it() {
    let reply = Reply::sse().bytes("abc").bytes("def");
    for k in 0..=6 {
        let server = Server::start(reply.clone().cut_after(k, Cut::Fin)).await.unwrap();
        let (bytes, _) = read_to_close(&mut send(&server, &post(EMPTY)).await).await;
        let (pieces, ended) = chunks(split_head(&bytes).1);
        assert_eq!((pieces.concat(), ended), (b"abcdef"[..k].to_vec(), false));
    }
    let server = Server::start(Reply::sse().without_head().cut(Cut::Fin)).await.unwrap();
    assert_eq!(read_to_close(&mut send(&server, &post(EMPTY)).await).await, (Vec::new(), false));
}

#[tokio::test]
async fn a_reply_kept_open_ends_when_the_client_closes() {
    let server = Server::start(Reply::sse().bytes("abc").keep_open()).await.unwrap();
    let mut client = send(&server, &post(EMPTY)).await;
    let bytes = read_until(&mut client, "abc\r\n").await;
    assert!(bytes.ends_with("\r\n\r\n3\r\nabc\r\n"));
    assert_eq!(server.requests()[0].reply_outcome, ReplyOutcome::Held);
    let early = peek(client).unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "the server has closed");
    assert_eq!(
        server.wait_until_reply_ended(0).await,
        ReplyOutcome::ClientClosed { after_bytes: 3 }
    );
    server.connection_closed(0).await;
    server.assert_complete();
}

#[tokio::test]
async fn a_client_that_closes_at_a_gate_is_noticed() {
    let (held, inside) = (Gate::new("head"), Gate::new("inside"));
    let replies =
        [Reply::text("x").hold_head(&held), Reply::sse().bytes("ab").gate(&inside).bytes("c")];
    let server = Server::start(replies).await.unwrap();
    for (order, gate, after_bytes) in [(0, held, 0), (1, inside, 2)] {
        let client = send(&server, &post(EMPTY)).await;
        gate.reached().await;
        assert_eq!(server.requests()[order].reply_outcome, ReplyOutcome::Held);
        drop(client);
        let outcome = server.wait_until_reply_ended(order).await;
        assert_eq!(outcome, ReplyOutcome::ClientClosed { after_bytes });
        server.connection_closed(order).await;
    }
}

/// Asks the operating system, past the runtime, what has come; then closes.
fn peek(client: TcpStream) -> io::Result<usize> {
    client.into_std().unwrap().peek(&mut [0; 1])
}
