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
    /// Headers that belong to it, say the account that it is for. They are sent as secrets.
    pub headers: HeaderMap,
    /// The plan of the account, where it is known: errors about limits name it.
    pub plan: Option<String>,
    /// Tells one credential of an [`Auth`] from the next: it changes whenever the bearer does.
    pub generation: u64,
}

impl Credential {
    /// A bearer token, of generation 0.
    pub fn new(bearer: Secret) -> Self {
        Self { bearer, headers: HeaderMap::new(), plan: None, generation: 0 }
    }
}

/// Where the credential of a request comes from: [`ApiKey`], [`Login`], or a host's own.
///
/// ```
/// use std::sync::Mutex;
///
/// use longhaul_transport::auth::{Auth, Credential};
/// use longhaul_transport::{ErrorCode, ModelError, Secret};
/// use url::Url;
///
/// /// Asks the host's vault for a token, and for another when the server refuses it.
/// struct Vault {
///     held: Mutex<(Secret, u64)>,
/// }
///
/// impl Vault {
///     async fn fetch(&self) -> Result<Secret, ModelError> {
///         Ok(Secret::new("from the vault"))
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl Auth for Vault {
///     async fn credential(&self, target: &Url) -> Result<Option<Credential>, ModelError> {
///         if target.host_str() != Some("models.example.com") {
///             let message = "the vault's token is for models.example.com alone";
///             return Err(ModelError::new(ErrorCode::Unauthorized, message));
///         }
///         let (secret, generation) = self.held.lock().unwrap().clone();
///         let mut credential = Credential::new(secret);
///         credential.generation = generation;
///         Ok(Some(credential))
///     }
///
///     async fn refresh(&self, generation: u64) -> Result<bool, ModelError> {
///         if self.held.lock().unwrap().1 != generation {
///             return Ok(true); // Another caller was first.
///         }
///         let secret = self.fetch().await?;
///         let mut held = self.held.lock().unwrap();
///         if held.1 == generation {
///             *held = (secret, generation + 1);
///         }
///         Ok(true)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let vault = Vault { held: Mutex::new((Secret::new("old"), 1)) };
/// let target = "https://models.example.com/v1/responses".parse().unwrap();
/// assert!(vault.refresh(1).await.unwrap());
/// assert_eq!(vault.credential(&target).await.unwrap().unwrap().generation, 2);
/// # }
/// ```
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
