//! The same turn by longhaul and by other projects, in one run: one message of the user, an answer in 50
//! deltas, and the same after the call of a tool. Whole turns over loopback, all against one server, which
//! gives finished bytes in one write.
//!
//! longhaul and nanocodex are agents: they keep the conversation, run the tool and send events. rig-core,
//! async-openai and genai are clients; the loop around them is written here, as short as it goes.
//! nanocodex speaks WebSocket, to a server of its own that gives the same events.

mod async_openai;
mod genai;
mod nanocodex;
mod rig;
mod socket;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use longhaul::prelude::Provider;
use longhaul_peers::answer::{self, Failure};
use longhaul_peers::loopback::{Loopback, Script};
use longhaul_peers::{naive, turns};
use tokio::runtime::{Builder, Runtime};

type Sum = Result<Duration, Failure>;

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().configure_from_args();
    // First, since it chooses the cryptography of all that follows.
    naive::client()?;
    let one = Builder::new_current_thread().enable_all().build()?;
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (name, runtime) in [("one_thread", &one), ("two_workers", &two)] {
        for scenario in [Scenario::Answer, Scenario::Tool] {
            let group = criterion.benchmark_group(format!("turn/{name}"));
            Case { group, runtime, scenario }.all()?;
        }
    }
    criterion.final_summary();
    Ok(())
}

#[derive(Clone, Copy)]
enum Scenario {
    Answer,
    Tool,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Tool => "tool",
        }
    }

    fn responses(self) -> Vec<Vec<answer::Event>> {
        match self {
            Self::Answer => vec![answer::message()],
            Self::Tool => vec![answer::call(), answer::message()],
        }
    }
}

struct Case<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    runtime: &'a Runtime,
    scenario: Scenario,
}

impl Case<'_> {
    fn all(mut self) -> Result<(), Failure> {
        let server = self.server()?;
        let agent = turns::agent(Provider::custom(&server.base_url())?).tool(turns::weather());
        let agent = agent.build()?;
        self.measure("longhaul", |times| turns::sum(agent.clone(), times));

        let server = self.server()?;
        let (client, base_url) = (naive::client()?, server.base_url());
        self.measure("by_hand", |times| naive::sum(client.clone(), base_url.clone(), times));

        let server = self.server()?;
        let model = rig::model(&server.base_url())?;
        self.measure("rig-core", |times| rig::sum(model.clone(), times));

        let server = self.server()?;
        let client = async_openai::client(&server.base_url())?;
        self.measure("async-openai", |times| async_openai::sum(client.clone(), times));

        let server = self.server()?;
        let client = genai::client(&server.base_url())?;
        self.measure("genai", |times| genai::sum(client.clone(), times));

        let server = socket::Server::start(&nanocodex::responses(self.scenario))?;
        let url = server.url();
        self.measure("nanocodex", |times| nanocodex::sum(url.clone(), times));
        Ok(())
    }

    fn server(&self) -> std::io::Result<Loopback> {
        let replies = self.scenario.responses().iter().map(|events| answer::http(events)).collect();
        Loopback::start(Script { replies, ..Script::default() })
    }

    /// On a worker of the runtime, as a server's own code would run.
    fn measure<F>(&mut self, name: &str, sum: impl Fn(u64) -> F)
    where
        F: Future<Output = Sum> + Send + 'static,
    {
        let run = |times| {
            let sum = sum(times);
            let sum = self.runtime.block_on(async { tokio::spawn(sum).await });
            let sum = sum.map_err(Failure::from).and_then(|sum| sum);
            assert!(sum.is_ok(), "{name}: {sum:?}");
            sum.unwrap_or_default()
        };
        let id = BenchmarkId::new(name, self.scenario.name());
        self.group.bench_function(id, |b| b.iter_custom(run));
    }
}
