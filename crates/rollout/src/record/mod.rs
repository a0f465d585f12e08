//! One record and its line.

mod fields;
mod kind;
mod seal;

use jiff::Timestamp;
use memchr::memchr2;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{Error, excerpt};
use fields::read_timestamp;

pub use kind::RecordKind;
pub use seal::Sealed;

pub(crate) use fields::{Field, Fields, read_kind, take};
pub(crate) use seal::{SEAL_BYTES, unsealed};

/// One entry of a session log.
#[derive(Debug, Clone)]
pub struct Record {
    /// When the record was made. The log holds milliseconds; what is finer is dropped there.
    pub timestamp: Timestamp,
    /// What the payload is.
    pub kind: RecordKind,
    /// The payload, opaque. Its bytes are kept, line breaks between its tokens apart.
    pub payload: Box<RawValue>,
    /// Fields of the envelope that this version does not know.
    extra: Vec<(String, Box<RawValue>)>,
}

impl Record {
    /// A record without unknown fields.
    pub fn new(timestamp: Timestamp, kind: RecordKind, payload: Box<RawValue>) -> Self {
        Self { timestamp, kind, payload, extra: Vec::new() }
    }

    /// Fields of the envelope that this version does not know, in the order of the line. They are
    /// written again by [`encode`](Self::encode).
    pub fn extra(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.extra.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Where in the conversation the item is inserted; `None` if it is appended. The field `at`.
    pub fn at(&self) -> Option<usize> {
        self.field("at")
    }

    /// The record of an item that is inserted at `index`.
    #[must_use]
    pub fn with_at(self, index: usize) -> Self {
        self.with_field("at", &index)
    }

    /// The id of the input that waited, and that the item is. The field `input`.
    pub fn input(&self) -> Option<String> {
        self.field("input")
    }

    /// The record of an item that is in the log already, since it was accepted as the input with this
    /// id: that waits no more. The payload is an empty object.
    #[must_use]
    pub fn with_input(self, id: &str) -> Self {
        self.with_field("input", &id)
    }

    /// Where in the payload stand-ins for blobs begin, each at its opening quote,
    /// in bytes. The field `blobs`; empty if there is none.
    pub fn blobs(&self) -> Vec<usize> {
        self.field("blobs").unwrap_or_default()
    }

    /// The record of a payload in which strings stand for blobs, at these places.
    #[must_use]
    pub fn with_blobs(self, offsets: &[usize]) -> Self {
        self.with_field("blobs", &offsets)
    }

    fn field<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        let (_, value) = self.extra().find(|(name, _)| *name == field)?;
        serde_json::from_str(value.get()).ok()
    }

    fn with_field(mut self, field: &str, value: &impl Serialize) -> Self {
        self.extra.retain(|(name, _)| name != field);
        // Texts, numbers and lists of them always serialise.
        self.extra.extend(to_raw_value(value).ok().map(|value| (field.to_owned(), value)));
        self
    }

    /// Appends the record to `log` as exactly one line, with its newline: a line of another
    /// program's log, without ordinal and checksum. [`seal`](Self::seal) writes ours.
    ///
    /// The line is the timestamp in UTC with milliseconds, then unknown fields, `type` and
    /// `payload`. Line breaks in a payload or unknown field, which JSON allows between tokens only,
    /// are left out.
    pub fn encode(&self, log: &mut Vec<u8>) {
        self.push_timestamp(log);
        self.push_fields(|_| true, log);
        push(log, "}\n");
    }

    fn push_timestamp(&self, log: &mut Vec<u8>) {
        push(log, &format!("{{\"timestamp\":\"{:.3}\"", self.timestamp));
    }

    /// Appends unknown fields that `is_kept`, the type and the payload.
    fn push_fields(&self, is_kept: impl Fn(&str) -> bool, log: &mut Vec<u8>) {
        for (name, value) in self.extra().filter(|(name, _)| is_kept(name)) {
            push(log, &format!(",{}:", json_string(name)));
            push_one_line(log, value);
        }
        push(log, &format!(",\"type\":{},\"payload\":", json_string(self.kind.as_str())));
        push_one_line(log, &self.payload);
    }

    /// Reads one line, with or without its newline.
    ///
    /// The order of the fields does not matter, the timestamp may have any offset and precision,
    /// and unknown fields and types are kept.
    ///
    /// # Errors
    ///
    /// What is wrong with the text or one of the three fields, whichever is found first.
    ///
    /// ```
    /// use longhaul_rollout::{Error, Record, RecordKind};
    ///
    /// let line = br#"{"timestamp":"2026-11-22T09:30:47.046Z","seq":7,"type":"note","payload":{"a": 1}}"#;
    /// let record = Record::decode(line)?;
    /// assert_eq!(record.kind, RecordKind::Other("note".into()));
    /// assert_eq!(record.payload.get(), r#"{"a": 1}"#);
    ///
    /// let mut log = Vec::new();
    /// record.encode(&mut log);
    /// assert_eq!(log.trim_ascii_end(), line);
    ///
    /// let missing = Record::decode(br#"{"type":"note","payload":{}}"#);
    /// assert!(matches!(missing, Err(Error::MissingField { field: "timestamp", .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn decode(line: &[u8]) -> Result<Self, Error> {
        let Fields(mut fields) = serde_json::from_slice(line).map_err(|e| syntax(&e, line))?;
        let timestamp = read_timestamp(take(&mut fields, "timestamp", line)?)?;
        let kind = read_kind(take(&mut fields, "type", line)?)?;
        let payload = take(&mut fields, "payload", line)?.to_owned();
        let extra = fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Ok(Self { timestamp, kind, payload, extra })
    }

    fn extra_text(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extra().map(|(name, value)| (name, value.get()))
    }
}

/// Records are equal if their parts are, payloads by their text.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.timestamp == other.timestamp
            && self.kind == other.kind
            && self.payload.get() == other.payload.get()
            && self.extra_text().eq(other.extra_text())
    }
}

fn push(log: &mut Vec<u8>, text: &str) {
    log.extend_from_slice(text.as_bytes());
}

/// Appends valid JSON without its line breaks, which are white space: inside a string they would
/// be escaped.
fn push_one_line(log: &mut Vec<u8>, json: &RawValue) {
    let mut rest = json.get().as_bytes();
    while let Some(at) = memchr2(b'\n', b'\r', rest) {
        log.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
    }
    log.extend_from_slice(rest);
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The parser's own message may quote the line without bound, so only its position is kept.
pub(crate) fn syntax(error: &serde_json::Error, line: &[u8]) -> Error {
    match error.classify() {
        Category::Data => Error::NotAnObject { excerpt: excerpt(line) },
        _ => Error::NotJson { column: error.column(), excerpt: excerpt(line) },
    }
}
