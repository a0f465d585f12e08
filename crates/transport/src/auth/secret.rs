//! A string that prints nothing.

use std::fmt;

use http::HeaderValue;
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

    /// The way out for a request: a header marked sensitive.
    pub(crate) fn bearer_header(&self) -> Result<HeaderValue, ModelError> {
        let text = Zeroizing::new(format!("Bearer {}", &*self.0));
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let message = "the credential holds a character that an HTTP header cannot carry";
            ModelError::new(ErrorCode::Unauthorized, message)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The way out for a stored login: its file, and the body of its refresh.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        *self.0 == *other.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nowhere() {
        let secret = Secret::new(" sk-canary\n");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(format!("{:?}", super::super::ApiKey(secret.clone())), "ApiKey(Secret)");
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
