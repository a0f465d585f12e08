//! Parts of a turn whose model is in process and answers at once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use longhaul::AgentBuilder;
use longhaul::prelude::*;
use longhaul_benches::answer::{self, DELTAS, Failure, MESSAGE};
use longhaul_benches::naive::{self, Naive};
use longhaul_benches::session;
use longhaul_benches::stopwatch::{Stopwatch, Times};
use longhaul_benches::turns;
use longhaul_history::Item;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::{Group, run};

pub(super) const LENGTHS: [usize; 3] = [0, 100, 10_000];

const PARTS: [(&str, Part); 3] =
    [("submit", Part::Submit), ("end", Part::End), ("tool", Part::Tool)];

/// Items of a session that is kept in a log, and turns until it is replaced: to open one takes the disk
/// longer than a turn.
const LOGGED: (usize, u64) = (100, 25);

/// A part of a turn.
#[derive(Clone, Copy)]
enum Part {
    /// From the user's input to the request's bytes.
    Submit,
    /// From the terminal event to the last event that the caller reads, and the result.
    End,
    /// From the end of a response that calls a tool to the next request's bytes.
    Tool,
}

pub(super) fn measure(group: &mut Group<'_>, runtime: &Runtime, len: usize) -> Result<(), Failure> {
    let items: Arc<[Item]> = session::items(0, len)?.into();
    // A session is replaced before its own turns make it a tenth longer.
    let turns = items.len().div_euclid(20 * 5).max(1) as u64;
    for (name, part) in PARTS {
        let case = Case::new(&items, part, turns, |agent| agent)?;
        group.bench_function(BenchmarkId::new(name, len), |b| {
            b.iter_custom(|n| run(runtime, case.clone().sum(n)));
        });
    }
    Ok(())
}

/// The same of sessions that are kept in the log `name`.
pub(super) fn measure_logged(
    group: &mut Group<'_>,
    runtime: &Runtime,
    name: &str,
    with: impl Fn(AgentBuilder) -> AgentBuilder,
) -> Result<(), Failure> {
    let (len, turns) = LOGGED;
    let items: Arc<[Item]> = session::items(0, len)?.into();
    for (part_name, part) in PARTS {
        let case = Case::new(&items, part, turns, &with)?;
        group.bench_function(BenchmarkId::new(part_name, name), |b| {
            b.iter_custom(|n| run(runtime, case.clone().sum(n)));
        });
    }
    Ok(())
}

#[derive(Clone)]
struct Case {
    agent: Agent,
    watch: Arc<Stopwatch>,
    items: Arc<[Item]>,
    part: Part,
    /// So many turns a session.
    turns: u64,
}

impl Case {
    fn new(
        items: &Arc<[Item]>,
        part: Part,
        turns: u64,
        with: impl Fn(AgentBuilder) -> AgentBuilder,
    ) -> Result<Self, Failure> {
        let responses = match part {
            Part::Submit | Part::End => vec![answer::message()],
            Part::Tool => vec![answer::call(), answer::message()],
        };
        let watch = Arc::new(Stopwatch::new(&responses)?);
        let agent = turns::agent(Arc::clone(&watch)).tool(turns::weather());
        let agent = with(agent).build()?;
        Ok(Self { agent, watch, items: Arc::clone(items), part, turns })
    }

    async fn sum(self, times: u64) -> Result<Duration, Failure> {
        let (mut sum, mut left) = (Duration::ZERO, times);
        while left > 0 {
            let session = turns::session_with(&self.agent, &self.items).await?;
            let turns = left.min(self.turns);
            for _ in 0..turns {
                sum += self.turn(&session).await?;
            }
            session.shutdown().await?;
            left -= turns;
        }
        Ok(sum)
    }

    async fn turn(&self, session: &Session) -> Result<Duration, Failure> {
        let start = Instant::now();
        let turn = session.prompt(MESSAGE).await?;
        let mut deltas = 0;
        let message = turns::finish(turn, |_| {
            deltas += 1;
            if deltas == DELTAS {
                self.watch.caught_up();
            }
        });
        black_box(message.await?);
        let end = Instant::now();
        let times = self.watch.take();
        let took = self.part.of(start, &times, end);
        took.ok_or_else(|| format!("not the expected requests: {times:?}").into())
    }
}

impl Part {
    fn of(self, start: Instant, times: &[Times], end: Instant) -> Option<Duration> {
        match (self, times) {
            (Self::Submit, [only]) => Some(only.encoded - start),
            (Self::End, [only]) => Some(end - only.ended?),
            (Self::Tool, [calling, last]) => Some(last.encoded - calling.ended?),
            _ => None,
        }
    }
}

/// To a task and back, as bare as it goes: an input through a channel, a result through another.
pub(super) async fn hops(times: u64) -> Result<Duration, Failure> {
    let (inputs, mut queue) = mpsc::channel::<oneshot::Sender<Instant>>(1);
    let task = tokio::spawn(async move {
        while let Some(reply) = queue.recv().await {
            let _ = reply.send(Instant::now());
        }
    });
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let (reply, result) = oneshot::channel();
        let start = Instant::now();
        inputs.send(reply).await?;
        black_box(result.await?);
        sum += start.elapsed();
    }
    drop(inputs);
    task.await?;
    Ok(sum)
}

/// The same requests' bytes, without a runtime: the message is added, and all is serialised.
pub(super) fn by_hand(criterion: &mut Criterion) -> Result<(), Failure> {
    let client = naive::client()?;
    let mut group = criterion.benchmark_group("turn_overhead/by_hand");
    for len in LENGTHS {
        let mut naive = Naive::new(&client, "").with_tool();
        naive.extend(session::sent(len));
        let message = || json!({"role": "user", "content": MESSAGE});
        group.bench_function(BenchmarkId::new("submit", len), |b| {
            b.iter(|| {
                naive.extend([message()]);
                let body = naive.body();
                naive.truncate(len);
                body
            });
        });
    }
    group.finish();
    Ok(())
}
