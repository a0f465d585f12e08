//! Credentials: one type that prints nothing, one door to the wire.

mod login;
mod secret;

use async_trait::async_trait;
use http::HeaderMap;
use url::Url;

pub use self::login::{Account, Login, LoginError, LoginOptions};
pub use self::secret::Secret;
use crate::ModelError;

/// What a request proves itself with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Credential {
    /// Sent as bearer token.
    pub bearer: Secret,
    /// Headers that belong to it, say the account that it is for.
    pub headers: HeaderMap,
    /// Tells one credential of an [`Auth`] from the next: it changes whenever the bearer does.
    pub generation: u64,
}

impl Credential {
    /// A bearer token, of generation 0.
    pub fn new(bearer: Secret) -> Self {
        Self { bearer, headers: HeaderMap::new(), generation: 0 }
    }
}

/// Where the credential of a request comes from.
#[async_trait]
pub trait Auth: Send + Sync {
    /// The credential of the next request, which goes to `target`; `None` sends none.
    ///
    /// # Errors
    ///
    /// A [`ModelError`] that says why there is no credential, or why `target` must not get it; it
    /// ends the attempt.
    ///
    /// # Cancel safety
    ///
    /// The caller may drop the future; the next request asks again.
    async fn credential(&self, target: &Url) -> Result<Option<Credential>, ModelError>;

    /// The server refused the credential of this generation (HTTP 401). Sees to another, and says
    /// whether there is one: if not, the refusal is final. Called at most once for each step of a
    /// turn, and from many at once.
    ///
    /// Default: there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RefreshFailed`](crate::ErrorCode::RefreshFailed) with the cause; it ends the attempts.
    ///
    /// # Cancel safety
    ///
    /// The caller may drop the future; a refresh that is under way must not be lost by that.
    async fn refresh(&self, generation: u64) -> Result<bool, ModelError> {
        let _ = generation;
        Ok(false)
    }
}

/// A fixed API key.
#[derive(Debug, Clone)]
pub struct ApiKey(pub Secret);

#[async_trait]
impl Auth for ApiKey {
    async fn credential(&self, _: &Url) -> Result<Option<Credential>, ModelError> {
        Ok(Some(Credential::new(self.0.clone())))
    }
}

/// No credential, for servers that want none.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

#[async_trait]
impl Auth for Anonymous {
    async fn credential(&self, _: &Url) -> Result<Option<Credential>, ModelError> {
        Ok(None)
    }
}
