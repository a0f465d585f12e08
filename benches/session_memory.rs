//! How much memory an idle session takes: printed, not timed.
//!
//! A binary apart, because counting replaces the allocator. What is counted is what is asked of the
//! allocator and not given back, over a hundred sessions whose model is in process, so that no connection
//! is among it. It runs on one thread: others are not counted.

mod held;

use std::io::{self, Write};
use std::sync::Arc;

use longhaul::events::EventBuffer;
use longhaul::prelude::*;
use longhaul_benches::answer::{self, Event as Streamed, Failure, MESSAGE};
use longhaul_benches::stopwatch::Stopwatch;
use longhaul_benches::turns;
use tokio::runtime::{Builder, Runtime};

use held::held;

const SESSIONS: usize = 100;

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let few = EventBuffer::new(1, EventBuffer::default().bytes);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "bytes a session    new  after a turn  after a turn with a call  after ten turns"
    )?;
    for (name, buffer) in [("default", EventBuffer::default()), ("one event kept", few)] {
        let with = |responses: &[Vec<Streamed>], turns| idle(&runtime, responses, turns, buffer);
        let message = [answer::message()];
        let new = with(&[], 0)?;
        let one = with(&message, 1)?;
        let calling = with(&[answer::call(), answer::message()], 1)?;
        let ten = with(&message, 10)?;
        writeln!(out, "{name:<15}  {new:5}  {one:12}  {calling:24}  {ten:15}")?;
    }
    Ok(())
}

/// The bytes of a session that has done so many turns.
fn idle(
    runtime: &Runtime,
    responses: &[Vec<Streamed>],
    turns: usize,
    buffer: EventBuffer,
) -> Result<i64, Failure> {
    let watch = Arc::new(Stopwatch::new(responses)?);
    let agent = turns::agent(Arc::clone(&watch)).tool(turns::weather()).event_buffer(buffer);
    let agent = agent.build()?;
    // What is made once, in the agent or anywhere else, is not a session's.
    runtime.block_on(open(&agent, &watch, turns))?;
    let opening = async {
        let mut sessions = Vec::with_capacity(SESSIONS);
        for _ in 0..SESSIONS {
            sessions.push(open(&agent, &watch, turns).await?);
        }
        Ok::<_, Failure>(sessions)
    };
    let (bytes, sessions) = held(|| runtime.block_on(opening));
    assert_eq!(sessions?.len(), SESSIONS);
    Ok(bytes / i64::try_from(SESSIONS)?)
}

async fn open(agent: &Agent, watch: &Stopwatch, turns: usize) -> Result<Session, Failure> {
    let session = agent.session().start().await?;
    for _ in 0..turns {
        watch.caught_up();
        let turn = session.prompt(MESSAGE).await?;
        turns::finish(turn, |_| {}).await?;
        watch.take();
    }
    // Its runner waits for more.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    Ok(session)
}
