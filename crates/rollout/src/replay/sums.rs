//! What a session has used and what it knows of models, as its records say it together.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::payload::read;
use super::reading::Reading;
use super::text::Text;
use crate::{Flaw, ReadError};

const MODELS: &str = "models";
const MEASURED: &str = "measured";

/// Of each field of `token_count`, and of each model by its name, what the newest record says that has it.
#[derive(Default)]
pub(super) struct Sums {
    fields: BTreeMap<String, Text>,
    models: BTreeMap<String, Text>,
}

impl Sums {
    /// Adds what one more record says.
    pub(super) fn add(&mut self, text: &Text, payload: &[u8]) -> Result<(), Flaw> {
        let fields: BTreeMap<String, &RawValue> = read(payload)?;
        for (name, json) in fields {
            match serde_json::from_str::<BTreeMap<String, &RawValue>>(json.get()) {
                Ok(models) if name == MODELS => {
                    let place = |it: &RawValue| text.part(payload, it.get());
                    self.models.extend(models.into_iter().map(|(slug, it)| (slug, place(it))));
                }
                _ => drop(self.fields.insert(name, text.part(payload, json.get()))),
            }
        }
        Ok(())
    }
}

impl Sums {
    /// The conversation is another one: what was measured of it says nothing any more.
    pub(super) fn forget_measured(&mut self) {
        self.fields.remove(MEASURED);
    }
}

impl Reading<'_> {
    /// One payload that says what all say; `None` if there is none.
    pub(super) fn read_sums(&mut self) -> Result<Option<Box<RawValue>>, ReadError> {
        let Sums { fields, models } = std::mem::take(&mut self.fold.sums);
        if fields.is_empty() {
            return Ok(None);
        }
        let mut sums = self.read_each(fields)?;
        let models = self.read_each(models)?;
        if !models.is_empty() {
            sums.insert(MODELS.into(), to_raw_value(&models).map_err(std::io::Error::from)?);
        }
        Ok(Some(to_raw_value(&sums).map_err(std::io::Error::from)?))
    }

    fn read_each(
        &mut self,
        texts: BTreeMap<String, Text>,
    ) -> Result<BTreeMap<String, Box<RawValue>>, ReadError> {
        let mut read = BTreeMap::new();
        for (name, text) in texts {
            read.extend(self.read_json(&text)?.map(|json| (name, json)));
        }
        Ok(read)
    }
}
