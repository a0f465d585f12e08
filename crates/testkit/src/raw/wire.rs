//! Runs a course over a socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Connection;
use super::course::{Course, Step};
use super::http2;

/// What a course may make the server keep of one connection.
const MAX_RECEIVED_BYTES: usize = 256 * 1024 * 1024;

pub(super) struct Wire {
    stream: TcpStream,
    /// Read, but not yet taken by a step.
    ahead: BytesMut,
    preface_read: bool,
    noted: Noted,
}

/// Notes the end of the connection, however its task ends. Dropped after the stream.
struct Noted {
    number: usize,
    log: Arc<watch::Sender<Vec<Connection>>>,
}

impl Noted {
    fn edit(&self, change: impl FnOnce(&mut Connection)) {
        self.log.send_modify(|log| {
            if let Some(connection) = log.get_mut(self.number) {
                change(connection);
            }
        });
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.edit(|connection| connection.ended = true);
    }
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        number: usize,
        log: Arc<watch::Sender<Vec<Connection>>>,
    ) -> Self {
        // Best effort: without it writes come late, not wrong.
        let _ = stream.set_nodelay(true);
        let noted = Noted { number, log };
        Self { stream, ahead: BytesMut::new(), preface_read: false, noted }
    }

    /// Runs the course, or as much of it as the client waits for.
    pub(super) async fn run(mut self, course: Course) {
        for step in course.steps {
            if matches!(step, Step::Rst) {
                // Lingering for no time makes the close a reset.
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                return;
            }
            if self.step(step).await.is_err() {
                return;
            }
        }
        // A client that is gone already needs no end.
        let _ = self.stream.shutdown().await;
        let _ = drain(&mut self.stream).await;
    }

    async fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Read(bytes) => self.take(bytes).await.map(drop),
            Step::ReadHead => self.head().await.map(drop),
            Step::ReadRequest => self.request().await,
            Step::ReadHttp2 { kinds, flags } => self.http2_frames(kinds, flags).await,
            Step::Write(bytes) => self.write(&bytes).await,
            Step::Flood { bytes, times } => self.flood(&bytes, times).await,
            Step::Hold(gate) => {
                gate.pass().await;
                Ok(())
            }
            Step::Drain => drain(&mut self.stream).await,
            Step::Rst => Ok(()),
        }
    }

    /// The next `count` bytes; not one more is read.
    async fn take(&mut self, count: usize) -> io::Result<Bytes> {
        while self.ahead.len() < count {
            let mut piece = vec![0; (count - self.ahead.len()).min(64 * 1024)];
            let read = self.stream.read(&mut piece).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.ahead.extend_from_slice(&piece[..read]);
            self.noted.edit(|connection| {
                let room = MAX_RECEIVED_BYTES.saturating_sub(connection.received.len());
                connection.received.extend_from_slice(&piece[..read.min(room)]);
            });
        }
        Ok(self.ahead.split_to(count).freeze())
    }

    async fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend_from_slice(&self.take(1).await?);
        }
        Ok(head)
    }

    async fn request(&mut self) -> io::Result<()> {
        let head = String::from_utf8_lossy(&self.head().await?).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        self.take(length).await.map(drop)
    }

    async fn http2_frames(&mut self, kinds: &[u8], wanted: u8) -> io::Result<()> {
        if !self.preface_read {
            self.take(http2::PREFACE.len()).await?;
            self.preface_read = true;
        }
        loop {
            let head = self.take(http2::HEAD_BYTES).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let (kind, flags) = (head[3], head[4]);
            let payload = self.take(usize::try_from(length).unwrap_or(usize::MAX)).await?;
            if matches!(kind, http2::SETTINGS | http2::PING) && flags & http2::ACK == 0 {
                let echo: &[u8] = if kind == http2::PING { &payload } else { &[] };
                self.write(&http2::frame(kind, http2::ACK, 0, echo)).await?;
            }
            if kinds.contains(&kind) && flags & wanted == wanted {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.noted.edit(|connection| connection.written_bytes += bytes.len() as u64);
        Ok(())
    }

    async fn flood(&mut self, bytes: &[u8], times: u64) -> io::Result<()> {
        let (mut read, mut write) = self.stream.split();
        let noted = &self.noted;
        let writing = async {
            for _ in 0..times {
                write.write_all(bytes).await?;
                noted.edit(|connection| connection.written_bytes += bytes.len() as u64);
            }
            Ok(())
        };
        tokio::select! {
            written = writing => written,
            closed = drain(&mut read) => closed.and(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Reads and forgets until the end.
async fn drain(read: &mut (impl AsyncReadExt + Unpin)) -> io::Result<()> {
    let mut piece = vec![0; 16 * 1024];
    while read.read(&mut piece).await? > 0 {}
    Ok(())
}
