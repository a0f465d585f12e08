//! Why a provider cannot be set up.

/// Why a provider cannot be set up. The message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The base URL is unusable.
    #[error("base URL `{url}`: {problem}")]
    BaseUrl {
        /// The address without its user part, query and fragment.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A variable that should hold the key does not.
    #[error("environment variable {variable} is not set: put the API key into it")]
    MissingKey {
        /// Its name.
        variable: String,
    },
    /// A header cannot be sent.
    #[error("header `{name}`: its {part} is not allowed in HTTP")]
    Header {
        /// Its name.
        name: String,
        /// `name` or `value`.
        part: &'static str,
    },
    /// The profile has no address of its own.
    #[error("provider `{name}` has no address of its own: set its base URL")]
    NoBaseUrl {
        /// The profile.
        name: String,
    },
}
