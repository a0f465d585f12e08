//! What a turn costs besides its model: from the input to the bytes of the request, and from the terminal
//! event to the result, without a network and without a log.
//!
//! The model answers at once with sixty events. Beside it the usual way to make a request
//! (`benches/src/clone_and_scan.rs`): the conversation is copied, scanned for pairs and serialised over a
//! tree of values.

use std::error::Error;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{BenchmarkId, Criterion};
use futures_util::{StreamExt, stream};
use longhaul::Agent;
use longhaul::history::ReasoningFilter;
use longhaul::prelude::*;
use longhaul::transport::event::decode;
use longhaul::transport::{Model, ModelError, Request, ResponseEvent, ResponseStream};
use longhaul_benches::clone_and_scan::{self, TypedItem};
use longhaul_testkit::sse::ResponseBuilder;
use tokio::runtime::{Builder, Runtime};

/// Turns that the conversation has already.
const LENGTHS: [usize; 3] = [0, 500, 5_000];

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let current = Builder::new_current_thread().enable_all().build()?;
    let two_workers = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for turns in LENGTHS {
        let case = current.block_on(Case::new(turns))?;
        case.measure(&mut criterion, "one_thread", &current);
        case.usual(&mut criterion)?;
        let case = two_workers.block_on(Case::new(turns))?;
        case.measure(&mut criterion, "two_workers", &two_workers);
    }
    criterion.final_summary();
    Ok(())
}

/// A model that answers at once and notes when it was asked and when it was done.
struct Instantly {
    events: Vec<ResponseEvent>,
    noted: Mutex<Noted>,
}

#[derive(Clone, Copy)]
struct Noted {
    asked: Instant,
    done: Instant,
}

impl Instantly {
    fn new() -> Result<Self, ModelError> {
        let answer = ResponseBuilder::new().text("one two three ".repeat(19)).completed();
        let events: Result<Vec<_>, _> =
            answer.iter().map(|event| decode(&event.to_string())).collect();
        let now = Instant::now();
        let noted = Mutex::new(Noted { asked: now, done: now });
        Ok(Self { events: events?.into_iter().flatten().collect(), noted })
    }

    fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn noted(&self) -> Noted {
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shares the model with its streams.
struct Shared(Arc<Instantly>);

#[async_trait]
impl Model for Shared {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        black_box(self.encode(request)?);
        self.0.note(|noted| noted.asked = Instant::now());
        let model = Arc::clone(&self.0);
        let events = stream::iter(self.0.events.clone()).map(move |event| {
            if event.is_terminal() {
                model.note(|noted| noted.done = Instant::now());
            }
            Ok(event)
        });
        Ok(events.boxed())
    }
}

/// A conversation of so many turns, and what measures its next one.
struct Case {
    turns: usize,
    model: Arc<Instantly>,
    agent: Agent,
    session: Session,
}

impl Case {
    async fn new(turns: usize) -> Result<Self, Box<dyn Error>> {
        let model = Arc::new(Instantly::new()?);
        let shared: Arc<dyn Model> = Arc::new(Shared(Arc::clone(&model)));
        let agent = Agent::builder("m", shared).context_window(u64::MAX / 4).build()?;
        let session = agent.session().start().await?;
        for _ in 0..=turns {
            session.prompt("What comes next?").await?.await?;
        }
        Ok(Self { turns, model, agent, session })
    }

    /// One more turn: from the input to the request, and from the terminal event to the result.
    async fn turn(&self) -> Result<[Duration; 2], Box<dyn Error>> {
        let fork = self.agent.session().fork(&self.session, self.turns)?.start().await?;
        let begun = Instant::now();
        let mut turn = fork.prompt("What comes next?").await?;
        while turn.next().await.is_some() {}
        black_box(turn.await?);
        let ended = Instant::now();
        let Noted { asked, done } = self.model.noted();
        Ok([asked - begun, ended - done])
    }

    fn measure(&self, criterion: &mut Criterion, runtime_name: &str, runtime: &Runtime) {
        let parts = ["input_to_request", "terminal_event_to_result"];
        for (part, name) in parts.into_iter().enumerate() {
            let mut group = criterion.benchmark_group(format!("turn/{name}/{runtime_name}"));
            group.bench_function(BenchmarkId::from_parameter(self.turns * 2), |b| {
                b.iter_custom(|count| {
                    runtime.block_on(async {
                        let mut sum = Duration::ZERO;
                        for _ in 0..count {
                            // A turn over a scripted model cannot fail.
                            sum += self.turn().await.map(|parts| parts[part]).unwrap_or_default();
                        }
                        sum
                    })
                });
            });
        }
    }

    /// The request of the same turn, made in the usual way.
    fn usual(&self, criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
        let sent = self.session.history().prompt(ReasoningFilter::KeepAll).to_json();
        let items: Vec<TypedItem> = serde_json::from_str(&sent)?;
        let usual = clone_and_scan::Session::new(items);
        let mut head = serde_json::Map::new();
        head.insert("model".into(), "m".into());
        head.insert("stream".into(), true.into());
        let mut group = criterion.benchmark_group("turn/input_to_request/clone_and_scan");
        group.sample_size(10);
        group.bench_function(BenchmarkId::from_parameter(self.turns * 2), |b| {
            b.iter(|| usual.request_body(black_box(&head)));
        });
        Ok(())
    }
}
