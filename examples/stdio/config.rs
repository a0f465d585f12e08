//! The command line and the configuration file.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::approval::Approvals;
use longhaul::coding::{CodingContext, INSTRUCTIONS, Snapshots, default_reasoning};
use longhaul::events::EventBuffer;
use longhaul::rollout::{FileStore, Fsync, LogRef};
use longhaul::state::protocol::{Config, FsyncPolicy};
use longhaul::{Agent, AgentBuilder};

use crate::json::repeated_key;
use crate::model;

const USAGE: &str = "usage: stdio --config FILE [--resume FILE | --fork FILE --before N]";

/// Events that are kept while whoever reads stdout does not. Pieces of a text are joined meanwhile, so
/// that this is hours of silence; only then would events be left out.
const EVENTS: (usize, usize) = (100_000, 256 * 1024 * 1024);

/// The agent that the command line asks for.
pub(crate) struct Setup {
    pub(crate) agent: Agent,
    pub(crate) origin: Origin,
    /// What the configuration asks for and does not get.
    pub(crate) warnings: Vec<String>,
}

/// Where the session comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    New,
    Resumed(LogRef),
    /// Before which message of the user, counted from 0.
    Forked(LogRef, usize),
}

/// Reads the command line and the file that it names.
///
/// # Errors
///
/// One sentence that says what is wrong.
pub(crate) fn from_command_line(
    arguments: impl Iterator<Item = OsString>,
) -> Result<Setup, String> {
    let (path, origin) = arguments_of(arguments)?;
    let name = path.display();
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("config `{name}` cannot be read: {e}"))?;
    let config = parse(&text).map_err(|problem| format!("config `{name}`: {problem}"))?;
    if config.home.is_none() && origin != Origin::New {
        return Err(format!("config `{name}`: `home` is missing: where are sessions kept?"));
    }
    set_up(config, origin).map_err(|problem| format!("config `{name}`: {problem}"))
}

fn arguments_of(
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<(PathBuf, Origin), String> {
    let (mut config, mut resumed, mut forked, mut before) = (None, None, None, None);
    while let Some(argument) = arguments.next() {
        let option = argument.to_str().unwrap_or_default();
        let value = match option {
            "--config" => &mut config,
            "--resume" => &mut resumed,
            "--fork" => &mut forked,
            "--before" => &mut before,
            _ => return Err(format!("unknown argument `{}`; {USAGE}", argument.display())),
        };
        let given = arguments.next().ok_or_else(|| format!("`{option}` needs a value; {USAGE}"))?;
        if value.replace(given).is_some() {
            return Err(format!("`{option}` is there twice; {USAGE}"));
        }
    }
    let config = config.ok_or_else(|| format!("`--config` is missing; {USAGE}"))?;
    let origin = match (resumed, forked, before) {
        (None, None, None) => Origin::New,
        (Some(log), None, None) => Origin::Resumed(log_ref(&log)?),
        (None, Some(log), Some(before)) => {
            let number = before.to_str().and_then(|text| text.parse().ok());
            let number = number.ok_or_else(|| {
                format!("`--before` is no number: `{}`; {USAGE}", before.display())
            })?;
            Origin::Forked(log_ref(&log)?, number)
        }
        _ => return Err(format!("these options do not go together; {USAGE}")),
    };
    Ok((config.into(), origin))
}

/// A file; where there is none and the name is a session's id, the log of that session in the home.
fn log_ref(named: &OsStr) -> Result<LogRef, String> {
    let id = named.to_str().filter(|it| is_id(it) && !Path::new(it).exists());
    if let Some(id) = id {
        return Ok(LogRef::Id(id.to_owned()));
    }
    let path = std::path::absolute(named);
    path.map(LogRef::Path).map_err(|error| format!("`{}`: {error}", named.display()))
}

/// Whether it has the form of a UUID.
fn is_id(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// The configuration in `text`; the error names the key.
fn parse(text: &str) -> Result<Config, String> {
    if let Some(key) = repeated_key(text.as_bytes()) {
        return Err(format!("`{key}` is there twice: keep one"));
    }
    // Serde would take the elements of a list for the keys' values, in order.
    if !text.trim_start().starts_with('{') {
        return Err("it must be one JSON object".into());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let config = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        match path.as_str() {
            "." | "?" => problem.to_string(),
            path => format!("`{path}`: {problem}"),
        }
    })?;
    json.end().map_err(|e| e.to_string())?;
    Ok(config)
}

fn set_up(config: Config, origin: Origin) -> Result<Setup, String> {
    check(&config)?;
    let cwd = working_folder(config.cwd.as_deref())?;
    let warnings = warnings(&config);
    let source = model::source(&config)?;
    let mut agent = Agent::builder(config.model.clone(), source)
        .instructions(config.instructions.unwrap_or_else(|| INSTRUCTIONS.to_owned()))
        .context(CodingContext::new(config.user_instructions))
        .default_reasoning(default_reasoning)
        .cwd(cwd)
        .approval_policy(config.approval_policy)
        .approvals(Approvals::answered())
        .event_buffer(EventBuffer::new(EVENTS.0, EVENTS.1))
        .request_options(config.request)
        .max_model_calls(config.max_model_calls)
        .max_tool_output_bytes(config.max_tool_output_bytes);
    if let Some(reasoning) = config.reasoning {
        agent = agent.reasoning(reasoning);
    }
    if let Some(verbosity) = config.verbosity {
        agent = agent.verbosity(verbosity);
    }
    if let Some(tokens) = config.context_window {
        agent = agent.context_window(tokens);
    }
    if let Some(tokens) = config.auto_compact_token_limit {
        agent = agent.auto_compact_token_limit(tokens);
    }
    if let Some(limit) = config.provider.timeouts_ms.turn {
        agent = agent.turn_deadline(Duration::from_millis(limit));
    }
    if let Some(model) = config.review_model {
        agent = agent.review_model(model);
    }
    if config.snapshots {
        agent = agent.task(Snapshots);
    }
    if let Some(home) = &config.home {
        let fsync = match config.fsync {
            FsyncPolicy::Off => Fsync::Off,
            _ => Fsync::Commit,
        };
        agent = agent.store(FileStore::new(home).fsync(fsync));
    }
    let agent = config.tools.into_iter().fold(agent, AgentBuilder::tool);
    let agent = agent.build().map_err(|e| e.to_string())?;
    Ok(Setup { agent, origin, warnings })
}

/// What would fail only later.
fn check(config: &Config) -> Result<(), String> {
    if config.model.trim().is_empty() {
        return Err("`model` is empty: name one".into());
    }
    let bounds = [
        ("max_model_calls", config.max_model_calls == 0),
        ("max_event_bytes", config.max_event_bytes == 0),
        ("max_tool_output_bytes", config.max_tool_output_bytes == 0),
    ];
    let timeouts = config.provider.timeouts_ms;
    let bounds = bounds.into_iter().chain([
        ("provider.timeouts_ms.connect", timeouts.connect == Some(0)),
        ("provider.timeouts_ms.send", timeouts.send == Some(0)),
        ("provider.timeouts_ms.headers", timeouts.headers == Some(0)),
        ("provider.timeouts_ms.first_event", timeouts.first_event == Some(0)),
        ("provider.timeouts_ms.idle", timeouts.idle == Some(0)),
        ("provider.timeouts_ms.turn", timeouts.turn == Some(0)),
    ]);
    if let Some((key, _)) = bounds.into_iter().find(|(_, is_zero)| *is_zero) {
        return Err(format!("`{key}` is 0: nothing could work; leave it out for the default"));
    }
    match config.tools.iter().position(|tool| tool.command.is_empty()) {
        Some(index) => Err(format!("`tools[{index}].command` is empty: name the program")),
        None => Ok(()),
    }
}

fn working_folder(configured: Option<&Path>) -> Result<PathBuf, String> {
    let Some(cwd) = configured else {
        return std::env::current_dir().map_err(|e| format!("the current folder: {e}"));
    };
    if !cwd.is_absolute() {
        return Err(format!("`cwd` is relative: `{}`; give an absolute path", cwd.display()));
    }
    if !cwd.is_dir() {
        return Err(format!("`cwd` is not a folder: `{}`", cwd.display()));
    }
    Ok(cwd.to_owned())
}

/// Keys that are read and not acted on.
fn warnings(config: &Config) -> Vec<String> {
    let keys = [
        (
            "auth_file",
            config.auth_file.is_some() && !model::takes_login(&config.provider),
            "its provider takes API keys only",
        ),
        (
            "auth_file",
            config.auth_file.is_some()
                && model::takes_login(&config.provider)
                && !model::uses_login(&config.provider),
            "`provider.api_key_env` names a key, which comes first",
        ),
        (
            "token_endpoint",
            config.token_endpoint.is_some() && config.auth_file.is_none(),
            "without `auth_file` there is nothing to refresh",
        ),
    ];
    let set = keys.into_iter().filter(|(_, is_set, _)| *is_set);
    set.map(|(key, _, effect)| format!("`{key}` has no effect: {effect}")).collect()
}
