//! Async functions as tools.

use std::fmt::{self, Display};
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{Effect, Handling, Tool, ToolCall, ToolContext, ToolForm, ToolOutput, ToolSpec};
use crate::output;

/// Makes a tool of an async function from a struct of arguments to a result.
///
/// The struct's JSON schema tells the model what to write; arguments that do not fit it are
/// answered with what is wrong, and the function is not called. An error becomes the output of a
/// failed call.
///
/// ```
/// use longhaul::tool::tool;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct City {
///     /// Its name in English.
///     city: String,
/// }
///
/// async fn weather(City { city }: City) -> Result<String, std::io::Error> {
///     Ok(format!("{city}: rain"))
/// }
///
/// let weather = tool("weather", "Weather now in a city.", weather).read_only();
/// ```
pub fn tool<F, A, R, O, E>(
    name: impl Into<String>,
    description: impl Into<String>,
    function: F,
) -> FunctionTool
where
    F: Fn(A) -> R + Send + Sync + 'static,
    A: DeserializeOwned + JsonSchema,
    R: Future<Output = Result<O, E>> + Send + 'static,
    O: Into<ToolOutput>,
    E: Display,
{
    tool_with_context(name, description, move |arguments, _| function(arguments))
}

/// Makes a tool of an async function that also wants to know where it runs. Otherwise as [`tool`].
///
/// ```
/// use longhaul::tool::{ToolContext, tool_with_context};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Nothing {}
///
/// async fn whoami(_: Nothing, context: ToolContext) -> Result<String, std::io::Error> {
///     Ok(context.session_id().to_owned())
/// }
///
/// let whoami = tool_with_context("whoami", "The session that this is.", whoami);
/// ```
pub fn tool_with_context<F, A, R, O, E>(
    name: impl Into<String>,
    description: impl Into<String>,
    function: F,
) -> FunctionTool
where
    F: Fn(A, ToolContext) -> R + Send + Sync + 'static,
    A: DeserializeOwned + JsonSchema,
    R: Future<Output = Result<O, E>> + Send + 'static,
    O: Into<ToolOutput>,
    E: Display,
{
    let run = move |arguments: &str, context| -> BoxFuture<'static, ToolOutput> {
        let arguments = match serde_json::from_str(arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                let output = ToolOutput::error(format!("invalid arguments: {error}"));
                return Box::pin(std::future::ready(output));
            }
        };
        let running = function(arguments, context);
        Box::pin(async move {
            match running.await {
                Ok(output) => output.into(),
                Err(error) => ToolOutput::error(error.to_string()),
            }
        })
    };
    FunctionTool {
        spec: ToolSpec::function(name, description, output::schema_of::<A>()),
        effect: Effect::Write,
        handling: None,
        timeout: None,
        needs_approval: false,
        run: Box::new(run),
    }
}

type Run = dyn Fn(&str, ToolContext) -> BoxFuture<'static, ToolOutput> + Send + Sync;

/// An async function as a tool; made by [`tool`] or [`tool_with_context`].
pub struct FunctionTool {
    spec: ToolSpec,
    effect: Effect,
    handling: Option<Handling>,
    timeout: Option<Duration>,
    needs_approval: bool,
    run: Box<Run>,
}

impl FunctionTool {
    /// The function only looks: calls of one response may run together.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.effect = Effect::Read;
        self
    }

    /// The function changes something, and twice is as once: a call whose end is unknown may be run
    /// again.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.effect = Effect::Idempotent;
        self
    }

    /// How calls are handled, in place of what follows from the effect.
    #[must_use]
    pub fn handling(mut self, handling: Handling) -> Self {
        self.handling = Some(handling);
        self
    }

    /// The longest that a call may take. Default: no bound.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls ask first. Default: they do not.
    #[must_use]
    pub fn needs_approval(mut self) -> Self {
        self.needs_approval = true;
        self
    }

    /// The server holds the model to the schema, which is made the one of
    /// [`strict_schema_of`](output::strict_schema_of). Where there is none, the agent or session that
    /// is given the tool says so. Default: the server does not.
    #[must_use]
    pub fn strict(mut self) -> Self {
        if let ToolForm::Function { strict, parameters } = &mut self.spec.form {
            *strict = true;
            if let Ok(schema) = output::strict_of_type(parameters.clone()) {
                *parameters = schema;
            }
        }
        self
    }
}

impl fmt::Debug for FunctionTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionTool")
            .field("name", &self.spec.name)
            .field("effect", &self.effect)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Tool for FunctionTool {
    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn parallel(&self) -> bool {
        self.handling.unwrap_or(self.effect.into()).parallel
    }

    fn may_run_again(&self) -> bool {
        self.handling.unwrap_or(self.effect.into()).may_run_again
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn needs_approval(&self) -> bool {
        self.needs_approval
    }

    async fn call(&self, call: ToolCall, context: ToolContext) -> ToolOutput {
        (self.run)(&call.arguments, context).await
    }
}
