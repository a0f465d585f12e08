//! `longhaul-testkit-server --script script.json [--log requests.jsonl]`: the scripted Responses server as a
//! process of its own, so that it survives a client that is killed.
//!
//! * The form of the script: [`longhaul_testkit::server::Script`].
//! * stdout: one line, `listening on http://127.0.0.1:PORT/v1`.
//! * The log gets one JSON line a request, before its reply begins:
//!   [`longhaul_testkit::server::RecordedRequest::to_json`].
//! * It runs until stdin closes or a signal ends it. When stdin closes: exit code 0 if the client did what the
//!   script foresaw; else 1, with one sentence a problem on stderr.
//! * Exit code 2, with one sentence on stderr: bad command line, script or log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::process::ExitCode;

use longhaul_testkit::server::{RecordedRequest, Script, Server};

const USAGE: &str = "usage: longhaul-testkit-server --script script.json [--log requests.jsonl]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (code, complaints) = match script() {
        Err(complaint) => (2, vec![complaint]),
        Ok(script) => match serve(script).await {
            Err(error) => (1, vec![format!("the server failed: {error}")]),
            Ok(problems) => (u8::from(!problems.is_empty()), problems),
        },
    };
    for complaint in complaints {
        // A closed stderr leaves the exit code to tell.
        let _ = writeln!(io::stderr(), "{complaint}");
    }
    ExitCode::from(code)
}

/// Serves until stdin closes, and returns what was wrong.
async fn serve(script: Script) -> io::Result<Vec<String>> {
    let server = Server::start(script).await?;
    writeln!(io::stdout(), "listening on {}", server.base_url())?;
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    let problems = server.problems();
    // The process ends here; dropping the server would repeat its problems as a panic.
    std::mem::forget(server);
    Ok(problems)
}

/// The script that the command line names, with its log; or one sentence about what is wrong.
fn script() -> Result<Script, String> {
    let (script, log) = paths(std::env::args().skip(1))?;
    let text = std::fs::read_to_string(&script)
        .map_err(|error| format!("cannot read {script}: {error}"))?;
    let script: Script =
        serde_json::from_str(&text).map_err(|error| format!("{script} is no script: {error}"))?;
    let Some(log) = log else { return Ok(script) };
    let file = OpenOptions::new().create(true).append(true).open(&log);
    let file = file.map_err(|error| format!("cannot write {log}: {error}"))?;
    Ok(script.on_request(move |request| append(&file, request)))
}

fn paths(mut args: impl Iterator<Item = String>) -> Result<(String, Option<String>), String> {
    let (mut script, mut log) = (None, None);
    while let Some(arg) = args.next() {
        let slot = match arg.as_str() {
            "--script" => &mut script,
            "--log" => &mut log,
            _ => return Err(format!("unknown argument {arg}; {USAGE}")),
        };
        *slot = Some(args.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"))?);
    }
    Ok((script.ok_or_else(|| format!("--script is missing; {USAGE}"))?, log))
}

/// Appends one line in one write, so that a kill leaves no half line.
fn append(mut file: &File, request: &RecordedRequest) {
    if let Err(error) = file.write_all(format!("{}\n", request.to_json()).as_bytes()) {
        let _ = writeln!(io::stderr(), "cannot write the log: {error}");
    }
}
