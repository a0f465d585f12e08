//! Writes a reply, step by step.

use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::reply::{Ending, Framing, Head, Reply, Step};
use super::state::Entry;
use super::{Gate, ReplyOutcome};

pub(super) struct Outbound<'a, W> {
    pub(super) reply: &'a Reply,
    pub(super) write: &'a mut W,
    /// Where to note that the reply waits; none for a reply to what was no request.
    pub(super) entry: Option<&'a Entry>,
    /// Body bytes written so far, also for whoever drops this future.
    pub(super) sent: &'a AtomicUsize,
}

impl<W: AsyncWrite + Unpin> Outbound<'_, W> {
    /// Writes everything up to the ending, and says which ending that is.
    pub(super) async fn run(mut self) -> io::Result<Ending> {
        self.head().await?;
        let reply = self.reply;
        let mut ended = false;
        for (index, step) in reply.steps.iter().enumerate() {
            match step {
                Step::Gate(gate) => self.wait(gate).await,
                Step::Pause(pause) => tokio::time::sleep(*pause).await,
                // HTTP/1.1 has no such word.
                Step::GoAway => {}
                Step::Write(bytes) => {
                    // The end goes out with the last bytes: a client that then closes has had it all.
                    ended = reply.ending == Ending::Complete && index + 1 == reply.steps.len();
                    if !self.piece(bytes, ended).await? {
                        return Ok(reply.ending);
                    }
                }
            }
        }
        if reply.ending == Ending::Complete && !ended {
            self.piece(&Bytes::new(), true).await?;
        }
        Ok(reply.ending)
    }

    async fn head(&mut self) -> io::Result<()> {
        match &self.reply.head {
            Head::LeftOut => return Ok(()),
            Head::Behind(gate) => self.wait(gate).await,
            Head::Sent => {}
        }
        self.write.write_all(head(self.reply).as_bytes()).await
    }

    async fn wait(&self, gate: &Gate) {
        let note = |outcome| {
            if let Some(entry) = self.entry {
                entry.set(outcome);
            }
        };
        note(ReplyOutcome::Held);
        gate.pass().await;
        note(ReplyOutcome::Pending);
    }

    /// Writes one piece, up to the reply's limit; false if the limit left bytes out.
    async fn piece(&mut self, bytes: &Bytes, end: bool) -> io::Result<bool> {
        let left =
            self.reply.limit.map_or(usize::MAX, |limit| limit - self.sent.load(Ordering::Relaxed));
        let piece = bytes.slice(..bytes.len().min(left));
        let framed = match self.reply.framing {
            Framing::Chunked => chunk(&piece, end),
            Framing::ContentLength | Framing::Close => piece.clone(),
        };
        self.write.write_all(&framed).await?;
        self.write.flush().await?;
        self.sent.fetch_add(piece.len(), Ordering::Relaxed);
        Ok(piece.len() == bytes.len())
    }
}

fn head(reply: &Reply) -> String {
    let reason =
        StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or_default());
    for (name, value) in &reply.headers {
        // Writing into a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let framing = match reply.framing {
        Framing::Chunked => "transfer-encoding: chunked".to_owned(),
        Framing::ContentLength => format!("content-length: {}", reply.body().len()),
        Framing::Close => "connection: close".to_owned(),
    };
    head + &framing + "\r\n\r\n"
}

/// One HTTP chunk; an empty one would be the end, so it is left out.
fn chunk(piece: &[u8], end: bool) -> Bytes {
    let mut framed = Vec::new();
    if !piece.is_empty() {
        framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    }
    if end {
        framed.extend_from_slice(b"0\r\n\r\n");
    }
    framed.into()
}
