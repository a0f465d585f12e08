//! What it costs to append to a conversation, to fork, snapshot, send, repair and shorten it, from
//! 100 items to 100,000; against a list that is copied and searched anew for each request, and
//! against a copy of the finished bytes.
//!
//! Results are dropped outside of the measurement, so that each one is memory taken anew. The list
//! is searched in quadratic time, and is left out at 100,000 items.

use std::error::Error;
use std::hint::black_box;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, Throughput};
use longhaul_benches::clone_and_scan::{Session, TypedItem};
use longhaul_benches::{request, session};
use longhaul_history::{History, Item, ItemError, ReasoningFilter};
use longhaul_transport::{Provider, Request};
use serde_json::{Map, Value};

const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// The length from which on the list is not searched.
const TOO_LONG_TO_SEARCH: usize = 100_000;

/// So many items are appended to a fork, which is thrown away then: the length stays what it is.
const APPENDED: usize = 100;

const APPENDED_BYTES: usize = 600;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    for len in LENGTHS {
        let case = Case::new(len)?;
        case.append(&mut criterion);
        case.append_text(&mut criterion);
        case.fork(&mut criterion);
        case.snapshot(&mut criterion);
        case.request_body(&mut criterion);
        case.normalise(&mut criterion);
        case.remove_oldest(&mut criterion);
    }
    criterion.final_summary();
    Ok(())
}

/// The same conversation, in both stores and as a finished body.
struct Case {
    len: usize,
    history: History,
    list: Option<Session>,
    appended: Vec<Item>,
    provider: Provider,
    request: Request,
    head: Map<String, Value>,
    finished: Vec<u8>,
}

impl Case {
    fn new(len: usize) -> Result<Self, Box<dyn Error>> {
        let provider = Provider::custom("http://127.0.0.1:8080/v1")?;
        let history = session::history(len)?;
        let request = request::head();
        let finished = request::body(&request, &history, &provider)?.to_vec();
        let mut head: Map<String, Value> = serde_json::from_slice(&finished)?;
        let input = head.remove("input");
        assert!(input == Some(session::sent(len).into()), "what a naive agent sends is sent");
        let list = if len < TOO_LONG_TO_SEARCH { Some(list(len)?) } else { None };
        if let Some(list) = &list {
            let body: Value = serde_json::from_slice(&list.request_body(&head)?)?;
            assert!(body == serde_json::from_slice::<Value>(&finished)?, "both send the same");
        }
        let appended = session::pairs(APPENDED, APPENDED_BYTES)?;
        Ok(Self { len, history, list, appended, provider, request, head, finished })
    }

    fn id(&self, name: &str) -> BenchmarkId {
        BenchmarkId::new(name, self.len)
    }

    /// A history like the one at hand, but not shared any more where it is appended to.
    fn unshared(&self) -> History {
        let mut fork = self.history.clone();
        fork.record(Item::user("The first item after a fork copies what is shared."));
        fork
    }

    /// Items that are ready, one after the other.
    fn append(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("history/append_100");
        group.throughput(Throughput::Elements(APPENDED as u64));
        group.bench_function(self.id("longhaul"), |b| {
            let setup = || (self.unshared(), self.appended.clone());
            b.iter_batched(setup, record_all, BatchSize::PerIteration);
        });
        group.finish();
    }

    /// From JSON text to recorded.
    fn append_text(&self, criterion: &mut Criterion) {
        let texts = session::texts(self.len, APPENDED);
        let mut group = criterion.benchmark_group("history/append_100_from_text");
        group.throughput(Throughput::Elements(APPENDED as u64));
        group.bench_function(self.id("longhaul"), |b| {
            let record = |mut history: History| -> Result<History, ItemError> {
                for text in black_box(&texts) {
                    history.record(Item::from_json(text)?);
                }
                Ok(history)
            };
            b.iter_batched(|| self.unshared(), record, BatchSize::PerIteration);
        });
        group.bench_function(self.id("values"), |b| {
            // Room enough, so that no list is moved within the measurement.
            let parse = |mut list: Vec<Value>| -> serde_json::Result<Vec<Value>> {
                for text in black_box(&texts) {
                    list.push(serde_json::from_str(text)?);
                }
                Ok(list)
            };
            b.iter_batched(|| Vec::with_capacity(APPENDED), parse, BatchSize::PerIteration);
        });
        group.finish();
    }

    /// A copy that later changes do not reach; alone, and with the first item of its own.
    fn fork(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("history/fork");
        group.bench_function(self.id("longhaul"), |b| b.iter(|| black_box(&self.history).clone()));
        if let Some(list) = &self.list {
            group.bench_function(self.id("clone_and_scan"), |b| fresh(b, || list.fork()));
        }
        group.finish();
        let mut group = criterion.benchmark_group("history/fork_then_append");
        group.bench_function(self.id("longhaul"), |b| {
            let record = |item| record_all((black_box(&self.history).clone(), vec![item]));
            b.iter_batched(|| self.appended[0].clone(), record, BatchSize::PerIteration);
        });
        group.finish();
    }

    /// What a model is to see, before it is bytes.
    fn snapshot(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("history/snapshot");
        group.bench_function(self.id("longhaul"), |b| {
            b.iter(|| black_box(&self.history).prompt(ReasoningFilter::CurrentTurn));
        });
        if let Some(list) = &self.list {
            group.sample_size(10);
            group.bench_function(self.id("clone_and_scan"), |b| fresh(b, || list.prompt()));
        }
        group.finish();
    }

    /// From the conversation to the bytes of the next request, instructions and tools included.
    fn request_body(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("history/request_body");
        group.throughput(Throughput::Bytes(self.finished.len() as u64));
        group.bench_function(self.id("longhaul"), |b| {
            fresh(b, || request::body(&self.request, black_box(&self.history), &self.provider));
        });
        group.bench_function(self.id("copy_of_bytes"), |b| {
            fresh(b, || black_box(&self.finished).clone());
        });
        if let Some(list) = &self.list {
            group.sample_size(10);
            group.bench_function(self.id("clone_and_scan"), |b| {
                fresh(b, || list.request_body(&self.head));
            });
        }
        group.finish();
    }

    /// After one more item: one that breaks nothing, and a call that nobody answers.
    fn normalise(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("history/normalise_after_append");
        let with = |item: &Item| {
            let mut history = self.unshared();
            history.record(item.clone());
            history
        };
        let message = Item::assistant("Nothing to repair.");
        for (name, item) in [("nothing_broken", &message), ("open_call", &self.appended[0])] {
            group.bench_function(self.id(&format!("longhaul_{name}")), |b| {
                b.iter_batched_ref(|| with(item), History::normalise, BatchSize::PerIteration);
            });
        }
        if let Some(list) = &self.list {
            group.sample_size(10);
            group.bench_function(self.id("clone_and_scan"), |b| fresh(b, || list.normalised()));
        }
        group.finish();
    }

    /// A tenth of the items, from the front, of a fork.
    fn remove_oldest(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("history/remove_oldest_tenth");
        group.bench_function(self.id("longhaul"), |b| {
            let remove = |history: &mut History| history.remove_oldest(self.len / 10);
            b.iter_batched_ref(|| self.history.clone(), remove, BatchSize::PerIteration);
        });
        if let Some(list) = &self.list {
            group.sample_size(10);
            let remove = |list: &mut Session| list.remove_oldest(self.len / 10);
            group.bench_function(self.id("clone_and_scan"), |b| {
                b.iter_batched_ref(|| list.fork(), remove, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

/// The conversation as a list.
fn list(len: usize) -> serde_json::Result<Session> {
    let values = session::sent_with_all_reasoning(len);
    let items: Result<Vec<TypedItem>, _> = values.into_iter().map(serde_json::from_value).collect();
    Ok(Session::new(items?))
}

fn record_all((mut history, items): (History, Vec<Item>)) -> History {
    for item in items {
        history.record(item);
    }
    history
}

/// Measures `make` alone: what it made is dropped afterwards, one at a time.
fn fresh<T>(b: &mut Bencher<'_>, mut make: impl FnMut() -> T) {
    b.iter_batched(|| (), |()| make(), BatchSize::PerIteration);
}
