//! What a conversation is composed of.

#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::EditError;
use crate::Item;

/// A piece of a conversation that is made of another. In JSON `{"keep":[start,end]}` or
/// `{"new":item}`, so that a log need not repeat what stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The items at these indexes of the conversation as it was. They are shared.
    Keep(#[serde(with = "bounds")] Range<usize>),
    /// An item that was not there before.
    New(Item),
}

impl From<Item> for Part {
    fn from(item: Item) -> Self {
        Self::New(item)
    }
}

/// Whether what the parts keep lies within the first `count` items, in increasing order.
pub(super) fn check(parts: &[Part], count: usize) -> Result<(), EditError> {
    let mut at = 0;
    for part in parts {
        if let Part::Keep(Range { start, end }) = *part {
            if start < at || end < start || count < end {
                return Err(EditError::NotInOrder { start, end, count });
            }
            at = end;
        }
    }
    Ok(())
}

/// A range as a list of two numbers.
mod bounds {
    use super::{Deserialize, Range, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        range: &Range<usize>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (range.start, range.end).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Range<usize>, D::Error> {
        <(usize, usize)>::deserialize(deserializer).map(|(start, end)| start..end)
    }
}
