//! Test an LLM agent without a network and without a model.
//!
//! * [`server`]: a scripted Responses server on loopback, with faults at chosen bytes and a log of what came.
//! * [`sse`]: the events of a response, as the server would stream them.
//! * [`model`]: a scripted model in process, behind the same seam as a server's client.
//! * [`check`]: do the calls and outputs of a request pair up?
//!
//! Out of scope: judging a model's answers, other APIs than Responses, TLS.
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

pub mod check;
pub mod model;
pub mod server;
pub mod sse;

pub use model::ScriptedModel;
