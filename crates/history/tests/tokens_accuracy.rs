//! How far estimates are off, against exact counts. Run with `--features tiktoken`; add
//! `-- --nocapture` for the table of `docs/benchmarks.md`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::fmt::Write;

use longhaul_history::Item;
use longhaul_history::tokens::{Estimator, O200k, TokenCounter};

/// A text, and by how many percent its estimate may be off.
struct Corpus {
    name: &'static str,
    text: String,
    bound: f64,
}

/// By how many percent the estimate of a piece of 600 bytes may be off.
const CHUNK_BOUND: f64 = 20.0;
const CHUNK_BYTES: usize = 600;

fn corpora() -> Vec<Corpus> {
    let text = |name, text: &str, bound| Corpus { name, text: text.to_owned(), bound };
    vec![
        text("English prose", include_str!("corpus/english.txt"), 10.0),
        text("German prose", include_str!("corpus/german.txt"), 10.0),
        text("French prose", include_str!("corpus/french.txt"), 10.0),
        text("Russian prose", include_str!("corpus/russian.txt"), 10.0),
        text("Chinese prose", include_str!("corpus/chinese.txt"), 15.0),
        text("Japanese prose", include_str!("corpus/japanese.txt"), 15.0),
        text("Korean prose", include_str!("corpus/korean.txt"), 15.0),
        text("Rust", include_str!("corpus/rust.txt"), 10.0),
        text("Python", include_str!("corpus/python.txt"), 10.0),
        text("TypeScript", include_str!("corpus/typescript.txt"), 10.0),
        text("shell script", include_str!("corpus/shell.txt"), 10.0),
        text("JSON", include_str!("corpus/json.txt"), 10.0),
        text("logs", include_str!("corpus/logs.txt"), 10.0),
        text("base64", &digits(ALPHABET, 4_000), 10.0),
        text("base64, URL alphabet", &digits(URL_ALPHABET, 4_000), 10.0),
        text("hex", &digits(b"0123456789abcdef", 4_000), 10.0),
        text("lines of SHA-256", &sums(50), 10.0),
    ]
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random digits, the same at every run: a linear congruential generator's high bits.
fn digits(alphabet: &[u8], count: usize) -> String {
    let mut state = 0x9E37_79B9_u64 + alphabet.len() as u64;
    let mut digit = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(alphabet[(state >> 33) as usize % alphabet.len()])
    };
    (0..count).map(|_| digit()).collect()
}

fn sums(count: usize) -> String {
    let hex = digits(b"0123456789abcdef", 64 * count);
    (0..count).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{}  target/release/part-{n:04}.o", &hex[64 * n..64 * (n + 1)]);
        text
    })
}

/// The text in pieces of about `bytes`, without a shorter last one.
fn chunks(text: &str, bytes: usize) -> Vec<&str> {
    let boundary = |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
    let bounds: Vec<usize> = (0..=text.len() / bytes).map(|n| boundary(n * bytes)).collect();
    bounds.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// By how many percent an estimate is off.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn error(estimate: u64, exact: u64) -> f64 {
    (estimate as f64 / exact as f64 - 1.0) * 100.0
}

#[test]
fn estimates_are_as_close_as_the_docs_say() {
    let (exact, estimator) = (O200k::load(), Estimator::default());
    let off = |text: &str| error(estimator.count_text(text), exact.count_text(text));
    let mut broken = Vec::new();
    println!("| text | bytes | exact | estimate | error | worst piece of {CHUNK_BYTES} bytes |");
    println!("|---|---|---|---|---|---|");
    for Corpus { name, text, bound } in corpora() {
        let worst = chunks(&text, CHUNK_BYTES)
            .into_iter()
            .map(off)
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))
            .unwrap();
        println!(
            "| {name} | {} | {} | {} | {:+.1} % | {worst:+.1} % |",
            text.len(),
            exact.count_text(&text),
            estimator.count_text(&text),
            off(&text),
        );
        if off(&text).abs() > bound || worst.abs() > CHUNK_BOUND {
            broken.push(name);
        }
    }
    assert_eq!(broken, Vec::<&str>::new());
}

/// An item's estimate is read from JSON with its escapes; the exact one from its texts.
#[test]
fn items_are_counted_alike_by_both_counters() {
    let (exact, estimator) = (O200k::load(), Estimator::default());
    for Corpus { name, text, bound } in corpora() {
        let item = Item::user(text.clone());
        assert_eq!(exact.count_item(&item), exact.count_text(&text) + 4, "{name}");
        assert_eq!(estimator.count_item(&item), estimator.count_text(&text) + 4, "{name}");
        assert!(
            error(estimator.count_item(&item), exact.count_item(&item)).abs() < bound,
            "{name}"
        );
    }
}
