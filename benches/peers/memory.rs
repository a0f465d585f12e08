//! How much memory a conversation takes in longhaul and in nanocodex-core, and a fork of it:
//! printed, not timed.
//!
//! What is counted is what is asked of the allocator and not given back. longhaul is given items as
//! servers write them and keeps all of them; nanocodex is given the wire form and keeps what its
//! types have of it.

#[path = "../held.rs"]
mod held;

use std::error::Error;
use std::io::{self, Write};

use longhaul_peers::{longhaul_body, nanocodex, nanocodex_item, session};

use held::held;

const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let first = &session::pairs(1, 600)?[0];
    writeln!(out, "bytes an item     wire  longhaul  nanocodex  first item of a fork in each")?;
    for len in LENGTHS {
        let values = session::sent_with_all_reasoning(len);
        let (longhaul, history) = held(|| session::history(len));
        let (peer, peer_history) = held(|| nanocodex(&values));
        let (history, peer_history) = (history?, peer_history?);
        let forked = held(|| {
            let mut fork = history.clone();
            fork.record(first.clone());
            fork
        });
        let peer_forked = held(|| -> serde_json::Result<_> {
            let mut fork = peer_history.clone();
            fork.push(nanocodex_item(first)?);
            Ok(fork)
        });
        let items = i64::try_from(len)?;
        writeln!(
            out,
            "history/{len:<8} {:5}  {:8}  {:9}  {} {}",
            longhaul_body(&history).len() / len,
            longhaul / items,
            peer / items,
            forked.0,
            peer_forked.0,
        )?;
    }
    Ok(())
}
