//! The process that holds the conversation: at first, and again after it was killed.

use std::error::Error;
use std::path::Path;

use longhaul::TurnHandle;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, OnDamage};

use crate::tools::{Pace, ship, stock};

/// What is printed before the path of the log.
pub(crate) const LOG: &str = "log: ";

/// Holds two turns, and a third whose tools do not end.
pub(crate) async fn begin(server: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let session = agent(server, folder, Pace::Stuck)?.session().start().await?;
    let log = session.log_path().ok_or("it is kept in no file")?;
    println!("{LOG}{}", log.display());
    for text in ["What is order 7?", "Is it paid?", "Then ship it, if we have it."] {
        println!("you: {text}");
        follow(session.prompt(text).await?).await?;
    }
    Ok(())
}

/// Opens the log again, goes on with the turn that was cut off, and holds one more.
pub(crate) async fn go_on(server: &str, folder: &Path, log: &str) -> Result<(), Box<dyn Error>> {
    let agent = agent(server, folder, Pace::Quick)?;
    let opening = agent.session().resume(LogRef::Path(log.into()), OnDamage::Refuse);
    let session = opening.start().await?;
    let resumed = session.resumed().ok_or("it is a new session")?;
    let history = session.history();
    let turns = history.turn_starts(0).count();
    println!("recovered: {} items in {turns} turns", history.len());
    println!("torn: {} bytes at the end of the log were not whole", resumed.torn_bytes);
    println!("open: {}", if resumed.open_turn.is_some() { "the last turn" } else { "no turn" });
    println!("unknown: the effect of {}", resumed.unknown_calls.join(", "));
    follow(session.continue_turn()?).await?;
    let text = "I looked: it has left.";
    println!("you: {text}");
    follow(session.prompt(text).await?).await?;
    Ok(session.shutdown().await?)
}

fn agent(server: &str, folder: &Path, pace: Pace) -> Result<Agent, Box<dyn Error>> {
    let provider = Provider::named("openai", Some(server))?;
    let agent = Agent::builder("gpt-6-astra", provider)
        .instructions("You serve a small shop. Answer briefly.")
        .tool(stock(folder, pace))
        .tool(ship(folder, pace))
        .store(FileStore::new(folder));
    Ok(agent.build()?)
}

/// Prints what comes of a turn.
async fn follow(mut turn: TurnHandle) -> Result<(), TurnError> {
    while let Some(event) = turn.next().await {
        // This is what the model is told of the call.
        if let Event::ToolCallEnd { call_id, output, .. } = event {
            println!("{call_id}: {output}");
        }
    }
    let result = turn.await?;
    println!("model: {}", result.last_message.as_deref().unwrap_or_default());
    Ok(())
}
