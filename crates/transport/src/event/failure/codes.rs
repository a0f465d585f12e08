//! Which code an error has: by phrases that settle it, by its names, by its status.

use serde_json::Value;

use super::{ServerError, overflow};
use crate::ErrorCode;
use crate::error::clean;

/// Phrases of failures that a repetition cannot cure, whatever their status.
const HOPELESS_PHRASES: [&str; 1] = ["image input is not supported"];

/// Names of used-up quotas, which some gateways only quote.
const QUOTA_NAMES: [&str; 3] =
    ["insufficient_quota", "billing_hard_limit_reached", "usage_limit_reached"];

impl ServerError {
    /// The code of an error that came with an HTTP status.
    pub(super) fn code_with(&self, status: u16) -> ErrorCode {
        let by_status = by_status(status);
        let named = self.by_phrase().or_else(|| self.by_name());
        match named {
            // Whose fault it is, the status tells more reliably than the names; but a server that
            // calls the request wrong will do so again, even if it calls that a failure of its own.
            Some(ErrorCode::InvalidRequest) if status >= 500 => ErrorCode::InvalidRequest,
            Some(ErrorCode::InvalidRequest | ErrorCode::ServerError) | None => by_status,
            Some(code) => code,
        }
    }

    /// The code of an error within a response.
    pub(super) fn code_in_stream(&self) -> ErrorCode {
        let named = self.by_phrase().or_else(|| self.by_name());
        named.or_else(|| self.by_number()).unwrap_or(ErrorCode::ResponseFailed)
    }

    /// What phrases in the message mean, if they are known.
    fn by_phrase(&self) -> Option<ErrorCode> {
        let message = self.message().to_ascii_lowercase();
        let says = |phrase: &&str| message.contains(*phrase);
        if overflow::is_told_in(&message) {
            Some(ErrorCode::ContextWindowExceeded)
        } else if QUOTA_NAMES.iter().any(&says) {
            Some(ErrorCode::UsageLimitReached)
        } else if HOPELESS_PHRASES.iter().any(says) {
            Some(ErrorCode::InvalidRequest)
        } else {
            None
        }
    }

    /// What the code or the type means, if one is known. The type may be the only hint, and the
    /// error that a gateway quotes says more than its own.
    fn by_name(&self) -> Option<ErrorCode> {
        let names = |error: &Self| {
            let names = [error.code.as_str(), error.r#type.as_str()];
            names.into_iter().flatten().find_map(by_name)
        };
        self.quoted.as_deref().and_then(names).or_else(|| names(self))
    }

    /// What a code means that is an HTTP status, as a number or as text.
    fn by_number(&self) -> Option<ErrorCode> {
        let text = |code: &Value| code.as_str().and_then(|code| code.parse().ok());
        let number = self.code.as_u64().or_else(|| text(&self.code))?;
        let status = u16::try_from(number).ok()?;
        (400..600).contains(&status).then(|| by_status(status))
    }
}

/// What a status means by itself. 1xx, 2xx and 304 are no answers to a request that asks for none
/// of them.
fn by_status(status: u16) -> ErrorCode {
    match status {
        401 | 403 => ErrorCode::Unauthorized,
        429 => ErrorCode::RateLimited,
        408 | 409 | 425 | 500.. => ErrorCode::ServerError,
        ..300 | 304 => ErrorCode::Protocol,
        300.. => ErrorCode::InvalidRequest,
    }
}

/// The message of an error that has none: what the status and the body tell.
pub(super) fn words(status: u16, body: &str) -> String {
    let reason = match (status, clean(body)) {
        (301..=303 | 307 | 308, _) => {
            return "the server redirects; redirects are not followed".into();
        }
        (407, _) => return "a proxy on the way to the server wants a login".into(),
        (_, body) if body.is_empty() => "it gave no reason".into(),
        (_, body) if body.starts_with('<') => "it answered with a page, not an error".into(),
        (_, body) => body,
    };
    format!("the server refused: {reason}")
}

fn by_name(name: &str) -> Option<ErrorCode> {
    Some(match name {
        "context_length_exceeded"
        | "context_window_exceeded"
        | "exceed_context_size_error"
        | "model_max_prompt_tokens_exceeded" => ErrorCode::ContextWindowExceeded,
        "usage_limit_reached"
        | "insufficient_quota"
        | "insufficient_user_quota"
        | "exceeded_current_quota_error"
        | "billing_hard_limit_reached"
        | "billing_not_active" => ErrorCode::UsageLimitReached,
        "usage_not_included" => ErrorCode::UsageNotIncluded,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "rate_limit_reached"
        | "throttling_error"
        | "too_many_requests" => ErrorCode::RateLimited,
        "invalid_request_error"
        | "invalid_request"
        | "invalid_prompt"
        | "invalid_value"
        | "invalid_type"
        | "invalid_image"
        | "BadRequestError"
        | "missing_required_parameter"
        | "unknown_parameter"
        | "string_above_max_length"
        | "model_not_found"
        | "not_found_error"
        | "previous_response_not_found"
        | "content_policy_violation"
        | "content_filter" => ErrorCode::InvalidRequest,
        "unsupported_parameter"
        | "unsupported_value"
        | "unsupported_model"
        | "unsupported_api_for_model"
        | "not_supported_error" => ErrorCode::Unsupported,
        "authentication_error"
        | "invalid_api_key"
        | "permission_error"
        | "account_deactivated"
        | "unsupported_country_region_territory" => ErrorCode::Unauthorized,
        "server_error"
        | "internal_server_error"
        | "InternalServerError"
        | "server_is_overloaded"
        | "slow_down"
        | "overloaded_error"
        | "api_error"
        | "unavailable_error" => ErrorCode::ServerError,
        _ => return None,
    })
}
