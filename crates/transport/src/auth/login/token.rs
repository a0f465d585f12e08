//! What a token may look like, and what a JSON web token says of itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::Secret;
use crate::error::clean;

/// Longer tokens are refused: real ones have a few kilobytes, and servers take no longer header.
pub(super) const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Longer account ids are refused; real ones have 36 bytes.
const MAX_ACCOUNT_BYTES: usize = 256;

/// The claim of OpenAI's tokens that holds the account.
const AUTH_CLAIM: &str = "https://api.openai.com/auth";

/// What is wrong with a token. It does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadToken {
    Empty,
    TooLong,
    Character,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {MAX_TOKEN_BYTES} bytes"),
            Self::Character => f.write_str("holds a character that no token has"),
        }
    }
}

/// A token of visible ASCII characters: all that a header can carry and a log cannot be fooled by.
pub(super) fn token(mut text: Zeroizing<String>) -> Result<Secret, BadToken> {
    if text.is_empty() {
        return Err(BadToken::Empty);
    }
    if text.len() > MAX_TOKEN_BYTES {
        return Err(BadToken::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BadToken::Character);
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

/// Whether `id` can be an account id: it is sent as a header.
pub(super) fn is_account_id(id: &str) -> bool {
    (1..=MAX_ACCOUNT_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a JSON web token says, as far as it is understood. Its signature is not checked: nothing is
/// granted by it here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) email: Option<String>,
    pub(super) plan: Option<String>,
    pub(super) account_id: Option<String>,
    pub(super) expires: Option<SystemTime>,
    /// From issue to expiry.
    pub(super) lifetime: Option<Duration>,
}

/// The claims of `jwt`: three non-empty parts, the second of them JSON in base64url. `None` if it
/// is no such token.
pub(super) fn claims(jwt: &str) -> Option<Claims> {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [head, payload, signature] = parts[..] else { return None };
    if head.is_empty() || payload.is_empty() || signature.is_empty() {
        return None;
    }
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    let all: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    let auth = all.get(AUTH_CLAIM);
    let of_auth = |name: &str| auth?.get(name)?.as_str();
    let expires = all.get("exp").and_then(seconds);
    let issued = all.get("iat").and_then(seconds);
    Some(Claims {
        email: all.get("email").and_then(Value::as_str).map(clean),
        plan: of_auth("chatgpt_plan_type").map(clean),
        account_id: of_auth("chatgpt_account_id").filter(|id| is_account_id(id)).map(Into::into),
        expires: expires.and_then(|time| SystemTime::UNIX_EPOCH.checked_add(time)),
        lifetime: expires.zip(issued).and_then(|(end, start)| end.checked_sub(start)),
    })
}

/// A number of seconds since 1970.
fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims_are_read_as_far_as_they_are_understood() {
        let all = r#"{"email":"a@b","exp":1000,"iat":400.5,
            "https://api.openai.com/auth":{"chatgpt_plan_type":"pro","chatgpt_account_id":"acc"}}"#;
        let expected = Claims {
            email: Some("a@b".into()),
            plan: Some("pro".into()),
            account_id: Some("acc".into()),
            expires: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1000)),
            lifetime: Some(Duration::from_millis(599_500)),
        };
        assert_eq!(claims(&jwt(all)), Some(expected));
        for odd in [
            "{}",
            r#"{"email":1,"exp":"x","iat":[],"https://api.openai.com/auth":7}"#,
            r#"{"exp":-1,"https://api.openai.com/auth":{"chatgpt_account_id":"a\nb"}}"#,
            r#"{"exp":1e300}"#,
        ] {
            assert_eq!(claims(&jwt(odd)), Some(Claims::default()), "{odd}");
        }
        for bad in
            ["", "a.b", "a.b.c.d", ".e30.s", "h..s", "h.e30.", "h.!!.s", "h.e30x.s", "opaque"]
        {
            assert_eq!(claims(bad), None, "{bad}");
        }
        assert_eq!(claims(&jwt("[]")), None);
        assert!(claims("h.e30=.s").is_some(), "padding does no harm");
    }

    #[test]
    fn tokens_are_visible_ascii_of_bounded_length() {
        let check = |text: &str| token(Zeroizing::new(text.into())).err();
        assert_eq!(check("eyJ.a-b_c.~+/="), None);
        assert_eq!(check(""), Some(BadToken::Empty));
        assert_eq!(check(&"x".repeat(MAX_TOKEN_BYTES)), None);
        assert_eq!(check(&"x".repeat(MAX_TOKEN_BYTES + 1)), Some(BadToken::TooLong));
        for bad in ["a\nb", "a\r\nx: y", "a\0", " a", "a ", "ä", "a\u{7f}"] {
            assert_eq!(check(bad), Some(BadToken::Character), "{bad:?}");
        }
    }
}
