//! What a model can call.

#[cfg(feature = "command")]
pub mod command;
mod context;
mod function;
mod output;
mod set;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use context::SessionData;
pub use context::ToolContext;
pub use function::{FunctionTool, tool, tool_with_context};
pub use longhaul_history::OutputPart;
pub use longhaul_state::turn::{Effect, Handling};
pub use longhaul_transport::request::{ToolForm, ToolSpec};
pub use output::ToolOutput;
pub(crate) use output::as_text;
pub use set::ToolSet;
pub(crate) use set::may_ask;

/// A tool.
///
/// A plain async function is one through [`tool`]. Implement the trait for what a function cannot
/// say: a schema known only at run time, free text, images, an effect.
///
/// ```
/// use async_trait::async_trait;
/// use longhaul::tool::{Effect, Tool, ToolCall, ToolContext, ToolOutput, ToolSpec};
///
/// struct Shout;
///
/// #[async_trait]
/// impl Tool for Shout {
///     fn spec(&self) -> ToolSpec {
///         ToolSpec::custom("shout", "Says it louder.")
///     }
///
///     fn effect(&self) -> Effect {
///         Effect::Read
///     }
///
///     async fn call(&self, call: ToolCall, _: ToolContext) -> ToolOutput {
///         ToolOutput::text(call.arguments.to_uppercase())
///     }
/// }
/// ```
#[async_trait]
pub trait Tool: Send + Sync {
    /// What the model is told. Asked when the tool is given to an agent or a session; for another
    /// answer, give it anew.
    fn spec(&self) -> ToolSpec;

    /// What a call does: from it follows how calls are handled. Default: [`Effect::Write`], of which
    /// calls run alone and never twice.
    fn effect(&self) -> Effect {
        Effect::Write
    }

    /// Whether a call may run beside others of its response that may. Default: what follows from the
    /// [effect](Self::effect): those that only read.
    fn parallel(&self) -> bool {
        Handling::from(self.effect()).parallel
    }

    /// Whether a call whose end is unknown, because the process died, may be run again, with the same
    /// call id. Default: what follows from the [effect](Self::effect): all but writes.
    fn may_run_again(&self) -> bool {
        Handling::from(self.effect()).may_run_again
    }

    /// The longest that a call may take. Default: no bound.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Whether a call asks first, under the policy `on_request`. Default: no.
    fn needs_approval(&self) -> bool {
        false
    }

    /// Runs a call. It is started at most once.
    ///
    /// What goes wrong is an output too ([`ToolOutput::error`]): the model is told, and the
    /// session lives. So it is with a panic.
    ///
    /// # Cancel safety
    ///
    /// After an interrupt [`ToolContext::cancelled`] completes; 100 ms later the future is dropped,
    /// wherever it is. The model is then told that the effect is unknown.
    async fn call(&self, call: ToolCall, context: ToolContext) -> ToolOutput;
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// The id that the model gave it.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What the model wrote: valid JSON for a function, any text for a custom tool.
    pub arguments: String,
}

impl ToolCall {
    /// A call, for the tests of a tool.
    pub fn new(
        call_id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self { call_id: call_id.into(), name: name.into(), arguments: arguments.into() }
    }
}
