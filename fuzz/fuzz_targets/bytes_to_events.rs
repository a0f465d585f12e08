//! Any bytes as the body of a response. From the root of the repository:
//!
//! ```text
//! mkdir -p target/fuzz-corpus
//! cargo +nightly fuzz run bytes_to_events target/fuzz-corpus fuzz/corpus/bytes_to_events
//! ```
//!
//! What it finds belongs, made small, into `fuzz/corpus`, which the ordinary tests of
//! `longhaul-transport` replay.

#![no_main]

#[path = "../check/bytes_to_events.rs"]
mod bytes_to_events;
#[path = "../../crates/transport/tests/sse/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|body: &[u8]| bytes_to_events::check(body));
