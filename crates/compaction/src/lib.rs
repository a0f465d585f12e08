//! How a conversation is made to fit its context window, and keeps its task.
//!
//! [`due`] says when a conversation is to be compacted. A [`View`] of it, with what must be kept, goes
//! up a [`Ladder`] of strategies: each [`Strategy`] installs something, asks a model, or leaves it to the
//! next. Whatever comes of it is put to one test (does it hold what must be kept? does it fit, with a
//! reserve? is it smaller?) before it takes the conversation's place. The ladder is a value: facts go in,
//! actions come out, and it ends.
//!
//! ```
//! use std::time::Duration;
//! use longhaul_compaction::{Action, Answer, Budget, Cause, Config, Fact, Ladder, View};
//! use longhaul_history::{History, Item, ReasoningFilter};
//!
//! let mut history = History::default();
//! history.record(Item::user("Port the parser to Rust. Keep the old tests."));
//! history.record(Item::assistant("The lexer is ported."));
//!
//! let (config, budget) = (Config::default(), Budget::new(Cause::Manual));
//! let keep = config.keep.clone();
//! let view = View::new(history.clone(), Vec::new(), keep, ReasoningFilter::default(), &budget);
//! let mut ladder = Ladder::new(&config, view, budget, false);
//!
//! let Action::Ask(ask) = ladder.apply(Fact::Started, Duration::ZERO) else { unreachable!() };
//! assert_eq!(ask.prompt, longhaul_compaction::SUMMARIZATION_PROMPT);
//! let answer = Fact::Answered(Answer::Text("Lexer done, parser next.".into()));
//! let Action::Install(done) = ladder.apply(answer, Duration::from_secs(9)) else { unreachable!() };
//!
//! history.replace_prefix(done.replaced, done.parts)?;
//! let bridge = history.get(0).and_then(Item::bridge_parts).unwrap_or_default();
//! assert_eq!(bridge.user_messages, ["Port the parser to Rust. Keep the old tests."]);
//! assert_eq!(bridge.summary, "Lexer done, parser next.");
//! # Ok::<(), longhaul_history::EditError>(())
//! ```
//!
//! # Out of scope
//!
//! Any I/O, clock or randomness, and the requests to the model: the ladder says what to ask, and is told
//! what came of it and how long it took. The whole contract is in `docs/compaction.md`.
//!
//! # Modules, in reading order
//!
//! `config` (what an embedder sets), `keep` (what is kept), `due` (when), `budget` (how much room
//! there is), `view` and `layout` (what is where in a conversation), `strategy` (the rungs), `ladder` (one
//! compaction), `accept` (the test that every result passes), `assemble`, `quote` and `bridge`
//! (the usual result),
//! `trim` (a conversation too long to be summed up), `breaker` (what stops compactions that lead
//! nowhere), `replacement` and `report` (what is installed and told), `prompt`, `largest`,
//! `error`. Truncation
//! ([`truncate`]) is re-exported from `longhaul-history`.

mod accept;
mod assemble;
mod breaker;
mod bridge;
mod budget;
mod config;
mod due;
mod edit;
mod error;
mod keep;
mod ladder;
mod largest;
mod layout;
mod prompt;
mod quote;
mod replacement;
mod report;
mod strategy;
mod trim;
mod view;

pub use accept::TINY_TOKENS;
pub use breaker::{Breaker, BreakerLimits, BreakerMemory, Stopped};
pub use bridge::Bridge;
pub use budget::{Budget, Cause, MAX_RESERVE_TOKENS, MIN_WINDOW_TOKENS, Refused};
pub use config::{Bounds, Compaction, Config, LastRung};
pub use due::{Situation, due};
pub use error::Error;
pub use keep::{BridgeText, Keep, Tail, USER_MESSAGE_TOKENS};
pub use ladder::{Action, Fact, Ladder, Proposal, Verdict};
pub use longhaul_history::truncate;
pub use prompt::SUMMARIZATION_PROMPT;
pub use replacement::Replacement;
pub use report::{Compacted, Report, Trigger};
pub use strategy::{
    Answer, Ask, ClearOutputs, DropImages, Extract, Progress, Step, Strategy, Summarise,
    SummaryModel,
};
pub use view::View;
