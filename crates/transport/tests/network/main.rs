//! Faults of the network and of servers, through the real client over real loopback HTTP/1.1, HTTP/2 and TLS. Each
//! test is named after its fault in `docs/faults.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod answers;
mod cancel;
mod child;
mod connect;
mod ends;
mod hostile;
mod http2;
mod reuse;
mod support;
mod tls;
mod upload;
