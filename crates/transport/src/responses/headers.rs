//! The headers of a request, and what of it must not be shown.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::form_urlencoded::byte_serialize;

use super::attempt::Attempt;
use crate::{ErrorCode, ModelError, Request, Secret};

/// What a client calls itself.
const CLIENT: &str = concat!("longhaul/", env!("CARGO_PKG_VERSION"));

/// A longer bearer header is none: no server takes it, and it is likely some other file's content.
const MAX_BEARER_BYTES: usize = 32 * 1024;

/// Query parameters whose values are no secret, so that errors may show them.
const OPEN_QUERY: [&str; 1] = ["api-version"];

impl Attempt {
    /// All headers.
    pub(super) fn headers(&self, request: &Request) -> Result<HeaderMap, ModelError> {
        let headers = self.all_headers(request)?;
        let is_secret = headers.values().any(HeaderValue::is_sensitive);
        if is_secret && !self.provider.may_carry_secrets() {
            return Err(unfit(
                "the credential was not sent: the base URL is plain http to another machine, \
                 where others can read it; use https, or allow plain http",
            ));
        }
        Ok(headers)
    }

    fn all_headers(&self, request: &Request) -> Result<HeaderMap, ModelError> {
        let mut headers = self.provider.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(CLIENT));
        let credential = self.credential.as_ref();
        for (name, value) in credential.iter().flat_map(|credential| &credential.headers) {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(credential) = credential.filter(|credential| !credential.bearer.is_empty()) {
            let bearer = credential.bearer.bearer_header().map_err(ModelError::not_processed)?;
            if bearer.len() > MAX_BEARER_BYTES || bearer.to_str().is_err() {
                return Err(unfit("the credential is none: it is too long, or not ASCII"));
            }
            headers.insert(AUTHORIZATION, bearer);
        }
        if self.provider.vendor_headers {
            add_vendor_headers(request, &mut headers);
        }
        Ok(headers)
    }

    /// `text` without anything that may be secret of the request.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut secrets: Vec<String> = self.secret_texts().collect();
        // One may hold another; what is left of it must not stay.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let bearer = self.credential.as_ref().map(|credential| credential.bearer.clone());
        let secrets = secrets.into_iter().map(Secret::new).chain(bearer);
        secrets.fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// The secrets besides the bearer, in every form in which a server sees them.
    fn secret_texts(&self) -> impl Iterator<Item = String> {
        let own = self.provider.headers.values().filter(|value| value.is_sensitive());
        let credential = self.credential.iter().flat_map(|credential| credential.headers.values());
        let values = own.chain(credential).filter_map(|value| value.to_str().ok());
        let headers = values.flat_map(|value| {
            // A server that echoes a token leaves out the scheme before it.
            let token = value.split_once(' ').map(|(_, token)| token);
            std::iter::once(value).chain(token).map(str::to_owned)
        });
        let query = self.provider.query.iter();
        let query = query.filter(|(name, _)| !OPEN_QUERY.contains(&name.as_str()));
        let query = query.flat_map(|(_, value)| {
            [value.clone(), byte_serialize(value.as_bytes()).collect::<String>()]
        });
        headers.chain(query)
    }
}

/// A credential that is not sent.
fn unfit(message: &str) -> ModelError {
    ModelError::new(ErrorCode::Unauthorized, message).not_processed()
}

fn add_vendor_headers(request: &Request, headers: &mut HeaderMap) {
    let task_kind = HeaderValue::from_static(request.task_kind.as_str());
    headers.insert(HeaderName::from_static("codex-task-type"), task_kind);
    let beta = HeaderValue::from_static("responses=experimental");
    headers.insert(HeaderName::from_static("openai-beta"), beta);
    let originator = HeaderName::from_static("originator");
    headers.entry(originator).or_insert(HeaderValue::from_static("longhaul"));
    if request.session_id.is_empty() {
        return;
    }
    if let Ok(id) = HeaderValue::from_str(&request.session_id) {
        headers.insert(HeaderName::from_static("conversation_id"), id.clone());
        headers.insert(HeaderName::from_static("session_id"), id);
    }
}
