//! What goes in and out of a session: operations, settings, events, errors.

mod approval;
mod config;
mod error;
mod event;
mod op;
mod review;
mod settings;
#[cfg(test)]
mod tests;

pub use approval::{ApprovalDecision, CallDigest, GrantScope, PendingApproval};
pub use config::{CommandTool, Config, FsyncPolicy, ProviderConfig, TimeoutsMs};
pub use error::TurnError;
pub use event::{AbortReason, Event, TurnEnd, TurnResult};
pub use op::{InputPart, Op, UserTurn};
pub use review::{CodeLocation, LineRange, ReviewFinding, ReviewOutput};
pub use settings::{ApprovalPolicy, Settings, SettingsUpdate};
