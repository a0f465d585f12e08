//! How much memory it takes to open a session again of which nothing was ever compacted: twice what
//! is active, and a fixed part.
//!
//! A binary apart, because counting replaces the allocator.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use allocation_counter::measure;
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore, OnDamage, Record, RecordKind, SessionMeta, Store};
use longhaul_history::{CallOutput, Item};
use longhaul_testkit::ScriptedModel;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

const ID: &str = "01a20298-0571-7a40-bd9c-36a08a0bd337";

/// So many items are about 8 MB.
const ITEMS: usize = 12_000;

/// The fixed part: the window through which the log is read, the newest messages, and what holds
/// the items of a conversation of this length together. Scaled down from 16 MB at 100 MB, but for
/// the first two, which are as large here.
const FIXED: u64 = 2_000_000;

fn record(kind: RecordKind, payload: Box<RawValue>) -> Record {
    Record::new("2026-11-28T10:00:00Z".parse().unwrap(), kind, payload)
}

/// An item as servers and clients write it, 700 bytes on average.
fn item(index: usize) -> Item {
    let id = |prefix: &str| format!("{prefix}_{index:048x}");
    let call_id = format!("call_{:024x}", index / 4);
    let item = match index % 4 {
        0 => json!({"type": "reasoning", "id": id("rs"), "summary": [],
            "encrypted_content": "x".repeat(700)}),
        1 => json!({"type": "function_call", "id": id("fc"), "call_id": call_id, "name": "shell",
            "arguments": "{\"command\":\"grep -n main src/main.rs\"}"}),
        2 => return Item::function_call_output(&call_id, CallOutput::text("fn main ".repeat(150))),
        _ => json!({"type": "message", "id": id("msg"), "role": "assistant",
            "content": [{"type": "output_text", "text": "It is there. ".repeat(20)}]}),
    };
    Item::from_json(&item.to_string()).unwrap()
}

/// A store with the log, and how much of that is active.
async fn stored() -> (MemoryStore, u64) {
    let store = MemoryStore::new();
    let meta = SessionMeta::new(ID, "2026-11-28T10:00:00Z".parse().unwrap());
    let mut records = vec![record(RecordKind::SessionMeta, to_raw_value(&meta).unwrap())];
    let items = (0..ITEMS).map(item);
    let payloads = items.map(|item| RawValue::from_string(item.json().to_owned()).unwrap());
    records.extend(payloads.map(|payload| record(RecordKind::ResponseItem, payload)));
    let active = records[1..].iter().map(|it| it.payload.get().len() as u64).sum();
    store.create(records).await.unwrap().close().await.unwrap();
    (store, active)
}

#[test]
fn a_session_that_is_opened_again_takes_twice_what_is_active_and_a_fixed_part() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (store, active) = runtime.block_on(stored());
    let agent =
        Agent::builder("gpt-5", Arc::new(ScriptedModel::new())).context_window(1_000_000_000);
    let agent = agent.store(store).build().unwrap();
    let mut session = None;
    let memory = measure(|| {
        let opening = agent.session().resume(LogRef::Id(ID.into()), OnDamage::Refuse);
        session = Some(runtime.block_on(opening.start()).unwrap());
    });
    let session = session.unwrap();
    assert_eq!(session.history().len(), ITEMS);
    let (peak, kept) = (memory.bytes_max, memory.bytes_current);
    println!("{active} bytes active: at most {peak} held, {kept} after it");
    assert!(active > 8_000_000 && peak < 2 * active + FIXED, "{peak} of {active}");
}
