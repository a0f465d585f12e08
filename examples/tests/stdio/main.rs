//! The program `stdio`, from outside: real pipes, a real server, real children.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod approvals;
mod compact;
mod login;
mod refusals;
mod resume;
mod running;
mod support;
mod turns;
