//! Why a stored login cannot be used.

use std::io;
use std::path::Path;

use crate::error::clean;
use crate::{ErrorCode, ModelError};

/// Why a stored login cannot be used. The message says what to do; it shows no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// There is no file: nobody has signed in, or somebody signed out.
    #[error("there is no stored login at {path}: sign in")]
    NotSignedIn {
        /// The file.
        path: String,
    },
    /// The file is there, but unsafe or not understood. It is left as it is.
    #[error("the stored login {path} is not used: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it, and the cure.
        problem: String,
    },
    /// The operating system refused.
    #[error("the stored login {path} cannot be {action}: {source}")]
    Io {
        /// The file, or the lock file beside it.
        path: String,
        /// `read`, `locked`, `written` or `deleted`.
        action: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// Another process held the lock all the time. Nothing was sent.
    #[error(
        "the stored login {path} is being refreshed by another process, which did not end within \
         {waited_ms} ms: if it hangs, end it"
    )]
    Locked {
        /// The lock file.
        path: String,
        /// The time waited, in milliseconds.
        waited_ms: u128,
    },
    /// The provider takes API keys only.
    #[error(
        "provider `{provider}` takes no stored login: only the profiles `openai` and `chatgpt` do; \
         use an API key"
    )]
    TakesNoLogin {
        /// Its name.
        provider: String,
    },
    /// A token would travel unprotected.
    #[error("{origin} must not get a stored login: use https, or a loopback address")]
    PlainHttp {
        /// The scheme, host and port.
        origin: String,
    },
    /// A request that does not go to the server of the login.
    #[error("the stored login is for {bound}, and is not sent to {target}")]
    OtherOrigin {
        /// The scheme, host and port of the login.
        bound: String,
        /// Those of the request.
        target: String,
    },
}

impl LoginError {
    /// Whether there simply is no stored login.
    pub fn is_not_signed_in(&self) -> bool {
        matches!(self, Self::NotSignedIn { .. })
    }

    pub(super) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: shown(path), problem: problem.into() }
    }

    pub(super) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: shown(path), action, source }
    }

    /// The error of a request that gets no credential.
    pub(super) fn unauthorized(self) -> ModelError {
        ModelError::new(ErrorCode::Unauthorized, self.to_string()).with_source(self)
    }

    /// The error of a refresh.
    pub(super) fn refresh_failed(self) -> ModelError {
        let transient = matches!(self, Self::Io { .. } | Self::Locked { .. });
        ModelError::new(ErrorCode::RefreshFailed, self.to_string())
            .retryable(transient)
            .with_source(self)
    }
}

/// A path fit for a message.
pub(super) fn shown(path: &Path) -> String {
    clean(&path.display().to_string())
}
