//! A thousand sessions at once on two workers, over HTTP on loopback: what their turns cost beyond the
//! server's own time, and how soon an interrupt is heard. Printed, not judged; it fails if a turn fails,
//! is lost, or says something else.
//!
//! The server has a thread of its own, on the same machine. Its own time is that from the whole request
//! to the first write of the response; writing it and reading it is the client's. The loop that is written
//! by hand does the same in the same run. Each session has a connection, which is two open files here:
//! some systems allow fewer (`ulimit -n`).

mod interrupts;
mod turns;

use std::io::{self, Write};
use std::time::Duration;

use longhaul::Agent;
use longhaul::prelude::Provider;
use longhaul_benches::answer::Failure;
use longhaul_benches::naive;
use tokio::runtime::Builder;

const SESSIONS: usize = 1_000;

const WORKERS: usize = 2;

/// The server's own time where it has one. The sessions begin their turns evenly spread over it.
const THINKING: Duration = Duration::from_secs(1);

const TURNS_HEAD: &str = "\
| sessions | turns | turns a second | connections | submit to request: median | p99 \
| end to result: median | p99 | both: median | p99 |
|---|---|---|---|---|---|---|---|---|---|";

const INTERRUPTS_HEAD: &str = "\
| interrupts | median | p99 |
|---|---|---|";

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let mut out = io::stdout();
    writeln!(out, "{TURNS_HEAD}")?;
    for (pace, pause) in [("without a pause", Duration::ZERO), ("paced", THINKING)] {
        for by in [Client::longhaul, Client::by_hand] {
            let row = runtime.block_on(turns::of_all(by, pause))?;
            writeln!(out, "| {pace}, {row} |")?;
        }
    }
    writeln!(out, "\n{INTERRUPTS_HEAD}")?;
    for (how, together) in [("one by one", false), ("all together", true)] {
        for by in [Client::longhaul, Client::by_hand] {
            let row = runtime.block_on(interrupts::of_all(by, together))?;
            writeln!(out, "| {how}, {row} |")?;
        }
    }
    Ok(())
}

/// Who runs the turns.
#[derive(Clone)]
enum Client {
    Longhaul(Box<Agent>),
    ByHand(reqwest::Client, String),
}

impl Client {
    fn longhaul(base_url: &str) -> Result<Self, Failure> {
        let agent = longhaul_benches::turns::agent(Provider::custom(base_url)?).build()?;
        Ok(Self::Longhaul(Box::new(agent)))
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
