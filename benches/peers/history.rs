//! longhaul beside nanocodex-core, in one run: append, fork, snapshot, request body, and a fork
//! with its first item and its first request.
//!
//! Results are dropped outside of the measurement on both sides.

use std::error::Error;
use std::hint::black_box;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion};
use longhaul_history::{History, Item};
use longhaul_peers::{
    Both, longhaul_body, longhaul_prompt, nanocodex_body, nanocodex_item, session,
};
use nanocodex_core::ResponseItem;
use nanocodex_core::responses::ResponseHistory;

const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// So many items are appended to a fork, which is thrown away then: the length stays what it is.
const APPENDED: usize = 100;

const APPENDED_BYTES: usize = 600;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let items = session::pairs(APPENDED, APPENDED_BYTES)?;
    let typed = items.iter().map(nanocodex_item).collect::<Result<Vec<_>, _>>()?;
    for len in LENGTHS {
        let case = Case { len, both: Both::new(len)?, items: &items, typed: &typed };
        case.append(&mut criterion);
        case.fork(&mut criterion);
        case.fork_then_append(&mut criterion);
        case.snapshot(&mut criterion);
        case.request_body(&mut criterion);
        case.next_request_of_a_fork(&mut criterion);
    }
    criterion.final_summary();
    Ok(())
}

/// A conversation and what is appended to it, in the form of each.
struct Case<'a> {
    len: usize,
    both: Both,
    items: &'a [Item],
    typed: &'a [ResponseItem],
}

impl Case<'_> {
    fn compare(
        &self,
        criterion: &mut Criterion,
        name: &str,
        longhaul: impl FnMut(&mut Bencher<'_>),
        nanocodex: impl FnMut(&mut Bencher<'_>),
    ) {
        let mut group = criterion.benchmark_group(format!("peers/{name}"));
        group.bench_function(BenchmarkId::new("longhaul", self.len), longhaul);
        group.bench_function(BenchmarkId::new("nanocodex", self.len), nanocodex);
        group.finish();
    }

    /// A hundred ready items, to a history that nobody shares.
    fn append(&self, criterion: &mut Criterion) {
        let unshared = || {
            let mut fork = self.both.longhaul.clone();
            fork.record(self.items[0].clone());
            fork.record(self.items[1].clone());
            (fork, self.items.to_vec())
        };
        let unshared_peer = || {
            let mut fork = self.both.nanocodex.clone();
            fork.push(self.typed[0].clone());
            fork.push(self.typed[1].clone());
            (fork, self.typed.to_vec())
        };
        self.compare(
            criterion,
            "append_100",
            |b| b.iter_batched(unshared, record_all, BatchSize::PerIteration),
            |b| b.iter_batched(unshared_peer, push_all, BatchSize::PerIteration),
        );
    }

    /// Alone, and dropped at once on both sides.
    fn fork(&self, criterion: &mut Criterion) {
        let Both { longhaul, nanocodex } = &self.both;
        self.compare(
            criterion,
            "fork",
            |b| b.iter(|| black_box(longhaul).clone()),
            |b| b.iter(|| black_box(nanocodex).clone()),
        );
    }

    /// With its first item.
    fn fork_then_append(&self, criterion: &mut Criterion) {
        let Both { longhaul, nanocodex } = &self.both;
        self.compare(
            criterion,
            "fork_then_append",
            |b| {
                let record = |items| record_all((black_box(longhaul).clone(), items));
                b.iter_batched(|| self.items[..1].to_vec(), record, BatchSize::PerIteration);
            },
            |b| {
                let push = |items| push_all((black_box(nanocodex).clone(), items));
                b.iter_batched(|| self.typed[..1].to_vec(), push, BatchSize::PerIteration);
            },
        );
    }

    /// What stays as it is while the conversation goes on.
    fn snapshot(&self, criterion: &mut Criterion) {
        let Both { longhaul, nanocodex } = &self.both;
        self.compare(
            criterion,
            "snapshot",
            |b| b.iter(|| longhaul_prompt(black_box(longhaul))),
            |b| {
                b.iter(|| {
                    let mut sealed = black_box(nanocodex).clone();
                    sealed.commit_tail();
                    sealed
                });
            },
        );
    }

    /// All items as bytes.
    fn request_body(&self, criterion: &mut Criterion) {
        let Both { longhaul, nanocodex } = &self.both;
        self.compare(
            criterion,
            "request_body",
            |b| fresh(b, || longhaul_body(black_box(longhaul))),
            |b| fresh(b, || nanocodex_body(black_box(nanocodex))),
        );
    }

    /// Fork, append, and the body of the next request, together.
    fn next_request_of_a_fork(&self, criterion: &mut Criterion) {
        let Both { longhaul, nanocodex } = &self.both;
        self.compare(
            criterion,
            "fork_append_body",
            |b| {
                let next = |items| {
                    let fork = record_all((black_box(longhaul).clone(), items));
                    (longhaul_body(&fork), fork)
                };
                b.iter_batched(|| vec![message()], next, BatchSize::PerIteration);
            },
            |b| {
                let next = |items| {
                    let fork = push_all((black_box(nanocodex).clone(), items));
                    (nanocodex_body(&fork), fork)
                };
                let ready = || nanocodex_item(&message()).into_iter().collect();
                b.iter_batched(ready, next, BatchSize::PerIteration);
            },
        );
    }
}

/// What a user says next: it leaves no call open.
fn message() -> Item {
    Item::user("Now the other branch. ".repeat(25))
}

fn record_all((mut history, items): (History, Vec<Item>)) -> History {
    for item in items {
        history.record(item);
    }
    history
}

fn push_all((mut history, items): (ResponseHistory, Vec<ResponseItem>)) -> ResponseHistory {
    for item in items {
        history.push(item);
    }
    history
}

/// Measures `make` alone: what it made is dropped afterwards, one at a time.
fn fresh<T>(b: &mut Bencher<'_>, mut make: impl FnMut() -> T) {
    b.iter_batched(|| (), |()| make(), BatchSize::PerIteration);
}
