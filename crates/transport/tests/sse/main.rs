//! Server-sent events by the rules of the HTML standard, as far as a response needs them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod bounds;
mod client;
mod conformance;
mod corpus;
mod properties;
mod reference;
mod support;
