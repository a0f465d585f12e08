//! The exchange over reqwest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::{Body, Frame, SizeHint};

use super::{Exchange, ExchangeError, ExchangeErrorKind, HttpRequest, HttpResponse, SentSignal};

/// The body is handed to the network in pieces of this size, so that the end of sending is seen.
const UPLOAD_PIECE_BYTES: usize = 64 * 1024;

/// A pool of HTTP connections. Cloning shares it.
#[derive(Debug, Clone)]
pub struct ReqwestExchange {
    client: reqwest::Client,
}

impl ReqwestExchange {
    /// A pool of its own: HTTP/1.1 and HTTP/2, TLS by rustls with the platform's roots, no
    /// redirects, no retries, no proxy from the environment, no cookies, no compression.
    ///
    /// # Errors
    ///
    /// [`ExchangeErrorKind::Connect`] if the platform's certificates cannot be loaded.
    pub fn new(connect: Duration) -> Result<Self, ExchangeError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            .connect_timeout(connect)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .map_err(|e| classify(e.without_url()))?;
        Ok(Self::with_client(client))
    }

    /// A client of the caller's, for its own proxies, roots or pool. It should follow no redirect
    /// and repeat nothing, or what this crate says of both no longer holds.
    pub fn with_client(client: reqwest::Client) -> Self {
        Self { client }
    }
}

/// TLS with `ring`, which builds without CMake or assembler tools. Nothing process-wide is set.
fn tls_config() -> Result<rustls::ClientConfig, ExchangeError> {
    let fail = |e: rustls::Error| ExchangeError::new(ExchangeErrorKind::Connect, e);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(fail)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(fail)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[async_trait]
impl Exchange for ReqwestExchange {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let upload = Upload { rest: request.body, sent: request.sent };
        let response = self
            .client
            .post(request.url)
            .headers(request.headers)
            .body(reqwest::Body::wrap(upload))
            .send()
            .await
            .map_err(|e| classify(e.without_url()))?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = stream::try_unfold(response, |mut response| async {
            let piece = response.chunk().await.map_err(|e| classify(e.without_url()))?;
            Ok(piece.map(|piece| (piece, response)))
        });
        Ok(HttpResponse::new(status, headers, body.boxed()))
    }
}

fn classify(error: reqwest::Error) -> ExchangeError {
    let kind = match (error.is_connect(), error.is_timeout()) {
        (_, true) => ExchangeErrorKind::ConnectTimeout,
        (true, false) => ExchangeErrorKind::Connect,
        (false, false) => ExchangeErrorKind::Broken,
    };
    ExchangeError::new(kind, error)
}

/// A body of known length that tells when its last byte was taken.
struct Upload {
    rest: Bytes,
    sent: SentSignal,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            self.sent.sent();
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(UPLOAD_PIECE_BYTES);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.sent.sent();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
