//! A thousand sessions at once on two workers, over HTTP on loopback: what their turns cost beyond the
//! server's own time, and how soon an interrupt is heard. Printed, not judged; exits with 1 if a turn
//! fails, is lost, or says something else.
//!
//! The server has a thread of its own, on the same machine. Its own time is that from the whole request
//! to the first write of the response; writing it and reading it is the client's. The loop that is written
//! by hand does the same turns in the same run.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use longhaul::TurnHandle;
use longhaul::prelude::*;
use longhaul_benches::answer::{self, Failure, MESSAGE};
use longhaul_benches::loopback::{Journal, Loopback, Script, mark};
use longhaul_benches::naive::{self, Naive};
use longhaul_benches::turns;
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, JoinSet};

const SESSIONS: usize = 1_000;

/// Turns of each session.
const TURNS: usize = 10;

const WORKERS: usize = 2;

/// The server's own time where it has one. The sessions begin their turns evenly spread over it.
const THINKING: Duration = Duration::from_secs(1);

const TURNS_HEAD: &str = "\
| sessions | turns | turns a second | connections | submit to request: median | p99 \
| end to result: median | p99 | both: median | p99 |
|---|---|---|---|---|---|---|---|---|---|";

const INTERRUPTS_HEAD: &str = "\
| interrupts | median | p99 | all |
|---|---|---|---|";

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let mut out = io::stdout();
    writeln!(out, "{TURNS_HEAD}")?;
    for (pace, pause) in [("one after another", Duration::ZERO), ("paced", THINKING)] {
        for client in [Client::longhaul, Client::by_hand] {
            let server = server(pause)?;
            let client = client(&server.base_url())?;
            let name = client.name();
            let row = runtime.block_on(turns_of_all(client, &server, pause))?;
            writeln!(out, "| {name}, {pace} | {row} |")?;
        }
    }
    writeln!(out, "\n{INTERRUPTS_HEAD}")?;
    for (name, together) in [("one by one", false), ("all together", true)] {
        let row = runtime.block_on(interrupts(together))?;
        writeln!(out, "| {name} | {row} |")?;
    }
    Ok(())
}

fn server(pause: Duration) -> io::Result<Loopback> {
    let replies = vec![answer::http(&answer::message())];
    Loopback::start(Script { replies, pause, turns: SESSIONS * TURNS })
}

/// Who runs the turns.
#[derive(Clone)]
enum Client {
    Longhaul(Box<Agent>),
    ByHand(reqwest::Client, String),
}

impl Client {
    fn longhaul(base_url: &str) -> Result<Self, Failure> {
        Ok(Self::Longhaul(Box::new(turns::agent(Provider::custom(base_url)?).build()?)))
    }

    fn by_hand(base_url: &str) -> Result<Self, Failure> {
        Ok(Self::ByHand(naive::client()?, base_url.to_owned()))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Longhaul(_) => "longhaul",
            Self::ByHand(..) => "by hand",
        }
    }

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

/// All turns of all sessions: a row of the table.
async fn turns_of_all(
    client: Client,
    server: &Loopback,
    pause: Duration,
) -> Result<String, Failure> {
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
    Ok(format!("{turns} | {rate} | {connections} | {before} | {after} | {both}"))
}

/// Median and 99th percentile of these nanoseconds, as two cells.
fn quantiles(mut nanos: Vec<u64>) -> String {
    nanos.sort_unstable();
    let at = |percent: usize| {
        let nanos = nanos.get(nanos.len().saturating_sub(1) * percent / 100);
        Duration::from_nanos(nanos.copied().unwrap_or_default())
    };
    format!("{:.3?} | {:.3?}", at(50), at(99))
}

/// Interrupts every session once while all others hang: a row of the table.
async fn interrupts(together: bool) -> Result<String, Failure> {
    let mut begun = answer::message();
    begun.truncate(begun.len() / 2);
    let replies = vec![answer::unfinished_http(&begun)];
    let server = Loopback::start(Script { replies, ..Script::default() })?;
    let agent = turns::agent(Provider::custom(&server.base_url())?).build()?;
    let mut sessions = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        let session = agent.session().start().await?;
        let reader = hang(&session).await?;
        sessions.push((session, reader));
    }
    let start = Instant::now();
    let mut took = Vec::with_capacity(SESSIONS);
    let mut interrupted = Vec::with_capacity(SESSIONS);
    for (session, reader) in &mut sessions {
        interrupted.push(Instant::now());
        assert!(session.interrupt(), "a turn runs");
        if !together {
            let aborted = (&mut *reader).await??;
            took.push(aborted - interrupted[took.len()]);
            *reader = hang(session).await?;
        }
    }
    if together {
        for ((_, reader), interrupted) in sessions.into_iter().zip(interrupted) {
            took.push(reader.await?? - interrupted);
        }
    }
    assert_eq!(took.len(), SESSIONS, "all turns are aborted");
    let all = if together { format!("{:.3?}", start.elapsed()) } else { "–".into() };
    let nanos = took.iter().map(|took| u64::try_from(took.as_nanos())).collect::<Result<_, _>>()?;
    Ok(format!("{} | {all}", quantiles(nanos)))
}

/// Begins a turn, and waits until its response is coming. Its reader says when it was aborted.
async fn hang(session: &Session) -> Result<JoinHandle<Result<Instant, Failure>>, Failure> {
    let mut turn = session.prompt(MESSAGE).await?;
    while let Some(event) = turn.next().await {
        if matches!(event, Event::TextDelta(_)) {
            return Ok(tokio::spawn(until_aborted(turn)));
        }
    }
    Err("the turn ended".into())
}

async fn until_aborted(mut turn: TurnHandle) -> Result<Instant, Failure> {
    while let Some(event) = turn.next().await {
        if matches!(event, Event::TurnAborted { .. }) {
            return Ok(Instant::now());
        }
    }
    Err("the turn ended otherwise".into())
}
