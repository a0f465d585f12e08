//! One HTTP exchange: the seam between the client and the network.

#[cfg(feature = "http")]
mod pump;
#[cfg(feature = "http")]
mod reqwest;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;
use url::Url;

#[cfg(feature = "http")]
pub use self::reqwest::ReqwestExchange;

/// Sends one POST and gives its response. It follows no redirect, sends nothing twice, and keeps
/// no deadline but that of the connection; those are its caller's.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// Sends `request` and waits for the head of its response.
    ///
    /// # Errors
    ///
    /// An [`ExchangeError`] if no response came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the body of the response, closes the connection (over HTTP/2: ends
    /// the stream on it), unless the response's [`DoneSignal`] was given. The server may have seen
    /// the request.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ExchangeError>;
}

/// A POST.
pub struct HttpRequest {
    /// Where to.
    pub url: Url,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// To be told when there is a connection, and when the body has been handed to the network.
    pub sent: SentSignal,
}

/// Tells the caller of an exchange how far its request has come. Each step is told once or more
/// often, and a later one includes the earlier.
#[derive(Clone, Default)]
pub struct SentSignal(Arc<Progress>);

#[derive(Default)]
struct Progress {
    connected: Notify,
    sent: Notify,
}

impl SentSignal {
    /// There is a connection, and the body is asked for. An exchange that cannot tell leaves this
    /// out.
    pub fn connected(&self) {
        self.0.connected.notify_one();
    }

    /// The whole body has been handed over.
    pub fn sent(&self) {
        self.connected();
        self.0.sent.notify_one();
    }

    /// Waits for [`connected`](Self::connected). For one waiter.
    pub(crate) async fn until_connected(&self) {
        self.0.connected.notified().await;
    }

    /// Waits for [`sent`](Self::sent). For one waiter.
    pub(crate) async fn until_sent(&self) {
        self.0.sent.notified().await;
    }
}

/// Tells an exchange that its caller has all that it wants of a body and is about to drop it. The
/// exchange may then read what little is left, so that the connection can be used again; a body
/// dropped without this signal closes its connection.
#[derive(Debug, Clone, Default)]
pub struct DoneSignal(Arc<AtomicBool>);

impl DoneSignal {
    /// The caller has all that it wants.
    pub(crate) fn done(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the caller has all that it wants.
    pub fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The head of a response, and its body as it comes.
#[non_exhaustive]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body in pieces of any size.
    pub body: BoxStream<'static, Result<Bytes, ExchangeError>>,
    /// To be told when enough of the body has been read.
    pub done: DoneSignal,
}

impl HttpResponse {
    /// A response.
    pub fn new(
        status: StatusCode,
        headers: HeaderMap,
        body: BoxStream<'static, Result<Bytes, ExchangeError>>,
    ) -> Self {
        Self { status, headers, body, done: DoneSignal::default() }
    }
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeErrorKind {
    /// No connection.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The server's certificate or its TLS is not acceptable. No repetition cures that.
    Tls,
    /// The server has certainly not processed the request: the connection was closed, or the
    /// stream refused, before the server looked at it.
    NotProcessed,
    /// The connection broke.
    Broken,
}

/// A failed exchange. It holds no address, header or body.
#[derive(Debug, Clone)]
pub struct ExchangeError {
    kind: ExchangeErrorKind,
    words: Option<String>,
    source: Arc<dyn Error + Send + Sync>,
}

impl ExchangeError {
    /// A failure of `kind`, caused by `source`, which must not hold a secret.
    pub fn new(kind: ExchangeErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, words: None, source: Arc::from(source.into()) }
    }

    /// The same failure with its reason in these words, or none, in place of the source's own.
    #[must_use]
    pub fn because(mut self, words: impl Into<String>) -> Self {
        self.words = Some(words.into());
        self
    }

    /// What failed.
    pub fn kind(&self) -> ExchangeErrorKind {
        self.kind
    }

    /// The innermost cause, which says most (`Connection refused`); the layers between repeat it.
    fn innermost(&self) -> &dyn Error {
        let mut cause: &dyn Error = &*self.source;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        cause
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ExchangeErrorKind::Connect => "could not connect to the server",
            ExchangeErrorKind::ConnectTimeout => "could not connect to the server in time",
            ExchangeErrorKind::Tls => "the server's TLS is not acceptable",
            ExchangeErrorKind::NotProcessed => "the server did not take the request",
            ExchangeErrorKind::Broken => "the connection to the server broke",
        })?;
        match self.words.as_deref() {
            Some("") => Ok(()),
            Some(words) => write!(f, ": {words}"),
            None => write!(f, ": {}", self.innermost()),
        }
    }
}

impl Error for ExchangeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
