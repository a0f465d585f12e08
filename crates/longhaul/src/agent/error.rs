//! Why an agent or a session cannot be set up.

use longhaul_history::EditError;
use longhaul_transport::request::OptionsError;

use crate::output::SchemaError;

/// What [`BuildError::NoSuchPlace`] says of a conversation that cannot be cut.
impl From<EditError> for BuildError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::OutOfRange { what, asked, available } => {
                Self::NoSuchPlace { what, asked: asked as u64, available: available as u64 }
            }
            error => Self::Store(error.to_string()),
        }
    }
}

/// Why an agent or a session cannot be set up. The caller is at fault; the message says what to
/// change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The model's slug is empty.
    #[error("`model` is empty: name one")]
    NoModel,
    /// The working folder is not UTF-8, so that neither a log nor the model could be told of it.
    #[error("`cwd` is not UTF-8: `{0}`; give a folder that is")]
    CwdNotUtf8(std::path::PathBuf),
    /// The working folder is relative.
    #[error("`cwd` is relative: `{0}`; give an absolute path")]
    RelativeCwd(std::path::PathBuf),
    /// A parameter of requests cannot be sent.
    #[error("request option {0}")]
    Options(#[from] OptionsError),
    /// A tool's name is not allowed.
    #[error("tool name `{0}`: use 1 to 64 letters, digits, `_` or `-`")]
    ToolName(String),
    /// Two tools have one name.
    #[error("two tools are called `{0}`: give each a name of its own")]
    DuplicateTool(String),
    /// A tool's schema is not one of an object.
    #[error("tool `{0}`: its parameters must be a JSON schema of type `object`")]
    ToolSchema(String),
    /// The server is to hold the model to a tool's schema, and no strict server takes it.
    #[error("tool `{tool}` cannot be strict: {error}")]
    StrictSchema {
        /// Its name.
        tool: String,
        /// Where its schema is at fault.
        #[source]
        error: SchemaError,
    },
    /// A tool that the server runs is not an object with a `type` of its own.
    #[error("hosted tool {position}: {problem}")]
    HostedTool {
        /// Which of them, from 1.
        position: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A tool takes free text, and the provider does not know such tools.
    #[error(
        "tool `{0}` takes free text, which the provider does not know: \
         give the tool JSON arguments, or use another provider"
    )]
    CustomTool(String),
    /// A tool may ask for approval, and nobody answers.
    #[error(
        "tool `{0}` may ask for approval, and nobody answers: say that somebody does \
         (`approvals`), or set the approval policy to `never`"
    )]
    NobodyApproves(String),
    /// The policy may ask for approval, and nobody answers.
    #[error(
        "the policy may ask for approval, and nobody answers: say that somebody does \
         (`approvals`), or that it never asks (`Policy::may_ask`)"
    )]
    NobodyAnswersPolicy,
    /// The session log cannot be opened or begun. The message says why and what to do.
    #[error("session log: {0}")]
    Store(String),
    /// Another program wrote the log: it is not gone on with, but a session can take it over.
    #[error("the log {path} was written by another program: import it to go on with it")]
    Foreign {
        /// The log.
        path: String,
    },
    /// The log to be imported is one of this program's.
    #[error("the log {path} is one of this program's own: resume or fork it")]
    NotForeign {
        /// The log, or the session's id where logs have no path.
        path: String,
    },
    /// The session to be imported has a log in the store already. It was not touched.
    #[error("the store has the session already, in {log}: resume that")]
    AlreadyImported {
        /// The log, or the session's id where logs have no path.
        log: String,
    },
    /// There is no such place to fork a session at.
    #[error("there is no {what} {asked}: the session has {available}")]
    NoSuchPlace {
        /// What was asked for: `user message` or `record`.
        what: &'static str,
        /// Which one, from 0.
        asked: u64,
        /// How many there are.
        available: u64,
    },
    /// The session to be forked has no log, so that there is no record to fork it behind.
    #[error("the session has no log: fork it before a message, or at its end")]
    NoLog,
    /// The session is shut down. Open another.
    #[error("the session is shut down")]
    Closed,
    /// HTTP cannot be set up.
    #[error("HTTP client: {0}")]
    Http(String),
}
