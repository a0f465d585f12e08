//! The stored login: tokens in a file, which many processes share and which are renewed in time.
//!
//! `file` (the format), `token` and `schedule` (decisions), `store`, `lock` and `mark` (what is on
//! disk), `reply` and `endpoint` (the wire), `renew` (one refresh among all processes), `held` and
//! `state` (one process).

mod endpoint;
mod error;
mod file;
mod held;
mod json;
mod lock;
mod mark;
mod platform;
mod renew;
mod reply;
mod schedule;
mod state;
mod store;
mod token;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::{Origin, Url};
use zeroize::Zeroizing;

pub use self::error::LoginError;
use self::held::Held;
use self::lock::Lock;
use self::schedule::Standing;
use self::state::Inner;
use self::store::Store;
use super::{Auth, Credential};
use crate::exchange::Exchange;
use crate::provider::is_loopback;
use crate::{ModelError, Provider, Secret};

/// The login of a user who signed in, kept in a file. Cloning shares it.
///
/// The file is the one of OpenAI's own command line tool: an API key, or the tokens of an account.
/// It is used only if it is a regular file, no symbolic link, of this user, and closed to all
/// others. Tokens are renewed when the server refuses them, or within five minutes of their
/// expiry; of all tasks and processes that share the file one does that, and the others use what
/// it got. A file that another program changes is noticed at the next request.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use longhaul_transport::auth::{Login, LoginOptions};
/// use longhaul_transport::exchange::Exchange;
/// use longhaul_transport::{Provider, ResponsesClient};
///
/// # fn client(exchange: Arc<dyn Exchange>) -> Result<(), Box<dyn std::error::Error>> {
/// let provider = Provider::named("chatgpt", None)?;
/// let path = "/home/user/.longhaul/auth.json";
/// let login = Login::open(path, &provider, Arc::clone(&exchange), LoginOptions::default())?;
/// let client = ResponsesClient::with_exchange(provider.with_auth(login), exchange);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Login {
    inner: Arc<Inner>,
    /// The only origin that gets a credential.
    origin: Origin,
}

/// How a login is refreshed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoginOptions {
    /// Where refresh tokens are exchanged: `https`, or a loopback address. Default:
    /// `https://auth.openai.com/oauth/token`.
    pub token_endpoint: Url,
    /// The client that the tokens were issued to. Default: that of OpenAI's command line tool.
    pub client_id: String,
    /// How long one exchange may take, from connecting to the last byte. Default: 30 s.
    pub request_timeout: Duration,
    /// How long to wait for another process that is refreshing. Longer than `request_timeout`, or
    /// a slow server looks like a hung process. Default: 60 s.
    pub lock_timeout: Duration,
    /// After a failed refresh that may pass, none is tried for so long. Tokens that the server
    /// refuses though they are no older than this are not renewed again; if it goes on, that time
    /// doubles with each refresh, to an hour at the default. Default: 60 s.
    pub cool_down: Duration,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            token_endpoint: crate::provider::known_url("https://auth.openai.com/oauth/token"),
            client_id: "app_EMoamEEZ73f0CkXaXp7hrann".into(),
            request_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(60),
            cool_down: Duration::from_secs(60),
        }
    }
}

/// Who is signed in, as far as the tokens say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The account, which requests name.
    pub id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The plan, say `plus`; new plans come without notice.
    pub plan: Option<String>,
}

impl Login {
    /// The login in the file at `path`, for the server of `provider` and no other. Reads the file.
    ///
    /// # Errors
    ///
    /// A [`LoginError`]: there is no file, or it is not safe or not understood; or the provider
    /// takes no logins, or its address or the token endpoint's is neither `https` nor loopback.
    pub fn open(
        path: impl AsRef<Path>,
        provider: &Provider,
        exchange: Arc<dyn Exchange>,
        options: LoginOptions,
    ) -> Result<Self, LoginError> {
        if !provider.takes_login {
            return Err(LoginError::TakesNoLogin { provider: provider.name.clone() });
        }
        for url in [&provider.base_url, &options.token_endpoint] {
            if url.scheme() != "https" && !is_loopback(url) {
                return Err(LoginError::PlainHttp { origin: url.origin().ascii_serialization() });
            }
        }
        let store = Store::at(path.as_ref());
        let held = Held { is_replacement: false, ..Held::read(store.read()?) };
        let inner = Arc::new(Inner::new(store, exchange, options, held));
        Ok(Self { inner, origin: provider.base_url.origin() })
    }

    /// Who is signed in; `None` if the login is an API key.
    pub fn account(&self) -> Option<Account> {
        let held = self.inner.held();
        let tokens = held.stored.tokens()?;
        let claims = tokens.id_claims().clone();
        let id = tokens.account_id().map(Into::into);
        Some(Account { id, email: claims.email, plan: claims.plan })
    }

    /// Makes an API key the login at `path`, in the place of whatever was there.
    ///
    /// # Errors
    ///
    /// A [`LoginError`] if the file cannot be locked within [`LoginOptions::lock_timeout`]'s
    /// default, or not be written.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the file is as before or holds the key.
    pub async fn store_key(path: impl AsRef<Path>, key: &Secret) -> Result<(), LoginError> {
        let store = Store::at(path.as_ref());
        let key = token::token(Zeroizing::new(key.expose().to_owned()))
            .map_err(|bad| LoginError::file(store.path(), format!("the key {bad}")))?;
        let _lock = Self::lock(&store).await?;
        store.replace(&file::Stored::with_key(&key)).map(drop)
    }

    /// Signs out: deletes the file at `path`. Says whether there was one.
    ///
    /// # Errors
    ///
    /// A [`LoginError`] if the file cannot be locked within [`LoginOptions::lock_timeout`]'s
    /// default, or not be deleted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the file is there or deleted.
    pub async fn delete(path: impl AsRef<Path>) -> Result<bool, LoginError> {
        let store = Store::at(path.as_ref());
        if store.is_absent() {
            return Ok(false);
        }
        let _lock = Self::lock(&store).await?;
        store.remove()
    }

    async fn lock(store: &Store) -> Result<Lock, LoginError> {
        Lock::acquire(&store.lock_path(), LoginOptions::default().lock_timeout).await
    }

    fn check(&self, target: &Url) -> Result<(), LoginError> {
        let target = target.origin();
        if target == self.origin {
            return Ok(());
        }
        Err(LoginError::OtherOrigin {
            bound: self.origin.ascii_serialization(),
            target: target.ascii_serialization(),
        })
    }

    /// Renews tokens that expire soon. A failure matters only if they cannot be used any more.
    async fn renew_in_time(&self) -> Result<(), ModelError> {
        let held = self.inner.held();
        let standing = held.standing();
        if standing == Standing::Good || held.is_fresh(self.inner.options.cool_down) {
            return Ok(());
        }
        match self.inner.renewed(held.generation, 0).await {
            Err(error) if standing == Standing::Expired => Err(error),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Auth for Login {
    async fn credential(&self, target: &Url) -> Result<Option<Credential>, ModelError> {
        self.check(target).map_err(LoginError::unauthorized)?;
        self.inner.reload().await.map_err(LoginError::unauthorized)?;
        self.inner.save().await;
        self.renew_in_time().await?;
        Ok(Some(self.inner.held().credential()))
    }

    async fn refresh(&self, generation: u64) -> Result<bool, ModelError> {
        self.inner.reload().await.map_err(LoginError::refresh_failed)?;
        let held = self.inner.held();
        if held.generation != generation {
            return Ok(true);
        }
        if held.stored.tokens().is_none() {
            return Ok(false);
        }
        let Some(strikes) = held.next_strikes(self.inner.options.cool_down) else {
            return Ok(false);
        };
        self.inner.renewed(generation, strikes).await?;
        Ok(self.inner.held().generation != generation)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("path", &self.inner.store.path())
            .field("origin", &self.origin.ascii_serialization())
            .finish_non_exhaustive()
    }
}
