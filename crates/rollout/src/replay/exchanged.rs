//! What a compaction took the place of, for who wants it back.

use longhaul_history::Item;
use serde_json::value::RawValue;

use super::payload::Settings;
use super::reading::Reading;
use super::text::Entry;
use super::{ReplayItem, conversation};
use crate::ReadError;

/// The last compaction of a log.
///
/// It can be taken back where the conversation still begins with the items in `after`: those in `before`
/// take their place. The log itself does not compare; who writes the record `compaction_undone` does.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Exchanged {
    /// The conversation before it.
    pub before: Vec<ReplayItem>,
    /// The conversation right after it.
    pub after: Vec<Item>,
    /// Which settings the model was told before it, each from which item on.
    pub told_before: Vec<(usize, Box<RawValue>)>,
    /// The same right after it.
    pub told_after: Vec<(usize, Box<RawValue>)>,
    /// The `report` of its record.
    pub report: Option<Box<RawValue>>,
}

impl Reading<'_> {
    pub(super) fn read_exchanged(
        &mut self,
        exchanged: conversation::Exchanged<Entry, Settings>,
    ) -> Result<Exchanged, ReadError> {
        let (told_before, told_after) = exchanged.told;
        let before =
            self.read_conversation(exchanged.before, false, told_before, &mut |_, _| {})?;
        let after = self.read_conversation(exchanged.after, false, told_after, &mut |_, _| {})?;
        let report = self.fold.report.take();
        Ok(Exchanged {
            before: before.items,
            after: after.items.into_iter().map(|it| it.item).collect(),
            told_before: before.told,
            told_after: after.told,
            report: report.map_or(Ok(None), |text| self.read_json(&text))?,
        })
    }
}
