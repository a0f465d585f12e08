//! The kinds of servers, as data: what a [`Provider`](super::Provider) of each begins with.

use url::Url;

use super::Features;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// What users call it, in lower case; empty for every server without a profile of its own.
    pub name: &'static str,
    /// Its address up to and including the version, if all its users share one.
    pub base_url: Option<&'static str>,
    /// The environment variable that holds its API key by custom.
    pub key_variable: Option<&'static str>,
    /// Headers of every request: lower-case names and values.
    pub headers: &'static [(&'static str, &'static str)],
    /// Headers whose values the environment holds: lower-case names and variables. One that is not
    /// set or blank is left out.
    pub env_headers: &'static [(&'static str, &'static str)],
    /// Whether it takes the stored login of an account.
    pub takes_login: bool,
    /// Whether it gets the headers of OpenAI's own clients.
    pub vendor_headers: bool,
    /// Whether it stores responses.
    pub stores_responses: bool,
    /// What it knows.
    pub features: Features,
}

/// OpenAI, with an API key.
pub(super) static OPENAI: Profile = Profile {
    name: "openai",
    base_url: Some("https://api.openai.com/v1"),
    key_variable: Some("OPENAI_API_KEY"),
    headers: VERSION,
    env_headers: &[
        ("openai-organization", "OPENAI_ORGANIZATION"),
        ("openai-project", "OPENAI_PROJECT"),
    ],
    takes_login: true,
    vendor_headers: true,
    ..OTHER
};

/// OpenAI, with the login of an account in place of a key.
static CHATGPT: Profile = Profile {
    name: "chatgpt",
    base_url: Some("https://chatgpt.com/backend-api/codex"),
    headers: VERSION,
    takes_login: true,
    vendor_headers: true,
    ..OTHER
};

static AZURE: Profile = Profile {
    name: "azure",
    key_variable: Some("AZURE_OPENAI_API_KEY"),
    stores_responses: true,
    ..OTHER
};

/// Every other server. What it does not know, its user says.
const OTHER: Profile = Profile {
    name: "",
    base_url: None,
    key_variable: None,
    headers: &[],
    env_headers: &[],
    takes_login: false,
    vendor_headers: false,
    stores_responses: false,
    features: Features::ALL,
};

static OTHERS: Profile = OTHER;

const VERSION: &[(&str, &str)] = &[("version", env!("CARGO_PKG_VERSION"))];

/// Parts of the addresses of Azure's servers.
const AZURE_ADDRESSES: [&str; 5] =
    ["openai.azure.", "cognitiveservices.azure.", "aoai.azure.", "azure-api.", "azurefd."];

impl Profile {
    /// All that have a name.
    pub fn all() -> &'static [&'static Profile] {
        static ALL: [&Profile; 3] = [&OPENAI, &CHATGPT, &AZURE];
        &ALL
    }

    /// The profile of this name, in any case; for every other name, that of a server of which
    /// nothing is known.
    ///
    /// ```
    /// use longhaul_transport::provider::Profile;
    ///
    /// assert_eq!(Profile::of("OpenAI").key_variable, Some("OPENAI_API_KEY"));
    /// assert_eq!(Profile::of("my-server").base_url, None);
    /// ```
    pub fn of(name: &str) -> &'static Profile {
        let named = Self::all().iter().find(|profile| profile.name.eq_ignore_ascii_case(name));
        named.copied().unwrap_or(&OTHERS)
    }

    /// Whether a server of this kind at `base_url` stores responses: Azure does, whatever its user
    /// calls it.
    pub(super) fn stores_responses_at(&self, base_url: &Url) -> bool {
        let address = base_url.as_str().to_ascii_lowercase();
        self.stores_responses || AZURE_ADDRESSES.iter().any(|part| address.contains(part))
    }
}
