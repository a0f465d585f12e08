//! The seam behind which a model is reached.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use longhaul_history::{ReasoningFilter, WireFormat};

use crate::provider::Features;
use crate::{ModelError, Provider, Request, ResponseEvent, RetryPolicy, encode};

/// The events of one response. It ends after [`ResponseEvent::Completed`] or after an error.
///
/// Dropping it closes the connection that it reads from.
pub type ResponseStream = BoxStream<'static, Result<ResponseEvent, ModelError>>;

/// Something that answers requests: a server, or a script.
///
/// One call of [`stream`](Model::stream) is one attempt. An implementation never retries; it says
/// in its error what went wrong, and [`sample`](crate::sample) decides.
#[async_trait]
pub trait Model: Send + Sync {
    /// Sends `request` and gives its response as it comes.
    ///
    /// # Errors
    ///
    /// Whatever kept the response from starting. What breaks it later is an item of the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt and closes its connection. The server may have
    /// received the request.
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError>;

    /// The server refused the credential of this generation. Sees to another, and says whether
    /// there is one. Default: there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RefreshFailed`](crate::ErrorCode::RefreshFailed) with the cause.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no refresh that is under way.
    async fn refresh_auth(&self, request: &Request, generation: u64) -> Result<bool, ModelError> {
        let _ = (request, generation);
        Ok(false)
    }

    /// The bytes that [`stream`](Model::stream) would send for `request`.
    ///
    /// # Errors
    ///
    /// As [`encode`](crate::encode).
    fn encode(&self, request: &Request) -> Result<Bytes, ModelError> {
        encode(request, &Provider::neutral())
    }

    /// The server behind it, if it is one; for those who watch. Default: none.
    fn server(&self) -> Option<&Provider> {
        None
    }

    /// How items are to be written for it. Default: [`WireFormat::default`].
    fn wire_format(&self) -> WireFormat {
        WireFormat::default()
    }

    /// Which reasoning it is to see again. Default: [`ReasoningFilter::default`].
    fn reasoning_filter(&self) -> ReasoningFilter {
        ReasoningFilter::default()
    }

    /// What its server knows. Default: everything.
    fn features(&self) -> Features {
        Features::default()
    }

    /// How often and when failed attempts are repeated. Default: [`RetryPolicy::default`].
    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::default()
    }
}
