//! What begins with a slash.

use longhaul::prelude::*;

pub(crate) const HELP: &str = "/compact  make the conversation shorter now
/undo     put the files back as they were before the last turn
/review … have something reviewed by a model that has not seen the conversation
/quit     leave (or Ctrl-C)
Esc interrupts; when nothing runs it goes back to earlier messages: choose with the arrows, Enter \
forks before that message and lets you say it differently.
A call that asks: F2 yes, F3 yes for this session (the same call, that is), F4 no.";

/// What came of a command.
pub(crate) enum Done {
    /// It begins a turn.
    Turn(longhaul::TurnHandle),
    /// Something to say.
    Say(String),
    /// The end.
    Quit,
}

/// Performs a command.
pub(crate) fn perform(session: &Session, line: &str) -> Result<Done, TurnError> {
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    match name {
        "/compact" => session.compact().map(Done::Turn),
        "/undo" => session.undo().map(Done::Turn),
        "/review" => session.review(rest).map(Done::Turn),
        "/quit" => Ok(Done::Quit),
        "/help" => Ok(Done::Say(HELP.into())),
        _ => Ok(Done::Say(format!("`{name}` is no command; `/help` tells which there are"))),
    }
}
