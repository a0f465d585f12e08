//! What a server refused is removed or changed as its remedy says, and nothing else.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod any;
mod each;
