//! A scripted Responses server on loopback: real sockets, every byte under the test's control.
//!
//! A [`Script`] lists what to answer, a [`Reply`] is one answer down to its writes, a [`Gate`] stops the server at
//! a point until the test goes on, and the [`Server`] remembers every [`RecordedRequest`].
//! Nothing here sleeps or polls: a test waits for what it needs, with [`Server::wait_for_requests`],
//! [`Server::wait_until_reply_ended`], [`Server::connection_closed`] and [`Gate::reached`].
//!
//! Every scripted request is checked for the pairing of calls and outputs ([`crate::check`]). A broken one is
//! answered with HTTP 400, as a strict server would, and fails the test even if the client gets over it.
//!
//! HTTP/1.1 without TLS by default; [`Server::builder`] chooses HTTP/2 (feature `http2`) and TLS (feature `tls`).
//! On 127.0.0.1 only. All requests are kept in memory until the server is dropped. What no such server would send is
//! the part of [`crate::raw`].
//!
//! # Example
//!
//! ```
//! use longhaul_testkit::server::{Gate, Reply, ReplyOutcome, Script, Server};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let gate = Gate::new("before the head");
//! let server = Server::start(Script::new().reply(Reply::text("hello").hold_head(&gate))).await?;
//!
//! let mut client = TcpStream::connect(server.addr()).await?;
//! client
//!     .write_all(b"POST /v1/responses HTTP/1.1\r\nconnection: close\r\ncontent-length: 12\r\n\r\n{\"input\":[]}")
//!     .await?;
//! gate.reached().await;
//! assert_eq!(server.requests()[0].json()["input"], serde_json::json!([]));
//! gate.open();
//!
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(answer.contains("event: response.completed"));
//! assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Complete);
//! server.assert_complete();
//! # Ok(())
//! # }
//! ```

mod connection;
mod form;
mod gate;
#[cfg(feature = "http2")]
mod http2;
mod inbound;
mod listen;
mod outbound;
mod record;
mod reply;
mod script;
mod state;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use gate::Gate;
pub use listen::Builder;
pub use record::{RecordedRequest, ReplyOutcome};
pub use reply::{Cut, Framing, Reply};
pub use script::Script;
use state::{Log, Shared};

use crate::check::Violation;

/// A running server. Dropping it closes all connections and ends its tasks.
///
/// # Panics
///
/// Dropping panics if a request broke the pairing of calls and outputs, unless the thread is panicking already:
/// a test cannot forget to ask. [`Script::allow_broken_pairing`] switches the check off.
#[must_use = "dropping the server stops it"]
pub struct Server {
    addr: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    /// Dropped to stop the listener and its connections.
    stop: Option<oneshot::Sender<()>>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers by the script.
    ///
    /// Call it on a tokio runtime with I/O enabled (and time, if a reply pauses). The server lives on that runtime.
    ///
    /// # Errors
    ///
    /// The port cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: before it returns, nothing runs.
    pub async fn start(script: impl Into<Script>) -> io::Result<Self> {
        Self::builder().start(script).await
    }

    /// A server that speaks something else than HTTP/1.1 without TLS.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address to connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/v1`, which clients extend by `/responses`; over TLS with `https`.
    pub fn base_url(&self) -> String {
        format!("{}://{}/v1", self.scheme, self.addr)
    }

    /// The scripted requests so far, in order of arrival; the n-th got the script's n-th reply.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.borrow().requests.clone()
    }

    /// Requests for other methods or paths than the script's, each answered with 404. They fail nothing.
    pub fn other_requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.borrow().others.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.log.borrow().connections
    }

    /// Why connections failed before HTTP began, one sentence each: TLS handshakes.
    pub fn failed_handshakes(&self) -> Vec<String> {
        self.shared.log.borrow().failed_handshakes.clone()
    }

    /// Body bytes of the reply to request `order` (from 0) that are sent so far; 0 if there is no such request.
    /// Over HTTP/2 those that the client's flow-control window had room for, else those that the operating system
    /// took.
    pub fn sent_body_bytes(&self, order: usize) -> usize {
        let log = self.shared.log.borrow();
        log.sent.get(order).map_or(0, |sent| sent.load(Ordering::Relaxed))
    }

    /// What broke the pairing of calls and outputs: the request's order number, and how.
    pub fn violations(&self) -> Vec<(usize, Violation)> {
        self.shared.log.borrow().violations.clone()
    }

    /// Waits until at least `count` scripted requests have arrived whole, and returns all so far.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<RecordedRequest> {
        self.shared
            .wait_for(|log| (log.requests.len() >= count).then(|| log.requests.clone()))
            .await
    }

    /// Waits until the reply to request `order` (from 0) is complete, cut, or given up by the client.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_until_reply_ended(&self, order: usize) -> ReplyOutcome {
        let ended = |log: &Log| log.requests.get(order).map(|request| request.reply_outcome);
        self.shared.wait_for(|log| ended(log).filter(|outcome| outcome.is_end())).await
    }

    /// Waits until the reply to request `order` (from 0) has to wait for room in the client's window (HTTP/2), or
    /// has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_until_reply_blocked(&self, order: usize) -> ReplyOutcome {
        let outcome = |log: &Log| log.requests.get(order).map(|request| request.reply_outcome);
        let waits = |outcome: &ReplyOutcome| outcome.is_end() || *outcome == ReplyOutcome::Blocked;
        self.shared.wait_for(|log| outcome(log).filter(waits)).await
    }

    /// Waits until connection `connection` (from 0, see [`RecordedRequest::connection`]) is closed, by either side.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn connection_closed(&self, connection: usize) {
        self.shared.wait_for(|log| log.closed.contains(&connection).then_some(())).await;
    }

    /// Everything that [`assert_complete`](Self::assert_complete) would complain about, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        self.shared.problems()
    }

    /// Asserts that the client did what the script foresaw.
    ///
    /// # Panics
    ///
    /// If calls and outputs did not pair up in a request, scripted replies are unused, more requests came than
    /// replies were scripted, a client sent no valid HTTP, or a reply function panicked.
    #[track_caller]
    pub fn assert_complete(&self) {
        fail_unless_empty(&self.problems());
    }

    /// Closes all connections and waits until all tasks have ended. Panics as dropping does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once called, the server stops, awaited or not.
    pub async fn shutdown(mut self) {
        self.stop.take();
        if let Some(listener) = self.listener.take() {
            // It ends normally; a runtime that shuts down meanwhile has ended it too.
            let _ = listener.await;
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("log", &*self.shared.log.borrow())
            .finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fail_unless_empty(&self.shared.log.borrow().broken_pairing());
        }
    }
}

#[track_caller]
fn fail_unless_empty(problems: &[String]) {
    assert!(problems.is_empty(), "the testkit server saw problems:\n  {}", problems.join("\n  "));
}
