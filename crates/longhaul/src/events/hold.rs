//! Events that tell of what is not kept yet.

use std::collections::VecDeque;
use std::sync::Arc;

use longhaul_state::protocol::Event;

use super::log::Course;

/// Events in their order, each until the changes that it tells of are kept.
///
/// A change is known by its number: an event waits for all changes that there were when it was sent.
#[derive(Default)]
pub(super) struct Hold {
    waiting: VecDeque<Held>,
    /// All changes up to this number are kept.
    kept: u64,
    /// The last attempt to keep changes failed.
    is_failing: bool,
}

/// What waits.
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub(super) enum Held {
    Event {
        /// The number of the last change before it.
        needs: u64,
        course: Arc<Course>,
        submission_id: Arc<str>,
        turn_id: Arc<str>,
        event: Event,
    },
    /// No event of the submission comes any more.
    End(Arc<Course>),
}

impl Hold {
    /// Gives back what need not wait.
    pub(super) fn add(&mut self, held: Held) -> Option<Held> {
        let may_pass = match &held {
            Held::Event { needs, event, .. } => {
                *needs <= self.kept || (self.is_failing && !acknowledges(event))
            }
            Held::End(_) => true,
        };
        if may_pass && self.waiting.is_empty() {
            return Some(held);
        }
        self.waiting.push_back(held);
        None
    }

    /// All changes up to this number are kept: gives what waited for them.
    pub(super) fn release(&mut self, kept: u64) -> Vec<Held> {
        (self.kept, self.is_failing) = (self.kept.max(kept), false);
        let is_told = |held: &Held| match held {
            Held::Event { needs, .. } => *needs <= self.kept,
            Held::End(_) => true,
        };
        let count = self.waiting.iter().take_while(|held| is_told(held)).count();
        self.waiting.drain(..count).collect()
    }

    /// Changes could not be kept: what would acknowledge them is not told, all else is.
    pub(super) fn fail(&mut self) -> Vec<Held> {
        self.is_failing = true;
        let is_told = |held: &Held| match held {
            Held::Event { needs, event, .. } => *needs <= self.kept || !acknowledges(event),
            Held::End(_) => true,
        };
        std::mem::take(&mut self.waiting).into_iter().filter(is_told).collect()
    }
}

/// Whether whoever hears the event relies on what it tells of being kept. The end of a turn that could
/// not be kept comes behind an error that says so.
fn acknowledges(event: &Event) -> bool {
    matches!(
        event,
        Event::ItemCompleted(_)
            | Event::ApprovalAnswered { .. }
            | Event::ToolCallDenied { .. }
            | Event::ToolCallEnd { .. }
            | Event::ContextCompacted(_)
            | Event::UndoCompleted { success: true, .. }
    )
}
