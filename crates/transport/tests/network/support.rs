//! Clients, and what came of their attempts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_testkit::server::{Reply, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::error::Stage;
use longhaul_transport::exchange::{Exchange, ExchangeError, ExchangeErrorKind, ReqwestExchange};
use longhaul_transport::{
    Deadlines, ErrorCode, Model, ModelError, Phase, Provider, Request, ResponseEvent,
    ResponsesClient, RetryPolicy, SampleEvent, sample,
};

use crate::drain::drain;

/// A deadline in a test in which nothing but it can happen.
pub(crate) const MOMENT: Duration = Duration::from_millis(50);

/// Far more than anything here takes: what never comes shall fail its test, not hang it.
pub(crate) const NEVER: Duration = Duration::from_secs(60);

/// A provider that waits no longer than a millisecond between attempts.
pub(crate) fn provider(base_url: &str) -> Provider {
    let mut provider = Provider::custom(base_url).unwrap();
    provider.retry = RetryPolicy::new(2, 2);
    provider.retry.max_wait = Duration::from_millis(1);
    provider
}

/// The default client.
pub(crate) fn client(base_url: &str) -> ResponsesClient {
    ResponsesClient::new(provider(base_url)).unwrap()
}

/// A `reqwest` client as strict as the default one.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(no_roots())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
}

/// TLS that trusts nobody; it only spares the loading of the platform's roots.
fn no_roots() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

pub(crate) fn over(provider: Provider, client: reqwest::Client) -> ResponsesClient {
    let exchange: Arc<dyn Exchange> = Arc::new(ReqwestExchange::with_client(client));
    ResponsesClient::with_exchange(provider, exchange)
}

fn http2_prior_knowledge() -> reqwest::Client {
    builder().http2_prior_knowledge().build().unwrap()
}

/// A client that speaks HTTP/2 without asking first.
pub(crate) fn http2_with(provider: Provider) -> ResponsesClient {
    over(provider, http2_prior_knowledge())
}

pub(crate) fn http2(base_url: &str) -> ResponsesClient {
    http2_with(provider(base_url))
}

/// The two protocols that every fault is tried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

impl Protocol {
    pub(crate) async fn server(self, script: impl Into<Script>) -> Server {
        let builder = Server::builder();
        let builder = if self == Self::Http2 { builder.http2() } else { builder };
        builder.start(script).await.unwrap()
    }

    pub(crate) fn client(self, provider: Provider) -> ResponsesClient {
        match self {
            Self::Http1 => ResponsesClient::new(provider).unwrap(),
            Self::Http2 => http2_with(provider),
        }
    }

    /// Two clients of one pool: the first with deadlines of its own, which only what hangs shall meet.
    pub(crate) fn hasty_and_patient(
        self,
        base_url: &str,
        hasten: impl FnOnce(&mut Deadlines),
    ) -> [ResponsesClient; 2] {
        let exchange = match self {
            Self::Http1 => ReqwestExchange::new(NEVER).unwrap(),
            Self::Http2 => ReqwestExchange::with_client(http2_prior_knowledge()),
        };
        let patient = provider(base_url);
        let mut hasty = patient.clone();
        hasten(&mut hasty.deadlines);
        [hasty, patient]
            .map(|provider| ResponsesClient::with_exchange(provider, Arc::new(exchange.clone())))
    }

    /// A server with its client.
    pub(crate) async fn pair(self, script: impl Into<Script>) -> (Server, ResponsesClient) {
        let server = self.server(script).await;
        let client = self.client(provider(&server.base_url()));
        (server, client)
    }
}

pub(crate) fn request() -> Request {
    let mut history = History::default();
    history.record(Item::user("u"));
    Request::new("m", history.prompt(ReasoningFilter::CurrentTurn))
}

/// A request of this many bytes and some more.
pub(crate) fn large_request(bytes: usize) -> Request {
    let mut request = request();
    request.instructions = Some("x".repeat(bytes).into());
    request
}

pub(crate) fn hello() -> ResponseBuilder {
    ResponseBuilder::new().text("hello")
}

/// The beginning of a response that goes on.
pub(crate) fn begun() -> Reply {
    Reply::sse().events(hello().unfinished())
}

/// All events of one attempt, and the error that ended it, if one did.
pub(crate) async fn attempt(client: &ResponsesClient) -> (Vec<ResponseEvent>, Option<ModelError>) {
    drain(client.stream(&request()).await).await
}

/// One attempt that brings a whole response.
pub(crate) async fn succeed(client: &ResponsesClient) {
    let (events, error) = attempt(client).await;
    assert!(error.is_none(), "{error:?}");
    assert!(matches!(events.last(), Some(ResponseEvent::Completed(_))), "{events:?}");
}

/// The error of one attempt.
pub(crate) async fn fail(client: &ResponsesClient) -> ModelError {
    attempt(client).await.1.unwrap()
}

/// What came of attempts and retries: the errors on the way, and the last one if none succeeded.
pub(crate) struct Sampled {
    /// The events since the last retry.
    pub(crate) events: Vec<ResponseEvent>,
    pub(crate) retried: Vec<ModelError>,
    pub(crate) error: Option<ModelError>,
}

pub(crate) async fn sampled(client: &ResponsesClient) -> Sampled {
    let mut stream = sample(Arc::new(client.clone()), Arc::new(request()), None);
    let mut all = Sampled { events: Vec::new(), retried: Vec::new(), error: None };
    while let Some(event) = stream.next().await {
        match event {
            Ok(SampleEvent::Response(event)) => all.events.push(event),
            Ok(SampleEvent::Retrying(retrying)) => {
                all.events.clear();
                all.retried.push(retrying.error);
            }
            Ok(_) => {}
            Err(error) => all.error = Some(error),
        }
    }
    let is_whole = matches!(all.events.last(), Some(ResponseEvent::Completed(_)));
    assert_eq!(is_whole, all.error.is_none(), "a response is whole or an error");
    all
}

/// What an error says of the attempt that it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) code: ErrorCode,
    pub(crate) stage: Stage,
    pub(crate) retryable: bool,
    pub(crate) maybe_processed: bool,
}

pub(crate) fn verdict(error: &ModelError) -> Verdict {
    Verdict {
        code: error.code(),
        stage: error.stage(),
        retryable: error.is_retryable(),
        maybe_processed: error.may_have_been_processed(),
    }
}

/// The request certainly has not been seen.
pub(crate) const NOT_SENT: Verdict = Verdict {
    code: ErrorCode::ConnectionFailed,
    stage: Stage::Request,
    retryable: true,
    maybe_processed: false,
};

/// The request may have been seen.
pub(crate) const MAYBE_SENT: Verdict = Verdict { maybe_processed: true, ..NOT_SENT };

/// TLS failed for good.
pub(crate) const BAD_TLS: Verdict = Verdict { retryable: false, ..NOT_SENT };

/// The response broke off.
pub(crate) const TRUNCATED: Verdict = Verdict {
    code: ErrorCode::StreamIncomplete,
    stage: Stage::Stream,
    retryable: true,
    maybe_processed: true,
};

pub(crate) fn assert_timeout(error: &ModelError, phase: Phase) {
    assert_eq!((error.code(), error.phase()), (ErrorCode::Timeout, Some(phase)), "{error:?}");
    assert!(error.is_retryable());
}

/// The kind of the failed exchange below an error.
pub(crate) fn kind(error: &ModelError) -> Option<ExchangeErrorKind> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<ExchangeError>().map(ExchangeError::kind)
}
