//! One streamed call of the OpenAI Responses API, and the retries around it.
//!
//! A [`Model`] turns a [`Request`] into a stream of typed [`ResponseEvent`]s or a [`ModelError`].
//! [`ResponsesClient`] is the model behind an HTTP server: at OpenAI or at any server that speaks
//! its protocol, as a [`Provider`] describes it. [`sample`] is the one loop that retries, by the one
//! pure decision in [`retry`].
//!
//! ```
//! use longhaul_history::{History, Item, ReasoningFilter};
//! use longhaul_transport::{Provider, Request, encode};
//!
//! let mut history = History::default();
//! history.record(Item::user("Hello"));
//! let request = Request::new("any-model", history.prompt(ReasoningFilter::CurrentTurn));
//!
//! let provider = Provider::custom("http://127.0.0.1:8080/v1")?;
//! let body = encode(&request, &provider)?;
//! assert!(String::from_utf8_lossy(&body).contains(r#""input":[{"type":"message""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Out of scope
//!
//! What is in the conversation (`longhaul-history`), and what becomes of an answer
//! (`longhaul-state`). Chat Completions and WebSockets are not spoken.
//!
//! # Modules, in reading order
//!
//! `model` (the seam), [`request`], [`event`], [`error`], `responses` (the client), [`exchange`]
//! (the HTTP seam below it), [`sse`], [`provider`], [`auth`], [`models`], [`retry`], `sample`
//! (the loop), [`rate_limits`].
//!
//! # Features
//!
//! `http` (default): [`exchange::ReqwestExchange`]. Without it no HTTP client is in the tree.

pub mod auth;
pub mod error;
pub mod event;
pub mod exchange;
mod model;
pub mod models;
pub mod provider;
pub mod rate_limits;
pub mod request;
mod responses;
pub mod retry;
mod sample;
pub mod sse;

pub use auth::Secret;
pub use error::{ErrorCode, ModelError, Phase};
pub use event::{Completed, ResponseEvent};
pub use model::{Model, ResponseStream};
pub use provider::{Deadlines, Provider, ProviderError};
pub use rate_limits::RateLimits;
pub use request::{Request, RequestOptions, TaskKind, ToolSpec, encode};
pub use responses::{KEEP_ALIVE_INTERVAL, ResponsesClient};
pub use retry::RetryPolicy;
pub use sample::{Retrying, SampleEvent, SampleStream, sample};
