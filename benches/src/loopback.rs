//! A server on loopback that costs little and the same for every client: finished bytes, one write a
//! response, connections kept open, on a thread of its own.
//!
//! It reads what a client's POST needs and nothing else: the head up to `content-length`, and the body. A
//! user's message that begins with [`mark`] names the turn, and the [`Journal`] says when its request had
//! arrived whole and when its response began to be written.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// As much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// What is answered.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The n-th request of all is answered with the n-th of these, and so on in a circle.
    pub replies: Vec<Vec<u8>>,
    /// The server's own time: so long it thinks before it answers.
    pub pause: Duration,
    /// For this many turns the journal has room.
    pub turns: usize,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Loopback {
    addr: SocketAddr,
    journal: Arc<Journal>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What happened when, in nanoseconds since the server's start.
#[derive(Debug)]
pub struct Journal {
    start: Instant,
    turns: Vec<[AtomicU64; 2]>,
    requests: AtomicUsize,
    connections: AtomicUsize,
}

/// How the message of turn `turn` begins.
pub fn mark(turn: usize) -> String {
    format!("turn#{turn:08}")
}

impl Loopback {
    /// A server on a free port.
    ///
    /// # Errors
    ///
    /// If there is none, or no thread.
    pub fn start(script: Script) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let turns = (0..script.turns).map(|_| [const { AtomicU64::new(0) }; 2]).collect();
        let journal = Arc::new(Journal {
            start: Instant::now(),
            turns,
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kept = Arc::clone(&journal);
        let thread = std::thread::Builder::new().name("server".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, Arc::new(script), kept) => {}
                }
            });
        })?;
        Ok(Self { addr, journal, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// What happened when.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.take();
        // It ends normally, or it has panicked and said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Journal {
    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When the last request of the turn had arrived whole, and when its response began to be written;
    /// 0 for what has not happened.
    pub fn times(&self, turn: usize) -> [u64; 2] {
        self.turns
            .get(turn)
            .map_or([0; 2], |times| times.each_ref().map(|it| it.load(Ordering::Acquire)))
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    fn note(&self, turn: Option<usize>, which: usize) {
        if let Some(times) = turn.and_then(|turn| self.turns.get(turn)) {
            times[which].store(self.now(), Ordering::Release);
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    script: Arc<Script>,
    journal: Arc<Journal>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        journal.connections.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&journal)));
    }
}

/// Answers requests until the client closes.
async fn serve(
    mut stream: TcpStream,
    script: Arc<Script>,
    journal: Arc<Journal>,
) -> io::Result<()> {
    let mut read = Vec::with_capacity(READ_BYTES);
    while let Some(end) = request(&mut stream, &mut read).await? {
        let turn = marked(&read[..end]);
        journal.note(turn, 0);
        let number = journal.requests.fetch_add(1, Ordering::AcqRel);
        read.drain(..end);
        if !script.pause.is_zero() {
            tokio::time::sleep(script.pause).await;
        }
        journal.note(turn, 1);
        stream.write_all(&script.replies[number % script.replies.len()]).await?;
    }
    Ok(())
}

/// Reads until there is a whole request, and says how long it is. `None`: the client has closed.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(end) = end_of_request(read)?
            && end <= read.len()
        {
            return Ok(Some(end));
        }
        read.reserve(READ_BYTES);
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Where the request ends, as soon as its head is there.
fn end_of_request(read: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let lines = read[..head].split(|byte| *byte == b'\n');
    let mut fields = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.trim().parse::<usize>().ok());
    match length {
        Some(length) => Ok(Some(head + 4 + length)),
        None => Err(io::Error::other("a request without a content-length")),
    }
}

/// The turn that the last mark in a request names.
fn marked(request: &[u8]) -> Option<usize> {
    let mark = request.windows(5).rposition(|bytes| bytes == b"turn#")?;
    std::str::from_utf8(request.get(mark + 5..mark + 13)?).ok()?.parse().ok()
}
