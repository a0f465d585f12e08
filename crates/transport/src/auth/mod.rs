//! Credentials: one type that prints nothing, one door to the wire.

use std::fmt;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use crate::{ErrorCode, ModelError};

const REDACTED: &str = "[redacted]";

/// What is shorter guards nothing, and taking it out would garble the text around it.
const MIN_SECRET_BYTES: usize = 6;

/// A credential. It prints as `Secret`, has no way to be serialised, and is wiped when dropped.
///
/// ```
/// use longhaul_transport::Secret;
///
/// let key = Secret::new("sk-very-private");
/// assert_eq!(format!("{key:?}"), "Secret");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a credential; white space around it is removed.
    pub fn new(secret: impl Into<String>) -> Self {
        let secret = Zeroizing::new(secret.into());
        Self(Zeroizing::new(secret.trim().to_owned()))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The only way out: a header marked sensitive.
    pub(crate) fn bearer_header(&self) -> Result<HeaderValue, ModelError> {
        let text = Zeroizing::new(format!("Bearer {}", &*self.0));
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let message = "the credential holds a character that an HTTP header cannot carry";
            ModelError::new(ErrorCode::Unauthorized, message)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` with every occurrence of the secret taken out, also of its beginning where the text
    /// was cut (marked by `…`).
    pub(crate) fn redact(&self, text: &str) -> String {
        if self.0.len() < MIN_SECRET_BYTES {
            return text.to_owned();
        }
        let whole = text.replace(&**self.0, REDACTED);
        if !whole.contains('…') {
            return whole;
        }
        let ends = self.0.char_indices().rev().map(|(end, _)| end);
        let beginnings = ends.filter(|end| *end > 0).map(|end| &self.0[..end]);
        beginnings
            .fold(whole, |text, part| text.replace(&format!("{part}…"), &format!("{REDACTED}…")))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

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
    /// [`ErrorCode::RefreshFailed`] with the cause; it ends the attempts.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nowhere() {
        let secret = Secret::new(" sk-canary\n");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(format!("{:?}", ApiKey(secret.clone())), "ApiKey(Secret)");
        let header = secret.bearer_header().unwrap();
        assert!(header.is_sensitive());
        assert_eq!(header, "Bearer sk-canary");
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert_eq!(secret.redact("key sk-canary is bad"), "key [redacted] is bad");
        for cut in ["key sk-cana… (HTTP 400)", "key s… (HTTP 400)"] {
            assert_eq!(secret.redact(cut), "key [redacted]… (HTTP 400)");
        }
        assert_eq!(secret.redact("key sk-cana"), "key sk-cana");
    }

    #[test]
    fn a_secret_that_no_header_can_carry_is_refused_without_showing_it() {
        let error = Secret::new("sk-can\nary").bearer_header().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unauthorized);
        assert!(!format!("{error} {error:?}").contains("ary"));
    }
}
