//! One record and its line.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Error, excerpt};

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

/// What a record's payload is: the `type` of the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// `session_meta`: which session this is; the first record of a log.
    SessionMeta,
    /// `response_item`: an item of the conversation.
    ResponseItem,
    /// `compacted`: what took the place of the conversation so far.
    Compacted,
    /// `turn_context`: the settings of a turn.
    TurnContext,
    /// `event_msg`: an event that clients were sent.
    EventMsg,
    /// Any other type, by its name. The name of a known type is not an other type: it is written
    /// as given and read back as the known one.
    Other(String),
}

impl RecordKind {
    /// The name of the type in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::SessionMeta => "session_meta",
            Self::ResponseItem => "response_item",
            Self::Compacted => "compacted",
            Self::TurnContext => "turn_context",
            Self::EventMsg => "event_msg",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for RecordKind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "session_meta" => Self::SessionMeta,
            "response_item" => Self::ResponseItem,
            "compacted" => Self::Compacted,
            "turn_context" => Self::TurnContext,
            "event_msg" => Self::EventMsg,
            _ => Self::Other(name),
        }
    }
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

    /// Appends the record to `log` as exactly one line, with its newline.
    ///
    /// The line is the timestamp in UTC with milliseconds, then unknown fields, `type` and
    /// `payload`. Line breaks in a payload or unknown field, which JSON allows between tokens only,
    /// are left out.
    pub fn encode(&self, log: &mut Vec<u8>) {
        push(log, &format!("{{\"timestamp\":\"{:.3}\",", self.timestamp));
        for (name, value) in self.extra() {
            push(log, &format!("{}:", json_string(name)));
            push_one_line(log, value);
            push(log, ",");
        }
        push(log, &format!("\"type\":{},\"payload\":", json_string(self.kind.as_str())));
        push_one_line(log, &self.payload);
        push(log, "}\n");
    }

    /// Reads one line, with or without its newline.
    ///
    /// The order of the fields does not matter, the timestamp may have any offset and precision,
    /// and unknown fields and types are kept.
    ///
    /// # Errors
    ///
    /// Every variant of [`Error`] but [`Error::BadSessionId`], whichever is found first.
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
    for piece in json.get().as_bytes().split(|b| matches!(b, b'\n' | b'\r')) {
        log.extend_from_slice(piece);
    }
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The parser's own message may quote the line without bound, so only its position is kept.
fn syntax(error: &serde_json::Error, line: &[u8]) -> Error {
    match error.classify() {
        Category::Data => Error::NotAnObject { excerpt: excerpt(line) },
        _ => Error::NotJson { column: error.column(), excerpt: excerpt(line) },
    }
}

type Field<'a> = (String, &'a RawValue);

/// Takes the one field called `field` out of `fields`.
fn take<'a>(
    fields: &mut Vec<Field<'a>>,
    field: &'static str,
    line: &[u8],
) -> Result<&'a RawValue, Error> {
    let mut found = fields.extract_if(.., |(name, _)| name == field);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        (None, _) => Err(Error::MissingField { field, excerpt: excerpt(line) }),
        _ => Err(Error::RepeatedField { field, excerpt: excerpt(line) }),
    }
}

fn read_kind(value: &RawValue) -> Result<RecordKind, Error> {
    serde_json::from_str::<String>(value.get())
        .map(RecordKind::from)
        .map_err(|_| Error::BadType { excerpt: excerpt(value.get().as_bytes()) })
}

fn read_timestamp(value: &RawValue) -> Result<Timestamp, Error> {
    serde_json::from_str::<String>(value.get())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::BadTimestamp { excerpt: excerpt(value.get().as_bytes()) })
}

/// The fields of an object in their order, values untouched.
struct Fields<'a>(Vec<Field<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Vec<Field<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(4);
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}
