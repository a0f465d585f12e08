//! What a session has used and what it knows of models, as its records say it together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
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
        for (name, json) in read::<Fields<'_>>(payload)?.0 {
            let models = if name == MODELS { serde_json::from_str(json.get()).ok() } else { None };
            match models {
                Some(Fields(models)) => {
                    for (slug, it) in models {
                        put(&mut self.models, &slug, text.part(payload, it.get()));
                    }
                }
                None => put(&mut self.fields, &name, text.part(payload, json.get())),
            }
        }
        Ok(())
    }
}

/// There is a record of each response, and mostly of the same fields.
fn put(texts: &mut BTreeMap<String, Text>, name: &str, text: Text) {
    match texts.get_mut(name) {
        Some(place) => *place = text,
        None => drop(texts.insert(name.to_owned(), text)),
    }
}

/// The fields of an object, as they stand there.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), json)) = map.next_entry()? {
                    fields.push((name, json));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
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
