//! A conversation of 200 turns in a window of 16,384 tokens, and what its compactions keep.
//!
//! `cargo run --example long_session` needs neither key nor network: a scripted server on a loopback
//! port plays the model and counts tokens by what it was sent. With `OPENAI_BASE_URL` (and
//! `OPENAI_API_KEY`, `OPENAI_MODEL`) set it holds 20 turns with that server, in a window of 8,192. Each
//! turn gives a line; tokens over turns are drawn in `target/long_session.svg`.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod plot;
mod script;

use std::error::Error;
use std::process::ExitCode;

use longhaul::Agent;
use longhaul::compaction::{Compaction, Report, Tail};
use longhaul::history::{History, Item};
use longhaul::prelude::*;
use longhaul_testkit::server::Server;

use crate::plot::{Plot, grouped};

/// Turns, and a window so small that it has to be compacted again and again.
const SCRIPTED: (u32, u64) = (200, 16_384);

/// The same with a real model, which takes longer.
const REAL: (u32, u64) = (20, 8_192);

const PINNED: &str = "House rule: public names are never changed without asking me.";

#[tokio::main]
async fn main() -> ExitCode {
    match converse().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn converse() -> Result<(), Box<dyn Error>> {
    // The scripted server has to live as long as the conversation.
    let (provider, server) = provider().await?;
    let (turns, window_tokens) = if server.is_some() { SCRIPTED } else { REAL };
    let model = std::env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-6-astra".into());
    let agent = Agent::builder(model, provider)
        .instructions("You work on a program of many small files. Answer in two sentences.")
        .tool(tool("read_file", "The text of a file.", script::read_file).read_only())
        .context_window(window_tokens)
        .compaction(Compaction::On { limit: None, keep_tail: Tail::Turns(2) })
        .build()?;
    let session = agent.session().start().await?;
    session.pin(&Item::user(PINNED)).await?;

    let mut plot = Plot::new(session.context_window().auto_compact_tokens);
    for number in 1..=turns {
        let tokens = turn(&session, number, &mut plot).await?;
        println!("turn {number:3}  {}", gauge(tokens, window_tokens));
        plot.turn(number, tokens);
    }
    session.shutdown().await?;
    println!("{} compactions, drawn in {}", plot.compactions(), plot.write()?.display());
    let problems = server.map(|server| server.problems()).unwrap_or_default();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// Holds one turn, and gives the tokens that the conversation takes after it.
async fn turn(session: &Session, number: u32, plot: &mut Plot) -> Result<u64, TurnError> {
    let mut turn = session.prompt(script::message(number)).await?;
    while let Some(event) = turn.next().await {
        match event {
            Event::ContextCompacted(report) => {
                tell(&report, &session.history());
                plot.compaction(number, &report);
            }
            Event::StreamError { attempt, error, .. } => println!("  retry {attempt}: {error}"),
            Event::Warning(error) => println!("  {error}"),
            _ => {}
        }
    }
    turn.await?;
    let stated = session.token_count().0.unwrap_or_default().context_tokens();
    // Not every server states it; then the local count has to do.
    Ok(if stated > 0 { stated } else { session.history().tokens() })
}

/// How full the window is: ten places, per cent, tokens.
fn gauge(tokens: u64, window_tokens: u64) -> String {
    let percent = tokens * 100 / window_tokens;
    let full = usize::try_from(percent / 10).unwrap_or(10).min(10);
    let (full, empty) = ("#".repeat(full), "·".repeat(10 - full));
    format!("[{full}{empty}]  {percent:2} %  {:>6} tokens", grouped(tokens))
}

/// What a compaction did, and what the conversation begins with now.
fn tell(report: &Report, after: &History) {
    let (before, now) = (grouped(report.tokens_before), grouped(report.tokens_after));
    println!(
        "  {} compaction by `{}`: {before} -> {now} tokens; {} items stay, {} go",
        report.trigger.as_str(),
        report.strategy,
        report.kept_items,
        report.dropped_items,
    );
    let pinned = after.iter().filter(|item| item.is_pinned()).count();
    let Some(bridge) = after.iter().find_map(Item::bridge_parts) else {
        return println!("  {pinned} pinned, and no summary yet");
    };
    let beginning: String = bridge.summary.chars().take(60).collect();
    let messages = bridge.user_messages.len();
    println!("  {pinned} pinned, {messages} messages of the user's, and a summary: {beginning}");
}

/// The server that the environment names, or a scripted one of our own.
async fn provider() -> Result<(Provider, Option<Server>), Box<dyn Error>> {
    let base_url = std::env::var("OPENAI_BASE_URL").unwrap_or_default();
    if !base_url.trim().is_empty() {
        return Ok((Provider::from_env()?, None));
    }
    let server = Server::start(script::server()).await?;
    let provider = Provider::named("openai", Some(&server.base_url()))?;
    Ok((provider, Some(server)))
}
