//! What it costs to record, to append to and to fork a conversation of 10,000 items.

use std::error::Error;
use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use longhaul_benches::{history, recorded};
use longhaul_history::{History, Item, ItemError};
use serde_json::Value;

const ITEMS: usize = 10_000;

/// The item that is appended: an output of about 2 KB.
const APPENDED: usize = 13;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let recorded = recorded(ITEMS);
    let history = history(&recorded)?;
    let values = parse(&recorded)?;
    let texts: Vec<String> = history.iter().map(|item| item.json().into()).collect();
    assert!(parse(&texts)? == values, "both hold the same");

    record(&mut criterion, &recorded);
    append(&mut criterion, &recorded[APPENDED], &history, values.clone());
    fork(&mut criterion, &history, &values);
    criterion.final_summary();
    Ok(())
}

fn parse(recorded: &[String]) -> serde_json::Result<Vec<Value>> {
    recorded.iter().map(|json| serde_json::from_str(json)).collect()
}

/// From JSON text to a conversation, all items.
fn record(criterion: &mut Criterion, recorded: &[String]) {
    let mut group = criterion.benchmark_group("record_all");
    group.sample_size(30);
    group.bench_function("longhaul", |b| b.iter(|| history(black_box(recorded))));
    group.bench_function("values", |b| b.iter(|| parse(black_box(recorded))));
    group.finish();
}

/// From JSON text to one more item.
fn append(criterion: &mut Criterion, json: &str, history: &History, mut values: Vec<Value>) {
    let mut group = criterion.benchmark_group("append");
    let record = |history: &mut History| -> Result<(), ItemError> {
        history.record(Item::from_json(black_box(json))?);
        Ok(())
    };
    group.bench_function("longhaul", |b| {
        let unshared = || {
            let mut fork = history.clone();
            fork.record(Item::user("The first item after a fork copies the last segment."));
            fork
        };
        b.iter_batched_ref(unshared, record, BatchSize::LargeInput);
    });
    group.bench_function("longhaul_after_fork", |b| {
        b.iter_batched_ref(|| history.clone(), record, BatchSize::LargeInput);
    });
    group.bench_function("values", |b| {
        b.iter_with_large_drop(|| -> serde_json::Result<Option<Value>> {
            values.push(serde_json::from_str(black_box(json))?);
            Ok(values.pop())
        });
    });
    group.finish();
}

/// A copy of the conversation that later changes do not reach.
fn fork(criterion: &mut Criterion, history: &History, values: &Vec<Value>) {
    let items: Vec<Item> = history.iter().cloned().collect();
    let mut group = criterion.benchmark_group("fork");
    group.bench_function("longhaul", |b| b.iter(|| black_box(history).clone()));
    group.bench_function("shared_items", |b| b.iter(|| black_box(&items).clone()));
    group.bench_function("values", |b| b.iter(|| black_box(values).clone()));
    group.finish();
}
