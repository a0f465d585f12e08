//! What it costs to cut the middle out of a text, to 80,000 bytes and to 20,000 tokens; against a
//! way that is common: to tokenise the whole text, and then what was removed, for the number in the
//! marker.
//!
//! The vocabulary is loaded once, outside of the measurement, although that way loads it for each
//! text. It cuts prose alone: on a row of one letter its time grows faster than the text.

use std::error::Error;
use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use longhaul_benches::joined::{self, MAX_BYTES};
use longhaul_history::tokens::{Estimator, O200k, TokenCounter};
use longhaul_history::truncate::{MiddleLimits, middle, middle_within};
use tiktoken_rs::{CoreBPE, o200k_base};

const PROSE: &str = include_str!("../crates/history/tests/corpus/english.txt");

const MAX_TOKENS: u64 = 20_000;

/// What of a removed middle is counted for an exact marker; a part of the text, or all of it.
const MAX_COUNTED_BYTES: usize = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let bpe = o200k_base()?;
    let texts = [
        ("prose/1MB", prose(1_000_000)),
        ("prose/4MB", prose(4_000_000)),
        ("letter/200KB", "a".repeat(200_000)),
        ("letter/1MB", "a".repeat(1_000_000)),
    ];
    for (name, text) in &texts {
        let tokenised = name.starts_with("prose").then_some(&bpe);
        by_bytes(&mut criterion, name, text, tokenised);
        by_tokens(&mut criterion, name, text);
    }
    criterion.final_summary();
    Ok(())
}

fn prose(bytes: usize) -> String {
    PROSE.chars().filter(char::is_ascii).cycle().take(bytes).collect()
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, text: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group
}

fn by_bytes(criterion: &mut Criterion, name: &str, text: &str, tokenised: Option<&CoreBPE>) {
    let mut group = group(criterion, &format!("truncation/bytes/{name}"), text);
    group.bench_function("longhaul", |b| b.iter(|| middle(black_box(text), MAX_BYTES)));
    let mut limits = MiddleLimits::bytes(MAX_BYTES);
    limits.max_counted_bytes = MAX_COUNTED_BYTES;
    let count = |text: &str| Estimator::default().count_text(text);
    group.bench_function("longhaul_counted", |b| {
        b.iter(|| middle_within(black_box(text), &limits, &count));
    });
    if let Some(bpe) = tokenised {
        group.sample_size(10);
        group.bench_function("tokenised", |b| b.iter(|| joined::cut(bpe, black_box(text))));
    }
    group.finish();
}

/// With the default counter, and with the exact one, whose time is what it takes to count the ends.
fn by_tokens(criterion: &mut Criterion, name: &str, text: &str) {
    let mut group = group(criterion, &format!("truncation/tokens/{name}"), text);
    let counters: [(&str, &dyn TokenCounter); 2] =
        [("longhaul", &Estimator::default()), ("longhaul_exact", &O200k::load())];
    let limits = MiddleLimits::tokens(MAX_TOKENS);
    for (name, counter) in counters {
        let count = |text: &str| counter.count_text(text);
        group.sample_size(if name == "longhaul" { 100 } else { 10 });
        group.bench_function(name, |b| b.iter(|| middle_within(black_box(text), &limits, &count)));
    }
    group.finish();
}
