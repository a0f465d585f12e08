//! How much memory a conversation takes, an item of it, and a fork: printed, not timed.
//!
//! A binary apart, because counting replaces the allocator. What is counted is what is asked of the
//! allocator and not given back, without its own rounding up.

mod held;

use std::error::Error;
use std::io::{self, Write};

use longhaul_benches::clone_and_scan::TypedItem;
use longhaul_benches::session;
use longhaul_history::{History, Item, ItemError, ReasoningFilter};
use serde_json::Value;

use held::held;

const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    writeln!(out, "bytes an item    wire   JSON  longhaul  typed  values  a fork  its first item")?;
    for len in LENGTHS {
        let texts = session::texts(0, len);
        let json_bytes = texts.iter().map(String::len).sum::<usize>();
        let (longhaul, history) = held(|| recorded(&texts));
        let history = history?;
        let wire_bytes = history.prompt(ReasoningFilter::KeepAll).byte_len();
        let typed = held(|| typed_items(len)).0;
        let values = held(|| parsed(&texts)).0;
        let (fork_bytes, mut fork) = held(|| history.clone());
        let (appended, ()) = held(|| fork.record(Item::user("The first of its own.")));
        let items = i64::try_from(len)?;
        writeln!(
            out,
            "history/{len:<8}  {:5}  {:5}  {:8}  {:5}  {:6}  {fork_bytes:6}  {appended:14}",
            wire_bytes / len,
            json_bytes / len,
            longhaul / items,
            typed / items,
            values / items,
        )?;
    }
    Ok(())
}

fn recorded(texts: &[String]) -> Result<History, ItemError> {
    let mut history = History::default();
    for (index, json) in texts.iter().enumerate() {
        if index.is_multiple_of(session::TURN_ITEMS) {
            history.begin_turn();
        }
        history.record(Item::from_json(json)?);
    }
    Ok(history)
}

fn typed_items(len: usize) -> serde_json::Result<Vec<TypedItem>> {
    session::sent_with_all_reasoning(len).into_iter().map(serde_json::from_value).collect()
}

fn parsed(texts: &[String]) -> serde_json::Result<Vec<Value>> {
    texts.iter().map(|json| serde_json::from_str(json)).collect()
}
