//! Async functions as tools.

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;

use super::{Effect, Tool, ToolCall, ToolContext, ToolOutput, ToolSpec};

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
) -> FunctionTool<F, A>
where
    F: Fn(A) -> R + Send + Sync,
    A: DeserializeOwned + JsonSchema,
    R: Future<Output = Result<O, E>> + Send,
    O: Into<ToolOutput>,
    E: Display,
{
    FunctionTool {
        spec: ToolSpec::function(name, description, schema::<A>()),
        effect: Effect::Write,
        timeout: None,
        function,
        arguments: PhantomData,
    }
}

/// The JSON schema of `A`, without references, which some servers do not follow.
fn schema<A: JsonSchema>() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings
        .into_generator()
        .into_root_schema_for::<A>()
        .to_value()
}

/// An async function as a tool; made by [`tool`].
pub struct FunctionTool<F, A> {
    spec: ToolSpec,
    effect: Effect,
    timeout: Option<Duration>,
    function: F,
    arguments: PhantomData<fn(A)>,
}

impl<F, A> FunctionTool<F, A> {
    /// The function only looks: calls of one response may run together.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.effect = Effect::Read;
        self
    }

    /// The longest that a call may take. Default: no bound.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

#[async_trait]
impl<F, A, R, O, E> Tool for FunctionTool<F, A>
where
    F: Fn(A) -> R + Send + Sync,
    A: DeserializeOwned + JsonSchema + Send,
    R: Future<Output = Result<O, E>> + Send,
    O: Into<ToolOutput>,
    E: Display,
{
    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    async fn call(&self, call: ToolCall, _: ToolContext) -> ToolOutput {
        let arguments = match serde_json::from_str(&call.arguments) {
            Ok(arguments) => arguments,
            Err(error) => return ToolOutput::error(format!("invalid arguments: {error}")),
        };
        match (self.function)(arguments).await {
            Ok(output) => output.into(),
            Err(error) => ToolOutput::error(error.to_string()),
        }
    }
}
