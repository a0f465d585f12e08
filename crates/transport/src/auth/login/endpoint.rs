//! One refresh, over the wire: what was sent, and what that did to the refresh token.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use super::reply::{Refusal, Reply, request_body};
use crate::exchange::{
    Exchange, ExchangeError, ExchangeErrorKind, HttpRequest, HttpResponse, SentSignal,
};
use crate::retry::advised_wait;
use crate::{ErrorCode, ModelError, Secret};

/// As much of an answer is read; real ones have a few kilobytes.
const MAX_REPLY_BYTES: usize = 1024 * 1024;

/// What an exchange came to.
pub(super) enum Answer {
    /// The server answered with tokens.
    Renewed(Reply),
    /// The token was certainly not used: it never arrived, or the server said so.
    Unused(ModelError),
    /// Nobody here knows whether the token was used.
    Lost(ModelError),
    /// The server does not take the token: now, or ever.
    Refused { error: ModelError, is_final: bool },
}

/// The server's side of a refresh.
pub(super) struct Endpoint<'a> {
    pub(super) exchange: &'a dyn Exchange,
    pub(super) url: &'a Url,
    pub(super) client_id: &'a str,
    /// From the first byte to the last.
    pub(super) limit: Duration,
}

impl Endpoint<'_> {
    /// Sends `refresh` once. `redact` takes all secrets out of a text.
    pub(super) async fn renew(&self, refresh: &Secret, redact: impl Fn(&str) -> String) -> Answer {
        let sent = SentSignal::default();
        match timeout(self.limit, self.exchange(refresh, sent.clone())).await {
            Err(_) => {
                let limit = self.limit.as_millis();
                Answer::Lost(transient(format!(
                    "the token endpoint gave no answer within {limit} ms"
                )))
            }
            Ok(Err(error)) => broken(&error, sent.until_connected().now_or_never().is_some()),
            Ok(Ok((status, _, body))) if status.is_success() => {
                Reply::read(&body).map_or_else(|| Answer::Lost(no_reply(status)), Answer::Renewed)
            }
            Ok(Ok((status, headers, body))) => {
                let refusal = Refusal::read(&body, redact);
                refused(status, &refusal, advised_wait(&headers, SystemTime::now()))
            }
        }
    }

    async fn exchange(
        &self,
        refresh: &Secret,
        sent: SentSignal,
    ) -> Result<(StatusCode, HeaderMap, Zeroizing<Vec<u8>>), ExchangeError> {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
        let body = Bytes::from_owner(request_body(self.client_id, refresh));
        let request = HttpRequest { url: self.url.clone(), headers, body, sent };
        let HttpResponse { status, headers, mut body, done } = self.exchange.send(request).await?;
        // Reserved, so that no copy of a token stays behind when the buffer grows.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_REPLY_BYTES));
        while let Some(piece) = body.next().await {
            let piece = piece?;
            let room = MAX_REPLY_BYTES - text.len();
            text.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                break;
            }
        }
        done.done();
        Ok((status, headers, text))
    }
}

/// `sent`: a connection had asked for the body.
fn broken(error: &ExchangeError, sent: bool) -> Answer {
    let message = format!("the login could not be refreshed: {error}");
    let failed = transient(message).with_source(error.clone());
    match error.kind() {
        ExchangeErrorKind::NotProcessed => Answer::Unused(failed),
        ExchangeErrorKind::Tls if !sent => Answer::Unused(failed.retryable(false)),
        ExchangeErrorKind::Connect | ExchangeErrorKind::ConnectTimeout if !sent => {
            Answer::Unused(failed)
        }
        _ => Answer::Lost(failed),
    }
}

fn no_reply(status: StatusCode) -> ModelError {
    transient("the token endpoint's answer holds no tokens: it is no JSON object".into())
        .with_status(status.as_u16())
}

fn refused(status: StatusCode, refusal: &Refusal, wait: Option<Duration>) -> Answer {
    let reason =
        if refusal.text.is_empty() { String::new() } else { format!(": {}", refusal.text) };
    if may_pass(status) && !refusal.is_final {
        let message = format!("the token endpoint failed{reason}; try again later");
        let error = transient(message).with_status(status.as_u16()).with_retry_after(wait);
        return if is_of_a_gateway(status) { Answer::Lost(error) } else { Answer::Unused(error) };
    }
    // Without a word that tells, it may be a portal's or a proxy's: tried again after a while.
    let cure = if refusal.is_final { "sign in again" } else { "if it stays so, sign in again" };
    let message = format!("the token endpoint refused the stored login{reason}; {cure}");
    let error = permanent(message).with_status(status.as_u16());
    Answer::Refused { error, is_final: refusal.is_final }
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429)
}

/// Whether a failure is that of something between: the endpoint itself may have answered.
fn is_of_a_gateway(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 502 | 504 | 520..=599)
}

/// A failure that may pass.
pub(super) fn transient(message: String) -> ModelError {
    ModelError::new(ErrorCode::RefreshFailed, message).retryable(true)
}

/// A failure that only a new sign-in cures.
pub(super) fn permanent(message: impl Into<String>) -> ModelError {
    ModelError::new(ErrorCode::RefreshFailed, message).retryable(false)
}
