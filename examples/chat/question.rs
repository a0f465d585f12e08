//! The question whether a call may run, and the keys that answer it.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use longhaul::approval::{ApprovalDecision, CallDigest};
use longhaul::transcript::{Activity, CellKind, ToolState, Transcript};

/// The keys that answer, as the screen tells them.
pub(crate) const KEYS: &str = "F2 yes · F3 yes for this session · F4 no";

/// The call that the screen asks about: the oldest that waits.
pub(crate) struct Question<'a> {
    /// The id of its cell.
    pub(crate) cell: u64,
    pub(crate) call_id: &'a str,
    /// What is shown is what an answer is for, also where call ids repeat.
    pub(crate) digest: CallDigest,
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a str,
}

impl<'a> Question<'a> {
    pub(crate) fn of(transcript: &'a Transcript) -> Option<Self> {
        let Activity::Approval { cell } = transcript.activity() else {
            return None;
        };
        let cell = transcript.cells().get(cell)?;
        match &cell.kind {
            CellKind::Tool { call_id, name, arguments, state: ToolState::Waiting { digest } } => {
                Some(Self { cell: cell.id, call_id, digest: *digest, name, arguments })
            }
            _ => None,
        }
    }
}

/// What a key says to a question. Keys that write or edit nothing, so that nobody answers by typing;
/// not with Alt, which is Esc and a letter on the way through a terminal; not F1, which terminals keep
/// for their help. One that is held down answers once, where the terminal tells.
pub(crate) fn answer(key: KeyEvent) -> Option<ApprovalDecision> {
    if key.kind != KeyEventKind::Press || !key.modifiers.is_empty() {
        return None;
    }
    match key.code {
        KeyCode::F(2) => Some(ApprovalDecision::Approved),
        KeyCode::F(3) => Some(ApprovalDecision::ApprovedForSession),
        KeyCode::F(4) => Some(ApprovalDecision::Denied { reason: None }),
        _ => None,
    }
}
