//! One HTTP exchange: the seam between the client and the network.

#[cfg(feature = "http")]
mod reqwest;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

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
    /// Dropping the future, or the body of the response, closes the connection. The server may
    /// have seen the request.
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
    /// To be told when the body has been handed to the network.
    pub sent: SentSignal,
}

/// Tells the caller of an exchange that its request is on its way.
#[derive(Clone, Default)]
pub struct SentSignal(Arc<Notify>);

impl SentSignal {
    /// The whole body has been handed over.
    pub fn sent(&self) {
        self.0.notify_one();
    }

    /// Waits for [`sent`](Self::sent).
    pub(crate) async fn wait(&self) {
        self.0.notified().await;
    }
}

/// The head of a response, and its body as it comes.
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body in pieces of any size.
    pub body: BoxStream<'static, Result<Bytes, ExchangeError>>,
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeErrorKind {
    /// No connection.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The connection broke.
    Broken,
}

/// A failed exchange. It holds no address, header or body.
#[derive(Debug, Clone)]
pub struct ExchangeError {
    kind: ExchangeErrorKind,
    source: Arc<dyn Error + Send + Sync>,
}

impl ExchangeError {
    /// A failure of `kind`, caused by `source`, which must not hold a secret.
    pub fn new(kind: ExchangeErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Arc::from(source.into()) }
    }

    /// What failed.
    pub fn kind(&self) -> ExchangeErrorKind {
        self.kind
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ExchangeErrorKind::Connect => "could not connect to the server",
            ExchangeErrorKind::ConnectTimeout => "could not connect to the server in time",
            ExchangeErrorKind::Broken => "the connection to the server broke",
        })?;
        // The innermost cause says most (`Connection refused`); the layers between repeat it.
        let mut cause: &dyn Error = &*self.source;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        write!(f, ": {cause}")
    }
}

impl Error for ExchangeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
