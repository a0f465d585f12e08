//! An embeddable agent core: a long-running, tool-calling conversation with a model behind the
//! OpenAI Responses API.
//!
//! An [`Agent`] opens sessions; a [`Session`] takes input and runs turns, one at a time; a turn asks
//! the model, runs the tools that it asks for, and ends with its answer:
//!
#![cfg_attr(feature = "http", doc = "```no_run")]
#![cfg_attr(not(feature = "http"), doc = "```ignore")]
//! use longhaul::prelude::*;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct City {
//!     city: String,
//! }
//!
//! async fn weather(City { city }: City) -> Result<String, std::io::Error> {
//!     Ok(format!("{city}: 7 degrees, rain"))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = Agent::builder("gpt-6-astra", Provider::from_env()?)
//!     .tool(tool("weather", "Weather now in a city.", weather))
//!     .build()?;
//! let session = agent.session().start().await?;
//! let mut turn = session.prompt("Oslo or Bergen: which is warmer?").await?; // accepted
//! while let Some(event) = turn.next().await {
//!     if let Event::TextDelta(text) = event {
//!         print!("{text}");
//!     }
//! }
//! let result = turn.await?; // finished
//! println!("\n{} tokens", result.usage.total);
//! session.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing reaches the model that its user did not set: no instructions, no context messages.
//! What a coding agent wants of that kind is the [`coding`] preset.
//!
//! # Out of scope
//!
//! Which tools there are, how things look, who may use them. Each of the crates behind this one is
//! useful alone, and is shown here as a module: [`history`], [`compaction`], [`transport`],
//! [`rollout`], [`state`].
//!
//! # Modules, in reading order
//!
//! `agent`, `session` (accepting input, running turns), `turn_handle`, `input`, [`output`] (answers of
//! a Rust type), [`events`], [`transcript`] (events as what a user interface shows), [`tool`],
//! [`approval`] (whether a call may run), [`task`] (the regular turn, compactions, and the seam for
//! others), `hook` (the host's say in a compaction), `log` (what is kept of a session), [`coding`].
//!
//! # Features
//!
//! `http` (default): models behind a server. `command` (default): tools that run a program.
//! `coding` (default): the preset.

mod agent;
pub mod approval;
#[cfg(feature = "coding")]
pub mod coding;
pub mod events;
mod hook;
mod input;
mod log;
pub mod output;
mod session;
pub mod task;
pub mod tool;
pub mod transcript;
mod turn_handle;

pub use agent::{Agent, AgentBuilder, BuildError, ModelSource, WhileRunning};
pub use hook::CompactionHook;
pub use input::{Input, MAX_IMAGE_BYTES};
pub use log::{ForkPoint, Imported, Resumed};
pub use session::{Accepted, Session, SessionBuilder};
pub use turn_handle::{TurnControl, TurnHandle};

pub use longhaul_compaction as compaction;
pub use longhaul_history as history;
pub use longhaul_rollout as rollout;
pub use longhaul_state as state;
pub use longhaul_transport as transport;

/// What a program that embeds an agent names most often.
pub mod prelude {
    pub use crate::state::protocol::{Event, TurnError, TurnResult};
    pub use crate::tool::{Tool, ToolContext, ToolOutput, tool};
    pub use crate::transport::{Provider, Secret};
    pub use crate::{Agent, Input, Session};
}

/// The program of the README is compiled with the tests.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
