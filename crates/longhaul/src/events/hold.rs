//! Events that tell of what is not kept yet.

use std::collections::VecDeque;
use std::sync::Arc;

use longhaul_state::protocol::Event;

use super::EventBuffer;
use super::join::join;
use super::log::Course;
use super::size::bytes_of;

/// Events in their order, each until the changes that it tells of are kept.
///
/// A change is known by its number: an event waits for all changes that there were when it was sent.
/// What waits is bounded: a turn goes on when what it did is kept, so that it is what one step of it
/// says, joined; and of what no event relies on, no more than the buffer of events holds.
pub(super) struct Hold {
    waiting: VecDeque<Held>,
    /// What the waiting events take.
    bytes: usize,
    buffer: EventBuffer,
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
    pub(super) fn new(buffer: EventBuffer) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, buffer, kept: 0, is_failing: false }
    }

    /// Gives back what need not wait.
    pub(super) fn add(&mut self, mut held: Held) -> Option<Held> {
        let may_pass = match &held {
            Held::Event { .. } => self.waiting.is_empty() && self.may_be_told(&held),
            Held::End(course) => !self.waiting.iter().any(|held| held.is_of(course)),
        };
        if may_pass {
            return Some(held);
        }
        if let Held::Event { event, .. } = &mut held {
            if self.is_full() && is_expendable(event) {
                *event = Event::Missed { first: 0, last: 0 };
            }
            if self.join(&held) {
                return None;
            }
        }
        self.bytes += held.bytes();
        self.waiting.push_back(held);
        None
    }

    /// All changes up to this number are kept: gives what waited for them.
    pub(super) fn release(&mut self, kept: u64) -> Vec<Held> {
        (self.kept, self.is_failing) = (self.kept.max(kept), false);
        let is_told = |held: &&Held| held.needs() <= self.kept;
        let count = self.waiting.iter().take_while(is_told).count();
        let told: Vec<Held> = self.waiting.drain(..count).collect();
        self.bytes -= told.iter().map(Held::bytes).sum::<usize>();
        told
    }

    /// Changes could not be kept: what would acknowledge them is not told, all else is.
    pub(super) fn fail(&mut self) -> Vec<Held> {
        (self.is_failing, self.bytes) = (true, 0);
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().filter(|held| self.may_be_told(held)).collect()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    fn may_be_told(&self, held: &Held) -> bool {
        let relies = matches!(held, Held::Event { event, .. } if acknowledges(event));
        held.needs() <= self.kept || (self.is_failing && !relies)
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= self.buffer.events || self.bytes >= self.buffer.bytes
    }

    /// Has the newest that waits say what `next` says, if it can.
    fn join(&mut self, next: &Held) -> bool {
        let Some(last) = self.waiting.back_mut() else {
            return false;
        };
        let before = last.bytes();
        let is_joined = last.join(next);
        self.bytes = self.bytes - before + last.bytes();
        is_joined
    }
}

impl Held {
    /// Up to which number changes have to be kept before it is told.
    fn needs(&self) -> u64 {
        match self {
            Self::Event { needs, .. } => *needs,
            Self::End(_) => 0,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Event { event, .. } => bytes_of(event),
            Self::End(_) => size_of::<Self>(),
        }
    }

    fn is_of(&self, meant: &Arc<Course>) -> bool {
        matches!(self, Self::Event { course, .. } if Arc::ptr_eq(course, meant))
    }

    /// What can be joined tells of no change, and may come as early as what it is joined to.
    fn join(&mut self, next: &Self) -> bool {
        match (self, next) {
            (Self::Event { course, event, .. }, Self::Event { course: same, event: next, .. }) => {
                Arc::ptr_eq(course, same) && join(event, next)
            }
            _ => false,
        }
    }
}

/// Whether nobody relies on hearing it: others say the same in the end, or it is for people.
fn is_expendable(event: &Event) -> bool {
    matches!(
        event,
        Event::TextDelta(_)
            | Event::ReasoningDelta(_)
            | Event::ToolProgress { .. }
            | Event::TokenCount { .. }
            | Event::Background(_)
    )
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
