//! What a compaction costs besides the model's answer: planning it, up to the request for a summary;
//! writing a bridge; and all of it, up to the JSON of the next request's conversation.
//!
//! Against the usual way (`benches/src/joined.rs`), which is given prose alone. Its vocabulary is loaded
//! once, outside of the measurement.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use longhaul::compaction::{Action, Answer, Bridge, Budget, Cause, Config, Fact, Ladder, View};
use longhaul_benches::clone_and_scan::TypedItem;
use longhaul_benches::{joined, session};
use longhaul_history::{History, Item, ReasoningFilter};
use tiktoken_rs::{CoreBPE, o200k_base};

const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// Items of a coding session that take 1 MB on the wire.
const MEGABYTE_ITEMS: usize = 1_540;

const PROSE: &str = include_str!("../crates/history/tests/corpus/english.txt");

const SUMMARY: &str = "The lexer is done; the parser is next. All tests pass.\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let bpe = o200k_base()?;
    for len in LENGTHS {
        plan(&mut criterion, len, &bpe)?;
    }
    bridge(&mut criterion);
    let session = Case::session()?;
    session.whole(&mut criterion, "session", &bpe);
    Case::messages()?.whole(&mut criterion, "messages", &bpe);
    criterion.final_summary();
    Ok(())
}

/// Somebody asks for it; the limit is reached, so that cheaper ways come first; the conversation is
/// twice as long as its window, so that it has to be trimmed too.
fn budgets(history: &History) -> [(&'static str, Budget); 3] {
    let tokens = history.prompt(ReasoningFilter::CurrentTurn).tokens();
    let mut limit = Budget::new(Cause::Limit);
    // By the server's count it is longer, so that outputs alone do not make enough room.
    let used = tokens / 4 * 5;
    (limit.window, limit.limit, limit.used) = (Some(tokens / 9 * 10), tokens, Some(used));
    let mut window = Budget::new(Cause::Window { is_certain: true });
    (window.window, window.limit) = (Some(tokens / 2), tokens / 20 * 9);
    [("by_hand", Budget::new(Cause::Manual)), ("at_limit", limit), ("too_long", window)]
}

fn view(history: &History, config: &Config, budget: &Budget) -> View {
    let (keep, filter) = (config.keep.clone(), ReasoningFilter::CurrentTurn);
    View::new(history.clone(), Vec::new(), keep, filter, budget)
}

fn ladder(history: &History, config: &Config, budget: Budget) -> Ladder {
    Ladder::new(config, view(history, config, &budget), budget, false)
}

fn plan(criterion: &mut Criterion, len: usize, bpe: &CoreBPE) -> Result<(), Box<dyn Error>> {
    let (history, mut config) = (session::history(len)?, Config::default());
    // The longest of these takes more tokens than a compaction may spend.
    config.bounds.max_tokens = u64::MAX;
    let mut group = criterion.benchmark_group("compaction/plan");
    let (_, budget) = budgets(&history)[0];
    group.bench_function(BenchmarkId::new("view", len), |b| {
        b.iter(|| view(black_box(&history), &config, &budget));
    });
    for (name, budget) in budgets(&history) {
        let plan =
            || ladder(black_box(&history), &config, budget).apply(Fact::Started, Duration::ZERO);
        assert!(matches!(plan(), Action::Ask(_)), "a model is asked");
        group.bench_function(BenchmarkId::new(name, len), |b| b.iter(plan));
    }
    let items = typed(&history)?;
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("joined", len), |b| {
        b.iter_with_large_drop(|| joined::user_messages(black_box(&items), bpe));
    });
    group.finish();
    Ok(())
}

/// 200 messages of 400 bytes.
fn bridge(criterion: &mut Criterion) {
    let messages: Vec<String> = (0..200).map(|index| prose(index * 31, 400)).collect();
    let summary = SUMMARY.repeat(40);
    let mut group = criterion.benchmark_group("compaction/bridge");
    group.throughput(Throughput::Bytes(80_000));
    let bridge = Bridge { user_messages: &messages, summary: &summary };
    group.bench_function("render", |b| b.iter(|| black_box(&bridge).render()));
    let finished = bridge.render().unwrap_or_default();
    group.bench_function("copy_of_bytes", |b| b.iter(|| black_box(&finished).clone()));
    group.finish();
}

/// A conversation of 1 MB in both stores.
struct Case {
    history: History,
    items: Vec<TypedItem>,
}

impl Case {
    fn of(history: History) -> Result<Self, Box<dyn Error>> {
        let items = typed(&history)?;
        Ok(Self { history, items })
    }

    /// A coding session.
    fn session() -> Result<Self, Box<dyn Error>> {
        Self::of(session::history(MEGABYTE_ITEMS)?)
    }

    /// Nearly all of it is the user's, so that most has to be cut.
    fn messages() -> Result<Self, Box<dyn Error>> {
        let mut history = History::default();
        for index in 0..500 {
            history.begin_turn();
            history.record(Item::user(prose(index * 57, 1_900)));
            history.record(Item::assistant("Noted."));
        }
        Self::of(history)
    }

    /// From the conversation to that of the next request, as JSON.
    fn whole(&self, criterion: &mut Criterion, name: &str, bpe: &CoreBPE) {
        let config = Config::default();
        let mut group = criterion.benchmark_group(format!("compaction/whole/{name}"));
        group.throughput(Throughput::Bytes(1_000_000)).sample_size(20);
        for (cause, budget) in budgets(&self.history) {
            let compact = || compacted(black_box(&self.history), &config, budget);
            assert!(compact().is_some_and(|json| json.contains("lexer")), "it is installed");
            group.bench_function(cause, |b| {
                b.iter_batched(|| (), |()| compact(), BatchSize::PerIteration);
            });
        }
        group.bench_function("joined", |b| {
            let compact = || -> Result<String, Box<dyn Error>> {
                let items = joined::compacted(black_box(&self.items), SUMMARY, bpe)?;
                Ok(serde_json::to_string(&serde_json::to_value(&items)?)?)
            };
            b.iter_batched(|| (), |()| compact(), BatchSize::PerIteration);
        });
        group.finish();
    }
}

/// The conversation of the next request; `None` if nothing was installed.
fn compacted(history: &History, config: &Config, budget: Budget) -> Option<String> {
    let mut ladder = ladder(history, config, budget);
    let Action::Ask(_) = ladder.apply(Fact::Started, Duration::ZERO) else { return None };
    let answer = Fact::Answered(Answer::Text(SUMMARY.to_owned()));
    let Action::Install(done) = ladder.apply(answer, Duration::ZERO) else { return None };
    let mut history = history.clone();
    history.replace_prefix(done.replaced, done.parts).ok()?;
    Some(history.prompt(ReasoningFilter::CurrentTurn).to_json())
}

/// The conversation as a list of typed items.
fn typed(history: &History) -> serde_json::Result<Vec<TypedItem>> {
    history.iter().map(|item| serde_json::from_str(item.json())).collect()
}

fn prose(first: usize, bytes: usize) -> String {
    PROSE.chars().filter(char::is_ascii).cycle().skip(first).take(bytes).collect()
}
