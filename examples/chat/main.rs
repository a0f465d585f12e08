//! A chat in a terminal, or over pipes.
//!
//! Run without a key and without a network: `cargo run --example chat` talks to a scripted server on
//! a loopback port, in a folder of its own. With `OPENAI_BASE_URL` (and `OPENAI_API_KEY`,
//! `OPENAI_MODEL`) set it talks to that server, in the current folder. Enter sends, or steers while
//! it works; Esc interrupts, and goes back to earlier messages when nothing runs; `/help` says the
//! rest. `--plain` reads a prompt a line from stdin, for pipes.

mod app;
mod command;
mod plain;
mod question;
mod script;
mod setup;
mod tools;
mod view;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

const USAGE: &str = "usage: chat [--plain [--yes]] [--cwd DIR] [--output-schema FILE]";

/// What the command line says.
#[derive(Default)]
pub(crate) struct Options {
    plain: bool,
    /// Whether calls that ask are approved in plain mode; else they are denied.
    yes: bool,
    cwd: Option<PathBuf>,
    output_schema: Option<Value>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => return fail(&message),
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let setup = setup::Setup::new(options.cwd.clone()).await?;
    if options.plain {
        plain::run(&setup.agent, &options).await
    } else {
        app::run(&setup.agent, options.output_schema).await
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value =
            || arguments.next().ok_or_else(|| format!("`{argument}` needs a value; {USAGE}"));
        match argument.as_str() {
            "--plain" => options.plain = true,
            "--yes" => options.yes = true,
            "--cwd" => {
                let cwd = PathBuf::from(value()?);
                options.cwd =
                    Some(cwd.canonicalize().map_err(|e| format!("`{}`: {e}", cwd.display()))?);
            }
            "--output-schema" => options.output_schema = Some(schema(&value()?)?),
            _ => return Err(format!("unknown argument `{argument}`; {USAGE}")),
        }
    }
    Ok(options)
}

fn schema(path: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("the output schema `{path}` cannot be read: {e}"))?;
    serde_json::from_str(&text).map_err(|e| format!("the output schema `{path}` is no JSON: {e}"))
}

fn fail(message: &str) -> ExitCode {
    use std::io::Write;
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(std::io::stderr(), "chat: {message}");
    ExitCode::FAILURE
}
