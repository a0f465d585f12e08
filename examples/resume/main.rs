//! A conversation that survives `kill -9` in the middle of a turn, while a tool changes something.
//!
//! `cargo run --example resume` needs neither key nor network. It plays the server on a loopback port,
//! and starts itself twice as a child that holds the conversation and keeps it in a log. The first child
//! is killed while its tools run; the second opens the log again, tells what it finds, and goes on.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod child;
mod tools;

use std::error::Error;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use longhaul_testkit::server::{Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => show().await,
        ["begin", server, folder] => child::begin(server, Path::new(folder)).await,
        ["go-on", server, folder, log] => child::go_on(server, Path::new(folder), log).await,
        _ => Err("usage: resume, without arguments".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the whole in a folder that is gone afterwards.
async fn show() -> Result<(), Box<dyn Error>> {
    let name = format!("longhaul-resume-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder)?;
    let shown = show_in(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    shown
}

async fn show_in(folder: &Path) -> Result<(), Box<dyn Error>> {
    let server = Server::start(script()).await?;
    let base_url = server.base_url();
    let arguments = [base_url.as_ref(), folder.as_os_str()];

    let mut first = start("begin", &arguments)?;
    println!("A process holds a conversation and keeps it in a log:");
    let mut said = lines(&mut first)?;
    let mut log = String::new();
    // Both tools have started, and neither ends.
    let mut running = 0;
    while running < 2 {
        let line = said.next_line().await?.ok_or("the process ended by itself")?;
        println!("  {line}");
        running += usize::from(line.contains(tools::STARTED));
        log = line.strip_prefix(child::LOG).map_or(log, str::to_owned);
    }
    // On Unix this is SIGKILL: nothing of the process runs any more.
    first.kill().await?;
    println!("\nIt is killed while both tools run. Another process opens the log:");

    let mut second = start("go-on", &[arguments[0], arguments[1], log.as_ref()])?;
    let mut said = lines(&mut second)?;
    while let Some(line) = said.next_line().await? {
        println!("  {line}");
    }
    if !second.wait().await?.success() {
        return Err("the second process failed".into());
    }
    println!("\nStarts of tools in both processes:");
    std::fs::read_to_string(tools::effects(folder))?.lines().for_each(|line| println!("  {line}"));
    let problems = server.problems();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// This program once more, as one of the two children.
fn start(role: &str, arguments: &[&std::ffi::OsStr]) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).args(arguments).stdout(Stdio::piped()).kill_on_drop(true).spawn()
}

fn lines(child: &mut Child) -> std::io::Result<Lines<BufReader<ChildStdout>>> {
    let stdout = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    Ok(BufReader::new(stdout).lines())
}

/// What the model answers, to whichever process asks.
fn script() -> [Reply; 5] {
    let calls = ResponseBuilder::new().call("stock_1", "stock", r#"{"order":7}"#).call(
        "ship_1",
        "ship",
        r#"{"order":7}"#,
    );
    [
        Reply::text("Order 7: two lamps, for Bergen."),
        Reply::text("Yes, it was paid on Monday."),
        calls.into(),
        Reply::text(
            "The lamps are there. Whether the parcel has left I cannot know: please look, before I \
             ship it again.",
        ),
        Reply::text("Then order 7 is done, and nothing is shipped twice."),
    ]
}
