//! Faults of the network and of servers, through the real client over real loopback HTTP/1.1, HTTP/2 and TLS. Each
//! test is named after its fault in `docs/faults.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, unused_imports, reason = "what only the tests for Linux need")
)]

#[path = "../common/drain.rs"]
mod drain;

mod answers;
mod cancel;
mod child;
mod connect;
mod ends;
mod failures;
mod hostile;
mod http2;
mod redirects;
mod refusals;
mod reuse;
mod support;
mod tls;
mod upload;
