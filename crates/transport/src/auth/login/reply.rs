//! What the token endpoint says.

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::json::{Members, Text};
use super::token::{BadToken, token};
use crate::Secret;
use crate::error::clean;

/// No token is believed to live longer.
const MAX_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Codes by which a server says that it will never take a refresh token.
const FINAL_CODES: [&str; 4] =
    ["invalid_grant", "refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated"];

/// The tokens of a success. Each may be missing.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) id: Option<Secret>,
    pub(super) access: Option<Secret>,
    pub(super) refresh: Option<Secret>,
    pub(super) lifetime: Option<Duration>,
    /// What is wrong with the access token, if it cannot be used.
    pub(super) bad_access: Option<BadToken>,
}

impl Reply {
    /// Reads the body of a success; `None` if it is no JSON object. What is not understood counts
    /// as missing.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let members: Members = serde_json::from_slice(body).ok()?;
        let mut reply = Self::default();
        for (name, raw) in members.0 {
            let text = || serde_json::from_str::<Text>(raw.get()).ok().map(|text| token(text.0));
            match name.as_str() {
                "id_token" => reply.id = text().and_then(Result::ok),
                "refresh_token" => reply.refresh = text().and_then(Result::ok),
                "expires_in" => reply.lifetime = lifetime(raw.get()),
                "access_token" => match text() {
                    Some(Ok(access)) => reply.access = Some(access),
                    Some(Err(bad)) => reply.bad_access = Some(bad),
                    None => {}
                },
                _ => {}
            }
        }
        Some(reply)
    }
}

/// A positive number of seconds, also as a string, and no more than [`MAX_LIFETIME`].
fn lifetime(raw: &str) -> Option<Duration> {
    let seconds = match serde_json::from_str(raw).ok()? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds > 0.0)
        .then(|| Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME))
        .map(|lifetime| lifetime.min(MAX_LIFETIME))
}

/// What a refusal says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) text: String,
    /// The server will never take this refresh token.
    pub(super) is_final: bool,
}

impl Refusal {
    /// Reads the body of a refusal. Only the members that OAuth and OpenAI's servers use for a
    /// reason are shown, without secrets (`redact`), bounded, and without control characters.
    pub(super) fn read(body: &[u8], redact: impl Fn(&str) -> String) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &body["error"];
        let codes = [error, &error["code"], &error["type"], &body["code"]];
        let codes: Vec<&str> = codes.into_iter().filter_map(Value::as_str).collect();
        let reasons = [&body["error_description"], &error["message"], &body["message"]];
        let reason = reasons.into_iter().find_map(Value::as_str);
        let texts: Vec<&str> = codes.first().copied().into_iter().chain(reason).collect();
        Self {
            text: clean(&redact(&texts.join(": "))),
            is_final: codes.iter().any(|code| FINAL_CODES.contains(code)),
        }
    }
}

/// The body of the request.
pub(super) fn request_body(client_id: &str, refresh: &Secret) -> Zeroizing<Vec<u8>> {
    use super::json::{Part, write};
    let members = [
        ("client_id", client_id),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose()),
        ("scope", "openid profile email"),
    ];
    let members = members.map(|(name, value)| (name.to_owned(), Part::Text(value)));
    write(&members, 2 * (client_id.len() + refresh.expose().len()) + 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_of_any_shape_is_a_bounded_time_or_none() {
        let read = |raw: &str| lifetime(raw).map(|lifetime| lifetime.as_secs());
        assert_eq!(read("3600"), Some(3600));
        assert_eq!(read("\"3600\""), Some(3600));
        assert_eq!(read("1e18"), Some(MAX_LIFETIME.as_secs()));
        assert_eq!(read("1000000000000000000"), Some(MAX_LIFETIME.as_secs()));
        assert_eq!(read("\"inf\""), Some(MAX_LIFETIME.as_secs()));
        for none in ["0", "-1", "null", "\"\"", "\"x\"", "\"nan\"", "[]", "true", "\"-0\""] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn the_body_is_json_as_the_endpoint_wants_it() {
        let body = request_body("app_x", &Secret::new(r#"a"b\c"#));
        let expected = serde_json::json!({"client_id": "app_x", "grant_type": "refresh_token",
            "refresh_token": r#"a"b\c"#, "scope": "openid profile email"});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }
}
