//! The Responses client and the retry loop, over scripted exchanges in virtual time and over real loopback HTTP.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../common/drain.rs"]
mod drain;

mod credentials;
mod cut;
mod deadlines;
mod errors;
mod forms;
mod headers;
mod live;
mod overflow;
mod refusals;
mod retries;
mod step;
mod support;
mod texts;
