//! Keys that are there twice in one object: two readers would read two things.

use std::collections::HashSet;
use std::fmt::{self, Write};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The path of the first key that its object has already, such as `tools[0].name`. Of what is no
/// JSON, only the part before the fault is looked at.
pub(crate) fn repeated_key(json: &[u8]) -> Option<String> {
    let mut path = String::new();
    let mut found = None;
    let walk = Walk { path: &mut path, found: &mut found };
    // Whoever reads the text for what it says reports its faults.
    let _ = walk.deserialize(&mut serde_json::Deserializer::from_slice(json));
    found
}

/// Reads a value at `path`.
struct Walk<'a> {
    path: &'a mut String,
    found: &'a mut Option<String>,
}

impl Walk<'_> {
    fn inner(&mut self) -> Walk<'_> {
        Walk { path: self.path, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        let outer = self.path.len();
        while let Some(key) = map.next_key::<String>()? {
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if !keys.insert(key) && self.found.is_none() {
                *self.found = Some(self.path.clone());
            }
            map.next_value_seed(self.inner())?;
            self.path.truncate(outer);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let outer = self.path.len();
        for index in 0_usize.. {
            // Writing to a string cannot fail.
            let _ = write!(self.path, "[{index}]");
            let element = list.next_element_seed(self.inner())?;
            self.path.truncate(outer);
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_that_is_there_twice_is_found_by_its_path() {
        let table = [
            ("{}", None),
            ("no json", None),
            (r#"{"a":1,"b":[true,null,-1,1.5,"a",{"a":{}}],"c":{"a":1}}"#, None),
            (r#"{"a":1,"a":1}"#, Some("a")),
            (r#"{"a":1,"\u0061":1}"#, Some("a")),
            (r#"{"a":{"b":1,"c":2,"b":3},"a":1}"#, Some("a.b")),
            (r#"{"t":[{},{"x":{"y":1,"y":2}}]}"#, Some("t[1].x.y")),
            (r#"[{"a":1,"a":2}]"#, Some("[0].a")),
            (r#"{"a":1,"a":"#, Some("a")),
        ];
        for (json, expected) in table {
            assert_eq!(repeated_key(json.as_bytes()).as_deref(), expected, "{json}");
        }
    }
}
