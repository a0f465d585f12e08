//! One request, up to the head of its response.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::timeout;

use super::reader;
use crate::auth::Credential;
use crate::error::{ModelError, Phase, clean};
use crate::event;
use crate::exchange::{
    Exchange, ExchangeError, ExchangeErrorKind, HttpRequest, HttpResponse, SentSignal,
};
use crate::retry::advised_wait;
use crate::{ErrorCode, Provider, RateLimits, Request, ResponseStream, Secret, encode};

/// What a client calls itself.
const CLIENT: &str = concat!("longhaul/", env!("CARGO_PKG_VERSION"));

/// As much of an error body is read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// One request and its response.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) provider: Arc<Provider>,
    pub(super) credential: Option<Credential>,
}

impl Attempt {
    pub(super) async fn exchange(
        &self,
        exchange: &dyn Exchange,
        request: &Request,
    ) -> Result<ResponseStream, ModelError> {
        let sent = SentSignal::default();
        let response = exchange.send(HttpRequest {
            url: self.provider.responses_url(),
            headers: self.headers(request)?,
            body: encode(request, &self.provider)?,
            sent: sent.clone(),
        });
        let response = self.in_time(response, &sent).await?;
        let request_id = request_id(&response.headers);
        if !response.status.is_success() {
            return Err(self.refusal(response).await.with_request_id(request_id));
        }
        if !is_event_stream(&response.headers) {
            return Err(self.no_stream(response).await.with_request_id(request_id));
        }
        Ok(reader::read(self.clone(), response, request_id))
    }

    /// Waits for the head, first until the request is sent, then for the answer.
    async fn in_time(
        &self,
        response: impl Future<Output = Result<HttpResponse, ExchangeError>>,
        sent: &SentSignal,
    ) -> Result<HttpResponse, ModelError> {
        let deadlines = &self.provider.deadlines;
        let mut response = std::pin::pin!(response);
        let sending = async {
            tokio::select! {
                biased;
                response = &mut response => Some(response),
                () = sent.wait() => None,
            }
        };
        // The connection has a deadline of its own within the exchange.
        let limit = deadlines.connect.saturating_add(deadlines.send);
        let early =
            timeout(limit, sending).await.map_err(|_| ModelError::timeout(Phase::Send, limit))?;
        let response = match early {
            Some(response) => response,
            None => timeout(deadlines.headers, response)
                .await
                .map_err(|_| ModelError::timeout(Phase::Headers, deadlines.headers))?,
        };
        response.map_err(|error| self.broken(error))
    }

    fn broken(&self, error: ExchangeError) -> ModelError {
        match error.kind() {
            ExchangeErrorKind::ConnectTimeout => {
                ModelError::timeout(Phase::Connect, self.provider.deadlines.connect).not_processed()
            }
            ExchangeErrorKind::Connect | ExchangeErrorKind::NotProcessed => {
                ModelError::new(ErrorCode::ConnectionFailed, error.to_string()).not_processed()
            }
            ExchangeErrorKind::Tls => {
                ModelError::new(ErrorCode::ConnectionFailed, error.to_string())
                    .not_processed()
                    .retryable(false)
            }
            ExchangeErrorKind::Broken => {
                ModelError::new(ErrorCode::ConnectionFailed, error.to_string())
            }
        }
        .with_source(error)
    }

    fn headers(&self, request: &Request) -> Result<HeaderMap, ModelError> {
        let mut headers = self.provider.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(CLIENT));
        let credential = self.credential.as_ref();
        if let Some(credential) = credential.filter(|credential| !credential.bearer.is_empty()) {
            headers.extend(credential.headers.clone());
            headers.insert(AUTHORIZATION, credential.bearer.bearer_header()?);
        }
        if self.provider.vendor_headers {
            add_vendor_headers(request, &mut headers);
        }
        Ok(headers)
    }

    /// The error in a response with an error status.
    async fn refusal(&self, response: HttpResponse) -> ModelError {
        let HttpResponse { status, headers, body, .. } = response;
        let body = self.error_body(body).await;
        let mut error = event::from_http(status.as_u16(), &body);
        if let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) {
            error = error.map_message(|text| format!("{text} (to {})", target(location)));
        }
        error
            .with_retry_after(advised_wait(&headers, SystemTime::now()))
            .with_rate_limits(RateLimits::from_headers(&headers))
    }

    /// The error behind a success that is no event stream.
    async fn no_stream(&self, response: HttpResponse) -> ModelError {
        let content_type = response.headers.get(CONTENT_TYPE).cloned();
        let body = self.error_body(response.body).await;
        if let Some(error) = event::reported_in(&body) {
            return error;
        }
        let content_type = content_type
            .as_ref()
            .and_then(|value| value.to_str().ok())
            .unwrap_or("no content type");
        let message = format!(
            "the server answered with {} in place of an event stream; is the base URL right?",
            clean(content_type)
        );
        ModelError::new(ErrorCode::Protocol, message).retryable(false)
    }

    /// The beginning of an error's body; what cannot be read in time is left out.
    async fn error_body(
        &self,
        mut body: BoxStream<'static, Result<Bytes, ExchangeError>>,
    ) -> String {
        let mut text = Vec::new();
        let read = async {
            while let Some(Ok(piece)) = body.next().await {
                let room = MAX_ERROR_BODY_BYTES - text.len();
                text.extend_from_slice(&piece[..piece.len().min(room)]);
                if text.len() == MAX_ERROR_BODY_BYTES {
                    return;
                }
            }
        };
        // Too late is as good as the end: the status is known.
        let _ = timeout(self.provider.deadlines.headers, read).await;
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `error` fit to be reported: without the credentials that the request carried, and with the
    /// time of the next attempt if that is too far away for a wait.
    pub(super) fn finish(&self, error: ModelError) -> ModelError {
        let max_wait = self.provider.retry.max_wait;
        let too_long = error.retry_after().filter(|wait| *wait > max_wait);
        let retry_at = too_long.and_then(|wait| SystemTime::now().checked_add(wait));
        // What the server itself said, if anything, is more exact.
        let retry_at = error.retry_at().or(retry_at);
        let generation = self.credential.as_ref().map(|credential| credential.generation);
        error
            .map_texts(|text| self.redact(text))
            .with_retry_at(retry_at)
            .with_generation(generation)
    }

    fn redact(&self, text: &str) -> String {
        let headers = self.provider.headers.values();
        let sensitive = headers.filter(|value| value.is_sensitive());
        let texts = sensitive.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        let bearer = self.credential.as_ref().map(|credential| credential.bearer.clone());
        let secrets = bearer.into_iter().chain(texts.map(Secret::new));
        secrets.fold(text.to_owned(), |text, secret| secret.redact(&text))
    }
}

/// Where a redirect leads, without what may be secret.
fn target(location: &str) -> String {
    clean(location.split(['?', '#']).next().unwrap_or_default())
}

fn add_vendor_headers(request: &Request, headers: &mut HeaderMap) {
    let task_kind = HeaderValue::from_static(request.task_kind.as_str());
    headers.insert(HeaderName::from_static("codex-task-type"), task_kind);
    let beta = HeaderValue::from_static("responses=experimental");
    headers.insert(HeaderName::from_static("openai-beta"), beta);
    let originator = HeaderName::from_static("originator");
    headers.entry(originator).or_insert(HeaderValue::from_static("longhaul"));
    if request.session_id.is_empty() {
        return;
    }
    if let Ok(id) = HeaderValue::from_str(&request.session_id) {
        headers.insert(HeaderName::from_static("conversation_id"), id.clone());
        headers.insert(HeaderName::from_static("session_id"), id);
    }
}

/// The server's name for the request, fit for a log.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "request-id", "apim-request-id", "cf-ray"];
    let value = names.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().map(clean)
}

/// Servers that send events say so; those that say nothing get the benefit of the doubt.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|value| {
        let value = value.as_bytes();
        let wanted = b"text/event-stream";
        value.len() >= wanted.len() && value[..wanted.len()].eq_ignore_ascii_case(wanted)
    })
}
