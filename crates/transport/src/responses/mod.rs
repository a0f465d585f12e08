//! The model behind a server that speaks the Responses API.

mod attempt;
mod headers;
mod reader;
mod refusal;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_history::{ReasoningFilter, WireFormat};

use self::attempt::Attempt;
pub use self::reader::KEEP_ALIVE_INTERVAL;
use crate::auth::Auth;
use crate::exchange::Exchange;
#[cfg(feature = "http")]
use crate::exchange::ExchangeError;
use crate::provider::Features;
use crate::{Model, ModelError, Provider, Request, ResponseStream, RetryPolicy, encode};

/// A client of one provider. Cloning shares the connections of its exchange.
#[derive(Clone)]
pub struct ResponsesClient {
    provider: Arc<Provider>,
    exchange: Arc<dyn Exchange>,
}

impl ResponsesClient {
    /// A client of `provider` with a connection pool of its own.
    ///
    /// # Errors
    ///
    /// An [`ExchangeError`] if TLS cannot be set up.
    #[cfg(feature = "http")]
    pub fn new(provider: Provider) -> Result<Self, ExchangeError> {
        let exchange = crate::exchange::ReqwestExchange::new(provider.deadlines.connect)?;
        Ok(Self::with_exchange(provider, Arc::new(exchange)))
    }

    /// A client of `provider` over an HTTP client of the caller's, with its proxies, roots and pool;
    /// see [`ReqwestExchange::with_client`](crate::exchange::ReqwestExchange::with_client).
    #[cfg(feature = "http")]
    pub fn with_client(provider: Provider, client: reqwest::Client) -> Self {
        let exchange = crate::exchange::ReqwestExchange::with_client(client);
        Self::with_exchange(provider, Arc::new(exchange))
    }

    /// A client of `provider` over an exchange of the caller's.
    pub fn with_exchange(provider: Provider, exchange: Arc<dyn Exchange>) -> Self {
        Self { provider: Arc::new(provider), exchange }
    }

    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    fn auth<'a>(&'a self, request: &'a Request) -> &'a dyn Auth {
        request.auth.as_deref().unwrap_or(&*self.provider.auth)
    }
}

#[async_trait]
impl Model for ResponsesClient {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        let target = self.provider.responses_url();
        let credential = self.auth(request).credential(&target).await?;
        let attempt = Attempt { provider: Arc::clone(&self.provider), credential };
        let response = attempt.exchange(&*self.exchange, request).await;
        response.map_err(|error| attempt.finish(error))
    }

    async fn refresh_auth(&self, request: &Request, generation: u64) -> Result<bool, ModelError> {
        self.auth(request).refresh(generation).await
    }

    fn encode(&self, request: &Request) -> Result<Bytes, ModelError> {
        encode(request, &self.provider)
    }

    fn server(&self) -> Option<&Provider> {
        Some(&self.provider)
    }

    fn wire_format(&self) -> WireFormat {
        let mut format = WireFormat::default();
        format.item_ids = self.provider.stores_responses;
        format.images = self.provider.features.images;
        format
    }

    fn reasoning_filter(&self) -> ReasoningFilter {
        self.provider.reasoning_filter
    }

    fn features(&self) -> Features {
        self.provider.features
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.provider.retry.clone()
    }
}

impl std::fmt::Debug for ResponsesClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponsesClient").field("provider", &self.provider).finish_non_exhaustive()
    }
}
