//! What it costs to count tokens: the estimator and the exact counter on the texts on which their
//! difference is measured, and both on items of some 600 bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use longhaul_history::Item;
use longhaul_history::tokens::{Estimator, O200k, TokenCounter};

macro_rules! corpus {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../crates/history/tests/corpus/", $name, ".txt")))),*]
    };
}

const TEXTS: [(&str, &str); 13] = corpus![
    "english",
    "german",
    "french",
    "russian",
    "chinese",
    "japanese",
    "korean",
    "rust",
    "python",
    "typescript",
    "shell",
    "json",
    "logs",
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let counters: [(&str, &dyn TokenCounter); 2] =
        [("estimator", &Estimator::default()), ("exact", &O200k::load())];
    for (name, counter) in counters {
        texts(&mut criterion, name, counter);
        items(&mut criterion, name, counter);
    }
    criterion.final_summary();
}

fn texts(criterion: &mut Criterion, name: &str, counter: &dyn TokenCounter) {
    let mut group = criterion.benchmark_group(format!("text/{name}"));
    for (corpus, text) in TEXTS {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(corpus, |b| b.iter(|| counter.count_text(black_box(text))));
    }
    group.finish();
}

/// Messages whose JSON has some 600 bytes, escapes among them.
fn items(criterion: &mut Criterion, name: &str, counter: &dyn TokenCounter) {
    let mut group = criterion.benchmark_group(format!("item/{name}"));
    for corpus in ["english", "rust", "json"] {
        let text = TEXTS.iter().find_map(|(name, text)| (*name == corpus).then_some(*text));
        let text = text.unwrap_or_default();
        let item = Item::user(&text[..520]);
        group.throughput(Throughput::Bytes(item.json().len() as u64));
        group.bench_function(corpus, |b| b.iter(|| counter.count_item(black_box(&item))));
    }
    group.finish();
}
