//! What an agent session owns and for how long, and a turn as a value.
//!
//! [`Turn`] decides a turn: it takes facts (a response is complete, a tool has finished, the user
//! interrupts) and gives actions (send a request, run these tools, record this output). It has no
//! clock, no socket and no runtime, so that every interleaving can be driven in a test:
//!
//! ```
//! use longhaul_history::Item;
//! use longhaul_state::turn::{Action, Fact, Response, Turn, TurnLimits};
//!
//! let mut turn = Turn::new(TurnLimits::default());
//! assert!(matches!(turn.apply(Fact::Started)?[..], [Action::Prepare]));
//! assert!(matches!(turn.apply(Fact::Ready)?[..], [Action::Sample]));
//!
//! let answer = Response::new(vec![Item::assistant("Bergen.")], None);
//! let actions = turn.apply(Fact::ResponseCompleted(answer))?;
//! assert!(matches!(&actions[..], [Action::Commit(_), Action::Finish(_)]));
//! # Ok::<(), longhaul_state::turn::IllegalFact>(())
//! ```
//!
//! Around it stand the shared parts of a session: [`SessionState`] (the conversation and what is
//! known of it, for the session's life), [`TurnQueue`] with its [`ActiveTurn`] and [`TurnState`]
//! (who runs, who waits), [`TurnContext`] (what one turn is run with) and [`SessionServices`] (the
//! model and what else a session asks). Their locks are held for a field access; no guard leaves
//! this crate.
//!
//! # Out of scope
//!
//! Performing actions, running tools, sending events: that is `longhaul`.
//!
//! # Modules, in reading order
//!
//! [`protocol`] (operations, events, settings, errors), [`turn`] (the machine), `queue`,
//! `session`, `context`, `services`.

pub mod budget;
mod context;
pub mod protocol;
mod queue;
mod services;
mod session;
pub mod turn;

pub use context::{ContextMessages, TurnContext};
pub use queue::{
    ActiveTurn, Begun, Kept, MAX_WAITING, QueueError, Standing, Start, Steered, TurnQueue,
    TurnState,
};
pub use services::{DefaultReasoning, SessionServices};
pub use session::{
    AcceptedInput, Change, Changes, Edit, EditCause, Known, KnownModel, MAX_GRANTS,
    MAX_REMEMBERED_MODELS, PastCompaction, Place, SessionState, Snapshot, Surface, TurnStarts,
};
pub use turn::Turn;
