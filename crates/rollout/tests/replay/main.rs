//! What a log comes to: all that is written, and nothing of what is damaged.

#![allow(clippy::needless_pass_by_value, reason = "json!() is passed as it is made")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod blobs;
mod bounds;
mod cut;
mod damage;
mod export;
mod foreign;
mod log;
mod lost;
mod memory;
mod model;
mod no_text;
mod order;
mod recent;
mod records;
