//! Who decides whether a call may run.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul_state::protocol::ApprovalPolicy;

use crate::BuildError;
use crate::tool::{ToolCall, ToolSet};

pub use longhaul_state::protocol::{ApprovalDecision, CallDigest, PendingApproval};
pub use longhaul_state::turn::Ruling;

/// Decides, for the host, what becomes of each call before it runs.
///
/// It is asked once for each call that a tool could take, as soon as the response that makes it is
/// complete, and for all calls of a response at once. Calls of tools that do not exist, or with
/// arguments that are no JSON, are answered without it. What goes wrong in it denies the call. Where a
/// turn goes on in another process, it is asked again of calls that it had allowed as they are and that
/// had not started, and of those of which it had said nothing.
///
/// ```
/// use async_trait::async_trait;
/// use longhaul::approval::{CallInQuestion, Policy, Ruling};
///
/// /// Nothing outside the folder, and nothing is written without somebody's word.
/// struct Careful;
///
/// #[async_trait]
/// impl Policy for Careful {
///     async fn rule(&self, call: &CallInQuestion) -> Ruling {
///         if call.call.arguments.contains("..") {
///             return Ruling::Deny { reason: "stay in the folder".into() };
///         }
///         match call.asks_by_default {
///             true => Ruling::Ask { arguments: None },
///             false => Ruling::Allow { arguments: None },
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Policy: Send + Sync {
    /// What becomes of `call`.
    ///
    /// Arguments in a ruling take the place of what the model wrote: they are what is shown, what is
    /// approved and what the tool gets. The conversation keeps what the model wrote.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the turn ends.
    async fn rule(&self, call: &CallInQuestion) -> Ruling;

    /// Whether it may ever say [`Ruling::Ask`]. If so, somebody has to answer: see [`Approvals`].
    /// Default: yes.
    fn may_ask(&self) -> bool {
        true
    }
}

/// A call that a [`Policy`] rules on.
#[derive(Clone)]
#[non_exhaustive]
pub struct CallInQuestion {
    /// The session.
    pub session_id: Arc<str>,
    /// The turn.
    pub turn_id: Arc<str>,
    /// The call.
    pub call: ToolCall,
    /// Whether it would be asked for if there were no policy: by the session's [`ApprovalPolicy`]
    /// and what its tool wants.
    pub asks_by_default: bool,
    /// The session's folder.
    pub cwd: Option<PathBuf>,
    pub(crate) data: Option<Arc<dyn Any + Send + Sync>>,
}

impl CallInQuestion {
    /// The data that the embedder gave the session, if it is a `T`.
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.as_deref()?.downcast_ref()
    }

    /// The session's folder.
    pub fn cwd(&self) -> Option<&Path> {
        self.cwd.as_deref()
    }
}

impl std::fmt::Debug for CallInQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallInQuestion")
            .field("turn_id", &self.turn_id)
            .field("call", &self.call)
            .field("asks_by_default", &self.asks_by_default)
            .finish_non_exhaustive()
    }
}

/// Whether anybody answers approval requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Approvals {
    pub(crate) are_answered: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Approvals {
    /// The embedder answers them, by [`Session::answer`](crate::Session::answer).
    pub fn answered() -> Self {
        Self { are_answered: true, timeout: None }
    }

    /// What nobody has answered after so long is denied. Default: it waits until its turn ends.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// Who decides about calls in a session.
#[derive(Clone, Default)]
pub(crate) struct Gatekeeping {
    pub(crate) policy: Option<Arc<dyn Policy>>,
    pub(crate) approvals: Approvals,
}

impl Gatekeeping {
    /// Whether everything that may be asked is answered.
    pub(crate) fn check(&self, tools: &ToolSet, policy: ApprovalPolicy) -> Result<(), BuildError> {
        if self.approvals.are_answered {
            return Ok(());
        }
        match &self.policy {
            Some(policy) if policy.may_ask() => Err(BuildError::NobodyAnswersPolicy),
            Some(_) => Ok(()),
            None => match tools.asks_under(policy) {
                Some(tool) => Err(BuildError::NobodyApproves(tool.to_owned())),
                None => Ok(()),
            },
        }
    }
}
