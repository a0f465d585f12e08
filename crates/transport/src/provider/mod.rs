//! A server that speaks the Responses API, as data.

mod address;
mod error;
mod profile;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use longhaul_history::ReasoningFilter;
use url::Url;

use crate::RetryPolicy;
use crate::auth::{Anonymous, ApiKey, Auth, Secret};

use address::parse_base_url;
pub(crate) use address::{is_loopback, known_url};
pub use error::ProviderError;
pub use profile::Profile;

/// The default bound on one event of a stream, in bytes.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// The default bound on the body of one response, in bytes: far above what a model writes in one
/// go, far below what a disk or a bill would feel.
pub const DEFAULT_MAX_RESPONSE_BYTES: u64 = 1024 * 1024 * 1024;

/// A server and how it wants to be spoken to.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the server")]
#[derive(Clone)]
#[non_exhaustive]
pub struct Provider {
    /// A label.
    pub name: String,
    /// The address up to and including `/v1`. The credential goes to this origin and no other.
    pub base_url: Url,
    /// Query parameters of every request, in this order, escaped when sent.
    pub query: Vec<(String, String)>,
    /// Further headers of every request. Mark those that hold a secret as sensitive.
    pub headers: HeaderMap,
    /// The credential. A request may bring one of its own.
    pub auth: Arc<dyn Auth>,
    /// Whether it may get the stored login of a user. Only the profiles `openai` and `chatgpt` do.
    pub takes_login: bool,
    /// Whether credentials, and headers marked sensitive, are sent over `http://` to another
    /// machine, where everybody on the way can read them. Over `https://`, and over `http://` to
    /// this machine (`localhost`, 127.0.0.0/8, `::1`), they always are. Default: no.
    pub allow_plain_http: bool,
    /// Whether the server stores responses; it then gets item ids back.
    pub stores_responses: bool,
    /// Whether the headers of OpenAI's own clients are sent (`originator`, `OpenAI-Beta`,
    /// `conversation_id`, `session_id`, the task kind).
    pub vendor_headers: bool,
    /// What the server knows.
    pub features: Features,
    /// Which reasoning it is to see again. Default: that of the current turn.
    pub reasoning_filter: ReasoningFilter,
    /// When failed attempts are repeated.
    pub retry: RetryPolicy,
    /// How long each part of an attempt may take.
    pub deadlines: Deadlines,
    /// The largest event in bytes; a larger one is an error, not memory.
    pub max_event_bytes: usize,
    /// The largest body of a response in bytes, comments and all; a larger one is an error that is
    /// not retried. Default: [`DEFAULT_MAX_RESPONSE_BYTES`].
    pub max_response_bytes: u64,
}

/// What a server knows. Default: everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "servers mix them as they like")]
#[non_exhaustive]
pub struct Features {
    /// `reasoning`, and reasoning in `include`.
    pub reasoning: bool,
    /// `text.verbosity`.
    pub verbosity: bool,
    /// Several calls in one response.
    pub parallel_calls: bool,
    /// Images. Where they are not known, a text stands in the place of each.
    pub images: bool,
    /// Tools that take free text. A request with one to a server that does not know them is
    /// [`Unsupported`](crate::ErrorCode::Unsupported): it would be another request without.
    pub custom_tools: bool,
}

impl Features {
    pub(crate) const ALL: Self = Self {
        reasoning: true,
        verbosity: true,
        parallel_calls: true,
        images: true,
        custom_tools: true,
    };
}

impl Default for Features {
    fn default() -> Self {
        Self::ALL
    }
}

/// How long each part of an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// Opening a new connection: finding the server's address, TCP and TLS together. A connection
    /// that is there already costs none of it. A client of the caller's has its own deadline in
    /// its place. Default: 10 s.
    pub connect: Duration,
    /// Sending the request: from the moment at which a connection asks for its body to that at
    /// which it has taken the last of it. The operating system may still hold the end of it then.
    /// Until a connection asks, `connect` and this together are the limit, and so for an exchange
    /// that does not tell when it has one. Default: 60 s.
    pub send: Duration,
    /// From the sent request to the head of the response, whole. Servers that queue requests send
    /// it when the request's turn comes, so for a local server with a long queue make it longer.
    /// Default: 60 s.
    pub headers: Duration,
    /// From the head to the end of the first event; comments and `[DONE]` are no events.
    /// Default: 300 s.
    pub first_event: Duration,
    /// From the caller's asking for the next event to that event's end: what the caller does
    /// between is its own time. Comments do not fill the gap. Default: 300 s.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            send: Duration::from_secs(60),
            headers: Duration::from_secs(60),
            first_event: Duration::from_secs(300),
            idle: Duration::from_secs(300),
        }
    }
}

impl Provider {
    /// OpenAI, with an API key.
    pub fn openai(key: Secret) -> Self {
        let profile = &profile::OPENAI;
        let base_url = known_url(profile.base_url.unwrap_or_default());
        Self::at(base_url).with_profile(profile.name, profile).with_auth(ApiKey(key))
    }

    /// Any server, without a credential.
    ///
    /// # Errors
    ///
    /// [`ProviderError::BaseUrl`] if `base_url` is not an absolute `http` or `https` address.
    pub fn custom(base_url: &str) -> Result<Self, ProviderError> {
        Ok(Self::at(parse_base_url(base_url)?))
    }

    /// The server that the environment names: `OPENAI_BASE_URL` with the key `OPENAI_API_KEY`,
    /// which may be missing where the address is given; else OpenAI, with the headers that the
    /// environment holds for it. A variable that is blank counts as not set.
    ///
    /// # Errors
    ///
    /// [`ProviderError::MissingKey`], [`ProviderError::BaseUrl`] or [`ProviderError::Header`].
    pub fn from_env() -> Result<Self, ProviderError> {
        let variable = profile::OPENAI.key_variable.unwrap_or_default();
        let key = env(variable).map(Secret::new);
        match (env("OPENAI_BASE_URL"), key) {
            (Some(base_url), None) => Self::custom(&base_url),
            (Some(base_url), Some(key)) => Ok(Self::custom(&base_url)?.with_auth(ApiKey(key))),
            (None, Some(key)) => {
                let mut provider = Self::openai(key);
                provider.add_profile_env_headers()?;
                Ok(provider)
            }
            (None, None) => Err(ProviderError::MissingKey { variable: variable.into() }),
        }
    }

    /// A server of the [profile](Profile) of this name (`openai`, `chatgpt`, `azure`), or any other
    /// under its own. `base_url` overrides the profile's. Neither the key nor anything else is taken
    /// from the environment.
    ///
    /// # Errors
    ///
    /// [`ProviderError::NoBaseUrl`] or [`ProviderError::BaseUrl`].
    pub fn named(name: &str, base_url: Option<&str>) -> Result<Self, ProviderError> {
        let profile = Profile::of(name);
        let Some(url) = base_url.or(profile.base_url) else {
            return Err(ProviderError::NoBaseUrl { name: name.into() });
        };
        Ok(Self::at(parse_base_url(url)?).with_profile(name, profile))
    }

    fn with_profile(mut self, name: &str, profile: &Profile) -> Self {
        self.name = name.into();
        self.takes_login = profile.takes_login;
        self.vendor_headers = profile.vendor_headers;
        self.stores_responses = profile.stores_responses_at(&self.base_url);
        self.features = profile.features;
        let headers = profile
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        self.headers.extend(headers);
        self
    }

    /// A provider without an address, for encoding alone: what models that are no server get.
    pub fn neutral() -> Self {
        Self::at(known_url("http://localhost/v1"))
    }

    fn at(base_url: Url) -> Self {
        Self {
            name: "custom".into(),
            stores_responses: Profile::of("custom").stores_responses_at(&base_url),
            base_url,
            query: Vec::new(),
            headers: HeaderMap::new(),
            auth: Arc::new(Anonymous),
            takes_login: false,
            allow_plain_http: false,
            vendor_headers: false,
            features: Features::default(),
            reasoning_filter: ReasoningFilter::default(),
            retry: RetryPolicy::default(),
            deadlines: Deadlines::default(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
        }
    }

    /// The same provider with another credential.
    #[must_use]
    pub fn with_auth(mut self, auth: impl Auth + 'static) -> Self {
        self.auth = Arc::new(auth);
        self
    }

    /// Adds a header to every request. `secret` marks its value as one that is never printed.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Header`] if HTTP does not allow it.
    pub fn add_header(
        &mut self,
        name: &str,
        value: &str,
        secret: bool,
    ) -> Result<(), ProviderError> {
        let error = |part| ProviderError::Header { name: crate::error::clean(name), part };
        let header: HeaderName = name.parse().map_err(|_| error("name"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| error("value"))?;
        value.set_sensitive(secret);
        self.headers.insert(header, value);
        Ok(())
    }

    /// Whether what is sent to the base URL stays between the two ends, or need not.
    pub(crate) fn may_carry_secrets(&self) -> bool {
        self.allow_plain_http || self.base_url.scheme() == "https" || is_loopback(&self.base_url)
    }

    /// Adds a header with the value of an environment variable, without white space around it, as a
    /// secret. A variable that is not set, or blank, adds none.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Header`] if HTTP does not allow it.
    pub fn add_env_header(&mut self, name: &str, variable: &str) -> Result<(), ProviderError> {
        match env(variable) {
            Some(value) => self.add_header(name, value.trim(), true),
            None => Ok(()),
        }
    }

    /// Adds the headers whose values the environment holds for [profiles](Profile) of this
    /// provider's name: for `openai`, `OpenAI-Organization` and `OpenAI-Project`.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Header`] if HTTP does not allow a value.
    pub fn add_profile_env_headers(&mut self) -> Result<(), ProviderError> {
        let headers = Profile::of(&self.name).env_headers;
        headers.iter().try_for_each(|(name, variable)| self.add_env_header(name, variable))
    }

    /// The address of `/responses`, with the query.
    pub(crate) fn responses_url(&self) -> Url {
        let mut url = self.base_url.clone();
        let path = format!("{}/responses", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if !self.query.is_empty() {
            let begun = url.query().unwrap_or_default().to_owned();
            let pairs =
                url::form_urlencoded::Serializer::new(begun).extend_pairs(&self.query).finish();
            // `+` is a space to those alone who read a form; `%20` is one to everybody.
            url.set_query(Some(&pairs.replace('+', "%20")));
        }
        url
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("base_url", &self.base_url.as_str())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

fn env(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.trim().is_empty())
}
