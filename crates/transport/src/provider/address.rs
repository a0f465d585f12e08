//! Addresses of servers.

use url::{Host, Url};

use super::ProviderError;

/// An address that is part of this program.
pub(crate) fn known_url(url: &str) -> Url {
    #[expect(clippy::expect_used, reason = "the addresses are constants, and tests parse each")]
    Url::parse(url).expect("a constant address is valid")
}

const NO_SCHEME: &str = "it must begin with http:// or https://";

pub(super) fn parse_base_url(text: &str) -> Result<Url, ProviderError> {
    let refuse = |problem: &str| ProviderError::BaseUrl {
        url: crate::error::clean(without_secrets(text)),
        problem: problem.into(),
    };
    let url = Url::parse(text.trim()).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => refuse(NO_SCHEME),
        error => refuse(&error.to_string()),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(NO_SCHEME));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it must not hold a query or fragment; set query parameters apart"));
    }
    Ok(url)
}

/// The part of an address that may be shown: without user, query and fragment.
fn without_secrets(url: &str) -> &str {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    shown.rsplit_once('@').map_or(shown, |(_, host)| host)
}

/// Whether an address is this machine's own, by its name or number, without asking anybody.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}
