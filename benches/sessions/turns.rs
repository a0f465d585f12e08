//! The turns of all sessions.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longhaul_benches::answer::{self, Failure, MESSAGE};
use longhaul_benches::loopback::{Journal, Loopback, Script, mark};
use longhaul_benches::naive::Naive;
use longhaul_benches::turns;
use tokio::task::JoinSet;

use super::{Client, SESSIONS, quantiles};

/// Turns of each session.
const TURNS: usize = 10;

/// All turns of all sessions: a row of the table.
pub(super) async fn of_all(
    by: fn(&str) -> Result<Client, Failure>,
    pause: Duration,
) -> Result<String, Failure> {
    let server = server(pause)?;
    let client = by(&server.base_url())?;
    let name = client.name();
    let start = Instant::now();
    let mut sessions = JoinSet::new();
    let step = pause / u32::try_from(SESSIONS)?;
    let mut wait = Duration::ZERO;
    for index in 0..SESSIONS {
        wait += step;
        let (client, journal) = (client.clone(), Arc::clone(server.journal()));
        sessions.spawn(async move {
            tokio::time::sleep(wait).await;
            client.session(index, journal).await
        });
    }
    let mut costs = Vec::with_capacity(SESSIONS * TURNS);
    while let Some(session) = sessions.join_next().await {
        costs.extend(session??);
    }
    let millis = start.elapsed().as_millis().max(1);
    assert_eq!(costs.len(), SESSIONS * TURNS, "all turns complete");
    let of = |cost: fn(&Cost) -> u64| quantiles(costs.iter().map(cost).collect());
    let (before, after) = (of(|cost| cost.before), of(|cost| cost.after));
    let both = of(|cost| cost.before + cost.after);
    let (turns, connections) = (costs.len(), server.journal().connections());
    let rate = u128::try_from(turns)? * 1_000 / millis;
    Ok(format!("{name} | {turns} | {rate} | {connections} | {before} | {after} | {both}"))
}

fn server(pause: Duration) -> io::Result<Loopback> {
    let replies = vec![answer::http(&answer::message())];
    Loopback::start(Script { replies, pause, turns: SESSIONS * TURNS })
}

impl Client {
    /// The turns of one session, one after the other.
    async fn session(self, index: usize, journal: Arc<Journal>) -> Result<Vec<Cost>, Failure> {
        let turns = index * TURNS..(index + 1) * TURNS;
        let mut costs = Vec::with_capacity(TURNS);
        match self {
            Self::Longhaul(agent) => {
                let session = agent.session().start().await?;
                for turn in turns {
                    let message = format!("{} {MESSAGE}", mark(turn));
                    let submitted = journal.now();
                    let handle = session.prompt(message).await?;
                    let message = turns::finish(handle, |_| {}).await?;
                    costs.push(Cost::of(&journal, turn, submitted, &message)?);
                }
            }
            Self::ByHand(client, base_url) => {
                let mut naive = Naive::new(&client, &base_url);
                for turn in turns {
                    let message = format!("{} {MESSAGE}", mark(turn));
                    let submitted = journal.now();
                    let message = naive.turn(&message, |_| {}).await?;
                    costs.push(Cost::of(&journal, turn, submitted, &message)?);
                }
            }
        }
        Ok(costs)
    }
}

/// What one turn cost, in nanoseconds.
struct Cost {
    before: u64,
    after: u64,
}

impl Cost {
    /// The turn was submitted then, and its result is there now.
    fn of(journal: &Journal, turn: usize, submitted: u64, message: &str) -> Result<Self, Failure> {
        let done = journal.now();
        let [arrived, answered] = journal.times(turn);
        let (before, after) = (arrived.checked_sub(submitted), done.checked_sub(answered));
        match (before, after) {
            (Some(before), Some(after)) if answered > 0 && message == answer::text() => {
                Ok(Self { before, after })
            }
            _ => Err(format!("turn {turn} did not go as it should: {message:?}").into()),
        }
    }
}
