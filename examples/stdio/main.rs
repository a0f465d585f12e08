//! One agent session over JSON lines: submissions on stdin, events on stdout.
//!
//! `stdio --config agent.json` reads `{"id": …, "op": {"type": …}}` a line and writes
//! `{"id": …, "msg": {"type": …}}` a line. The end of stdin is a shutdown. Logs go to stderr,
//! filtered by `RUST_LOG`.

mod config;
mod json;
mod model;
mod output;
mod session;
mod submission;

use std::io::Write;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// How the program ends: 0 after a shutdown, 2 for a bad command line or configuration, 1 else.
fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let setup = match config::from_command_line(std::env::args_os().skip(1)) {
        Ok(setup) => setup,
        Err(message) => return fail(&message, 2),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}"), 1),
    };
    let ended = runtime.block_on(session::run(setup));
    // A read of stdin may be under way in a thread of its own, and is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(session::RunError::Setup(message)) => fail(&message, 2),
        Err(session::RunError::Input(error)) => fail(&format!("stdin: {error}"), 1),
        Err(session::RunError::Output(error)) => fail(&format!("stdout: {error}"), 1),
        Err(session::RunError::Signal) => fail("a second signal came: ended at once", 1),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    let message = message.replace(char::is_control, " ");
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(std::io::stderr(), "stdio: {message}");
    ExitCode::from(code)
}
