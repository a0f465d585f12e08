//! What records say of an input that no turn has taken.

use std::borrow::Cow;
use std::sync::Arc;

use longhaul_history::Item;
use longhaul_state::AcceptedInput;
use longhaul_state::protocol::SettingsUpdate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::is_default;

/// Of an `input` that was accepted.
#[derive(Serialize, Deserialize)]
pub(in crate::log) struct Input<'a> {
    id: Cow<'a, str>,
    state: Cow<'a, str>,
    submission_id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_default")]
    settings: SettingsUpdate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_schema: Option<Cow<'a, Value>>,
    #[serde(borrow)]
    item: Cow<'a, RawValue>,
}

impl<'a> Input<'a> {
    pub(in crate::log) fn of(input: &'a AcceptedInput) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: Cow::Borrowed(&input.id),
            state: Cow::Borrowed("accepted"),
            submission_id: Cow::Borrowed(&input.submission_id),
            settings: input.settings.clone(),
            output_schema: input.output_schema.as_deref().map(Cow::Borrowed),
            item: Cow::Owned(RawValue::from_string(input.item.json().to_owned())?),
        })
    }

    /// `None` if it holds no item.
    pub(in crate::log) fn into_accepted(self) -> Option<AcceptedInput> {
        let item = Item::from_json(self.item.get()).ok()?;
        let mut input = AcceptedInput::new(&*self.id, &*self.submission_id, item);
        input.settings = self.settings;
        input.output_schema = self.output_schema.map(|schema| Arc::new(schema.into_owned()));
        Some(input)
    }
}

/// Of an `input` that waits no more.
#[derive(Serialize)]
pub(in crate::log) struct GoneInput<'a> {
    pub(in crate::log) id: &'a str,
    pub(in crate::log) state: &'static str,
}
