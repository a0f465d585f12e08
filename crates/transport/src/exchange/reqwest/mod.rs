//! The exchange over reqwest.

mod classify;
mod settings;
mod tls;
mod upload;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use self::upload::Upload;
use super::pump::pump;
use super::{DoneSignal, Exchange, ExchangeError, HttpRequest, HttpResponse};

/// A pool of HTTP connections. Cloning shares it.
///
/// The body of a response is read ahead by a task, by at most 1 MiB beyond what HTTP/2 has
/// received itself, which is at most 1 MiB again: a reader that stands still costs no more.
/// Dropping the body closes its connection (HTTP/1.1) or resets its stream (HTTP/2), unless its
/// [`DoneSignal`] was given.
#[derive(Debug, Clone)]
pub struct ReqwestExchange {
    client: reqwest::Client,
}

impl ReqwestExchange {
    /// A pool of its own: HTTP/1.1 and HTTP/2, TLS by rustls with the platform's roots, no
    /// redirects, no retries, no proxy from the environment, no cookies, no compression.
    ///
    /// `connect` is how long a new connection may take: the server's name, TCP and TLS together.
    ///
    /// # Errors
    ///
    /// [`ExchangeErrorKind::Connect`](super::ExchangeErrorKind::Connect) if the platform's
    /// certificates cannot be loaded.
    pub fn new(connect: Duration) -> Result<Self, ExchangeError> {
        settings::client(connect).map(Self::with_client)
    }

    /// A client of the caller's, for its own proxies, roots or pool. It should follow no redirect
    /// and repeat nothing, or what this crate says of both no longer holds; windows, keep-alive and
    /// the time that a connection may take are its own.
    pub fn with_client(client: reqwest::Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Exchange for ReqwestExchange {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let upload = Upload::new(request.body, request.sent);
        let response = self
            .client
            .post(request.url)
            .headers(request.headers)
            .body(reqwest::Body::wrap(upload))
            .send()
            .await
            .map_err(classify::sending)?;
        Ok(with_pump(response))
    }
}

fn with_pump(response: reqwest::Response) -> HttpResponse {
    let status = response.status();
    let headers = response.headers().clone();
    let pieces = stream::try_unfold(response, |mut response| async {
        let piece = response.chunk().await.map_err(classify::reading)?;
        Ok(piece.map(|piece| (piece, response)))
    });
    let done = DoneSignal::default();
    let body = pump(pieces.boxed(), done.clone());
    HttpResponse { done, ..HttpResponse::new(status, headers, body.boxed()) }
}
