//! The turn that has begun and not ended.

use super::TurnStart;
use super::payload::{Call, LOST_LINES};
use super::text::Text;

/// A turn that has begun.
pub(super) struct Turn {
    pub(super) id: String,
    pub(super) start: TurnStart,
    /// Its settings, with more; `None` if the line that began it is lost.
    pub(super) context: Option<Text>,
    pub(super) schema: Option<Text>,
    /// From the newest response on, so that a turn of any length takes the memory of one step.
    pub(super) calls: Vec<Text>,
    pub(super) told_at: Option<usize>,
    /// Where the line starts that began it; 0 if none is there.
    pub(super) offset: u64,
    /// Lines of it were left out, and no response followed.
    pub(super) has_lost_lines: bool,
}

impl Turn {
    pub(super) fn begin(id: String, context: Text, told_at: Option<usize>) -> Self {
        let (start, offset) = (TurnStart::Marked, context.line_offset());
        let (context, calls) = (Some(context), Vec::new());
        Self { id, start, context, schema: None, calls, told_at, offset, has_lost_lines: false }
    }

    /// The turn of a call that is of none which has begun, behind the first `len` items: no input began it,
    /// and it says its settings first, or the line that began it is lost.
    pub(super) fn unbegun(call: &Call<'_>, len: usize) -> Self {
        let says_settings = call.state == "settings";
        Self {
            id: call.turn_id.clone().into_owned(),
            start: if says_settings { TurnStart::At(len) } else { TurnStart::Unknown },
            context: None,
            schema: None,
            calls: Vec::new(),
            told_at: None,
            offset: 0,
            has_lost_lines: !says_settings,
        }
    }

    /// What is known of the calls of a response says all that is known of those before. Settings are the
    /// turn's until its end. One that cannot be read is kept: it may say that a call has started.
    pub(super) fn add_call(&mut self, call: Option<&Call<'_>>, text: Text) {
        match call.map(|call| &*call.state) {
            Some("settings") => return self.context = Some(text),
            Some("response") => {
                self.calls.clear();
                // Under which settings it ran, nobody knows.
                self.has_lost_lines = self.context.is_none();
            }
            Some(LOST_LINES) => {
                self.has_lost_lines = true;
                return;
            }
            _ => {}
        }
        self.calls.push(text);
    }
}
