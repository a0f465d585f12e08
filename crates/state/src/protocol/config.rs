//! The configuration file of an agent, as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use longhaul_transport::request::{Reasoning, RequestOptions, Verbosity};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::ApprovalPolicy;

/// Everything that a program sets up an agent with. A key that is not here is refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The model's slug.
    pub model: String,
    /// The server.
    #[serde(default)]
    pub provider: ProviderConfig,
    /// Further parameters of each request.
    #[serde(default)]
    pub request: RequestOptions,
    /// Model calls per turn. Default: 200.
    #[serde(default = "default_max_model_calls")]
    pub max_model_calls: u32,
    /// The largest server event, in bytes. Default: 64 MiB.
    #[serde(default = "default_max_event_bytes")]
    pub max_event_bytes: usize,
    /// The largest output of one tool, in bytes. Default: 8 MiB.
    #[serde(default = "default_max_tool_output_bytes")]
    pub max_tool_output_bytes: usize,
    /// The model of reviews. Default: the session's.
    #[serde(default)]
    pub review_model: Option<String>,
    /// A stored login.
    #[serde(default)]
    pub auth_file: Option<PathBuf>,
    /// Where a login is refreshed.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Base instructions. Default: the preset's.
    #[serde(default)]
    pub instructions: Option<String>,
    /// What the user always wants.
    #[serde(default)]
    pub user_instructions: Option<String>,
    /// The folder that tools work in; absolute. Default: the current one.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// The raw context window in tokens, of whatever model. Default: the model table's, else what
    /// the server says in an error, else 128,000 with a warning.
    #[serde(default)]
    pub context_window: Option<u64>,
    /// From how many tokens on the conversation is compacted. Default: 90 % of the raw window.
    #[serde(default)]
    pub auto_compact_token_limit: Option<u64>,
    /// How much the model is to reason. Default: the model table's.
    #[serde(default)]
    pub reasoning: Option<Reasoning>,
    /// How much the model is to say. Default: its own.
    #[serde(default)]
    pub verbosity: Option<Verbosity>,
    /// Which calls ask first.
    #[serde(default)]
    pub approval_policy: ApprovalPolicy,
    /// The folder of session files. Default: nothing is stored.
    #[serde(default)]
    pub home: Option<PathBuf>,
    /// What an acknowledged event promises.
    #[serde(default)]
    pub fsync: FsyncPolicy,
    /// Whether a snapshot of the work tree is taken before each turn.
    #[serde(default)]
    pub snapshots: bool,
    /// Tools that run a program.
    #[serde(default)]
    pub tools: Vec<CommandTool>,
}

fn default_max_model_calls() -> u32 {
    200
}

fn default_max_event_bytes() -> usize {
    longhaul_transport::provider::DEFAULT_MAX_EVENT_BYTES
}

fn default_max_tool_output_bytes() -> usize {
    8 * 1024 * 1024
}

/// What an acknowledged event promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FsyncPolicy {
    /// It is on disk.
    #[default]
    Commit,
    /// It is written.
    Off,
}

/// The server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// A label; `openai`, `chatgpt` and `azure` choose a profile. Default: `openai`.
    pub name: Option<String>,
    /// The address up to and including `/v1`. Default: the profile's.
    pub base_url: Option<String>,
    /// The variable that holds the key. Default: the profile's.
    pub api_key_env: Option<String>,
    /// Query parameters, in their order.
    #[serde(deserialize_with = "pairs")]
    pub query_params: Vec<(String, String)>,
    /// Headers.
    pub http_headers: BTreeMap<String, String>,
    /// Headers whose values variables hold; one that is not set or blank is left out.
    pub env_http_headers: BTreeMap<String, String>,
    /// Retries of requests that got no response. Default: 4.
    pub request_max_retries: Option<u32>,
    /// Retries of responses that broke. Default: 5.
    pub stream_max_retries: Option<u32>,
    /// Deadlines.
    pub timeouts_ms: TimeoutsMs,
}

/// The fields of a JSON object in their order.
fn pairs<'de, D: Deserializer<'de>>(object: D) -> Result<Vec<(String, String)>, D::Error> {
    object.deserialize_map(Pairs)
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Deadlines in milliseconds; what is missing has its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutsMs {
    /// Opening a connection. Default: 10,000.
    pub connect: Option<u64>,
    /// Sending the request. Default: 60,000.
    pub send: Option<u64>,
    /// To the response's head. Default: 60,000.
    pub headers: Option<u64>,
    /// To the first event. Default: 300,000.
    pub first_event: Option<u64>,
    /// Between two events. Default: 300,000.
    pub idle: Option<u64>,
    /// The whole turn. Default: none.
    pub turn: Option<u64>,
}

/// A tool that runs a program: without a shell, the raw arguments JSON on its stdin, its stdout the
/// output. A non-zero exit is a failed output that carries the code and the end of stderr.
///
/// The program gets a process group of its own, which is killed when the call is cancelled, times
/// out, or ends and leaves children behind; and only these variables: `PATH`, `HOME`, `LANG`,
/// `TMPDIR`, and `LONGHAUL_CALL_ID`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CommandTool {
    /// The name that calls carry.
    pub name: String,
    /// What it does, for the model.
    #[serde(default)]
    pub description: String,
    /// The JSON schema of its arguments. Default: any object.
    #[serde(default = "any_object")]
    pub parameters: Value,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether it only looks, so that calls may run together. Default: no.
    #[serde(default)]
    pub parallel: bool,
    /// Whether calls ask first. Default: no.
    #[serde(default)]
    pub needs_approval: bool,
    /// The longest that a call may take, in milliseconds. Default: no bound.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

fn any_object() -> Value {
    serde_json::json!({"type": "object"})
}

impl CommandTool {
    /// A tool that runs `command` and changes what it likes.
    pub fn new(name: impl Into<String>, description: impl Into<String>, command: &[&str]) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            parameters: any_object(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            parallel: false,
            needs_approval: false,
            timeout_ms: None,
        }
    }
}
