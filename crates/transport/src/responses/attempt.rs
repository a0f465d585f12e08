//! One request, up to the head of its response.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tokio::time::timeout;

use super::reader;
use super::refusal::is_event_stream;
use crate::auth::Credential;
use crate::error::{ModelError, Phase, clean, clean_message};
use crate::exchange::{
    Exchange, ExchangeError, ExchangeErrorKind, HttpRequest, HttpResponse, SentSignal,
};
use crate::{Deadlines, ErrorCode, Provider, Request, ResponseStream, encode};

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
        tracing::Span::current().record("http.response.status_code", response.status.as_u16());
        let request_id = request_id(&response.headers);
        if !response.status.is_success() {
            return Err(self.refusal(response).await.with_request_id(request_id));
        }
        if !is_event_stream(response.status, &response.headers) {
            return Err(self.no_stream(response).await.with_request_id(request_id));
        }
        Ok(reader::read(self.clone(), response, request_id))
    }

    /// Waits for the head: until there is a connection, until the request is sent, until the
    /// answer begins. Whichever step the exchange does not tell of is part of the next.
    async fn in_time(
        &self,
        response: impl Future<Output = Result<HttpResponse, ExchangeError>>,
        sent: &SentSignal,
    ) -> Result<HttpResponse, ModelError> {
        let Deadlines { connect, send, headers, .. } = self.provider.deadlines;
        let mut response = std::pin::pin!(response);
        // A new connection has its deadline within the exchange. Here waits too who shares one, for
        // a free stream on it, or whose exchange has none.
        let connecting = before(&mut response, sent.until_connected());
        if let Some(early) = within(connect.saturating_add(send), Phase::Send, connecting).await? {
            return early.map_err(|error| self.broken(error));
        }
        let sending = before(&mut response, sent.until_sent());
        if let Some(early) = within(send, Phase::Send, sending).await? {
            return early.map_err(|error| self.broken(error));
        }
        within(headers, Phase::Headers, response).await?.map_err(|error| self.broken(error))
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
            .map_texts(|text| clean_message(&self.redact(text)))
            .with_retry_at(retry_at)
            .with_generation(generation)
            .with_plan_of(self.credential.as_ref())
    }
}

/// What comes of `response`, if that is before `signal`.
async fn before<T>(
    response: &mut (impl Future<Output = T> + Unpin),
    signal: impl Future<Output = ()>,
) -> Option<T> {
    tokio::select! {
        biased;
        response = response => Some(response),
        () = signal => None,
    }
}

async fn within<T>(
    limit: Duration,
    phase: Phase,
    what: impl Future<Output = T>,
) -> Result<T, ModelError> {
    timeout(limit, what).await.map_err(|_| ModelError::timeout(phase, limit))
}

/// The server's name for the request, fit for a log.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "request-id", "apim-request-id", "cf-ray"];
    let value = names.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().map(clean)
}
