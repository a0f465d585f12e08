//! A server that is wrong on purpose: single bytes on single connections, without a protocol.
//!
//! A [`Course`] lists what happens on one connection: read so much, write these bytes, wait at a
//! [`Gate`](crate::server::Gate), close or reset. The [`RawServer`] gives the n-th connection the n-th course, counts
//! the connections, and remembers what came. [`http2`] has the few frames that a hostile HTTP/2 server needs.
//!
//! ```
//! use longhaul_testkit::raw::{Course, RawServer};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let two_lengths = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
//! let server = RawServer::start([Course::new().read_request().write(two_lengths)]).await?;
//!
//! let mut client = TcpStream::connect(server.addr()).await?;
//! client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert_eq!(answer, two_lengths);
//! assert!(server.received(0).ends_with(b"{}"));
//! # Ok(())
//! # }
//! ```

mod course;
pub mod http2;
mod wire;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use course::Course;

/// A running server. Dropping it closes all connections and ends its tasks.
#[must_use = "dropping the server stops it"]
pub struct RawServer {
    addr: SocketAddr,
    log: Arc<watch::Sender<Vec<Connection>>>,
    _stop: oneshot::Sender<()>,
}

/// What happened on one connection.
#[derive(Clone, Default)]
struct Connection {
    received: Vec<u8>,
    written_bytes: u64,
    /// The course is through, or the client closed before.
    ended: bool,
}

impl RawServer {
    /// Listens on a free port of 127.0.0.1. The n-th connection takes the n-th course; all further ones take the last.
    ///
    /// # Errors
    ///
    /// The port cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: before it returns, nothing runs.
    pub async fn start(courses: impl IntoIterator<Item = Course>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let log = Arc::new(watch::Sender::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let courses = courses.into_iter().collect();
        tokio::spawn(accept(listener, courses, stopped, Arc::clone(&log)));
        Ok(Self { addr, log, _stop: stop })
    }

    /// The address to connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.log.borrow().len()
    }

    /// What came on connection `connection` (from 0) and was read; nothing if there is no such connection. What
    /// comes after a course has begun to [flood](Course::flood) or to [drain](Course::drain) is not kept.
    pub fn received(&self, connection: usize) -> Vec<u8> {
        self.log.borrow().get(connection).map(|one| one.received.clone()).unwrap_or_default()
    }

    /// How many bytes of connection `connection` (from 0) the operating system has taken.
    pub fn written_bytes(&self, connection: usize) -> u64 {
        self.log.borrow().get(connection).map(|one| one.written_bytes).unwrap_or_default()
    }

    /// Waits until at least `count` connections were accepted.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_for_connections(&self, count: usize) {
        self.wait_for(|log| log.len() >= count).await;
    }

    /// Waits until connection `connection` (from 0) is closed, by either side.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn connection_closed(&self, connection: usize) {
        self.wait_for(|log| log.get(connection).is_some_and(|one| one.ended)).await;
    }

    async fn wait_for(&self, condition: impl Fn(&[Connection]) -> bool) {
        // The sender lives as long as `self`, so the only error, a closed channel, cannot be.
        let _ = self.log.subscribe().wait_for(|log| condition(log)).await;
    }
}

impl fmt::Debug for RawServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawServer")
            .field("addr", &self.addr)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Owns the connections: they end with it, and it ends when the server is dropped.
async fn accept(
    listener: TcpListener,
    courses: Vec<Course>,
    mut stopped: oneshot::Receiver<()>,
    log: Arc<watch::Sender<Vec<Connection>>>,
) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { break };
                let course = courses.get(number).or(courses.last()).cloned().unwrap_or_default();
                log.send_modify(|log| log.push(Connection::default()));
                let wire = wire::Wire::new(stream, number, Arc::clone(&log));
                connections.spawn(wire.run(course));
                number += 1;
            }
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}
