//! Test an LLM agent without a network and without a model.
//!
//! * [`server`]: a scripted Responses server on loopback, with faults at chosen bytes and a log of what came.
//! * [`raw`]: a server of single bytes, for what no server should send.
//! * [`token`]: a scripted token endpoint with rotating refresh tokens.
//! * `tls` (feature `tls`): certificates made in the test.
//! * [`sse`]: the events of a response, as the server would stream them.
//! * [`model`]: a scripted model in process, behind the same seam as a server's client.
//! * [`exchange`]: scripted HTTP exchanges for virtual time.
//! * [`store`]: what any store of session logs does, as tests for yours.
//! * [`disk`]: a disk that fails where a test says so.
//! * [`patience`]: waiting for programs and threads, with an end where they hang.
//! * [`strategies`]: items and conversations for property tests, sound and broken.
//! * [`check`]: do the calls and outputs of a request pair up, does it continue the one before, and does a session keep its
//!   promises?
//!
//! Features, none on by default: `http2` and `tls`, for the scripted server.
//!
//! Out of scope: judging a model's answers, other APIs than Responses.
//!
//! ```
//! use longhaul_testkit::server::{Reply, Script, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let script = Script::new()
//!     .reply(Reply::calls([("call_1", "shell", r#"{"cmd":"ls"}"#)]))
//!     .reply(Reply::text("Two files."));
//! let server = Server::start(script).await?;
//! // Point the agent under test at `server.base_url()`, run it, then:
//! # drop(server);
//! # Ok(())
//! # }
//! ```
//!
//! A test in virtual time needs no server:
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures_util::StreamExt;
//! use longhaul_history::{History, Item, ReasoningFilter};
//! use longhaul_testkit::ScriptedModel;
//! use longhaul_transport::{Model, Request, ResponseEvent};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let model = ScriptedModel::new().call("call_1", "shell", r#"{"cmd":"ls"}"#).text("Two files.");
//!
//! // An agent takes `Arc::new(model.clone())`; here the test asks by itself.
//! let mut history = History::default();
//! history.record(Item::user("How many files?"));
//! let request = Request::new("m", history.prompt(ReasoningFilter::CurrentTurn));
//! for _ in 0..2 {
//!     let events = model.stream(&request).await.unwrap();
//!     let last = events.map(Result::unwrap).collect::<Vec<_>>().await.pop();
//!     assert!(matches!(last, Some(ResponseEvent::Completed(_))));
//! }
//! model.assert_complete();
//! # }
//! ```

pub mod check;
pub mod disk;
pub mod exchange;
pub mod model;
pub mod patience;
pub mod raw;
pub mod server;
pub mod sse;
pub mod store;
pub mod strategies;
#[cfg(feature = "tls")]
pub mod tls;
pub mod token;
mod watched;

pub use exchange::ScriptedExchange;
pub use model::ScriptedModel;
