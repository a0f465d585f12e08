//! What a line says of its record, apart from the payload.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::record::{Field, Fields, RecordKind, SEAL_BYTES, read_kind, syntax, take};
use crate::{Error, error::excerpt};

/// The envelope of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// 0 of a log of others, as is the epoch.
    pub(crate) ordinal: u64,
    pub(crate) epoch: u64,
    pub(crate) at: Option<usize>,
    /// The input that waited, and that the item is.
    pub(crate) input: Option<String>,
    /// Where in the payload blobs are named.
    pub(crate) blobs: Vec<usize>,
    /// `None` of a type that this version does not know, in a log of ours.
    pub(crate) kind: Option<RecordKind>,
    /// Where in the line the payload is; its end is only known with the whole line.
    pub(crate) payload: Range<usize>,
}

impl Head {
    /// Reads the beginning of a line as we write it, and does not look at the payload; `None` if it
    /// is another. The payload's end is left at its start.
    pub(super) fn fixed(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"timestamp\":\"")?;
        let rest = rest.get("YYYY-MM-DDThh:mm:ss.mmmZ".len()..)?;
        let (ordinal, rest) = number(rest.strip_prefix(b"\",\"ordinal\":")?)?;
        let (epoch, mut rest) = number(rest.strip_prefix(b",\"epoch\":")?)?;
        let mut head = Self { ordinal, epoch, ..Self::default() };
        if let Some(at) = rest.strip_prefix(b",\"at\":") {
            let (at, behind) = number(at)?;
            (head.at, rest) = (Some(usize::try_from(at).ok()?), behind);
        }
        if let Some(input) = rest.strip_prefix(b",\"input\":\"") {
            let (input, behind) = string(input)?;
            (head.input, rest) = (Some(str::from_utf8(input).ok()?.to_owned()), behind);
        }
        if let Some(blobs) = rest.strip_prefix(b",\"blobs\":[") {
            (head.blobs, rest) = numbers(blobs)?;
        }
        let (name, rest) = string(rest.strip_prefix(b",\"type\":\"")?)?;
        head.kind = RecordKind::known(name);
        let start = line.len() - rest.strip_prefix(b",\"payload\":")?.len();
        head.payload = start..start;
        Some(head)
    }

    /// The head of a sealed line of so many bytes; `None` if there is no payload.
    pub(super) fn of_sealed(mut self, line_bytes: u64) -> Option<Self> {
        self.payload.end = usize::try_from(line_bytes).ok()?.checked_sub(SEAL_BYTES)?;
        (!self.payload.is_empty()).then_some(self)
    }

    /// Reads any line that is a record, by parsing it: what it is, and where its payload is.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Error> {
        Self::outline(line).map(|(head, _)| head)
    }

    /// Reads a sound line of ours that does not begin as usual.
    pub(super) fn parse_ours(line: &[u8]) -> Result<Self, Error> {
        let (head, mut fields) = Self::outline(line)?;
        Ok(Self {
            ordinal: value(take(&mut fields, "ordinal", line)?, "ordinal")?,
            epoch: value(take(&mut fields, "epoch", line)?, "epoch")?,
            at: optional(&mut fields, "at", line)?,
            input: optional(&mut fields, "input", line)?,
            blobs: optional(&mut fields, "blobs", line)?.unwrap_or_default(),
            kind: head.kind.filter(|kind| !matches!(kind, RecordKind::Other(_))),
            ..head
        })
    }

    fn outline(line: &[u8]) -> Result<(Self, Vec<Field<'_>>), Error> {
        let Fields(mut fields) = serde_json::from_slice(line).map_err(|e| syntax(&e, line))?;
        let kind = read_kind(take(&mut fields, "type", line)?)?;
        let payload = take(&mut fields, "payload", line)?.get();
        let start = payload.as_ptr().addr() - line.as_ptr().addr();
        let payload = start..start + payload.len();
        Ok((Self { kind: Some(kind), payload, ..Self::default() }, fields))
    }
}

/// The value of a field that a line may have.
fn optional<T: DeserializeOwned>(
    fields: &mut Vec<Field<'_>>,
    field: &'static str,
    line: &[u8],
) -> Result<Option<T>, Error> {
    match take(fields, field, line) {
        Err(Error::MissingField { .. }) => Ok(None),
        found => value(found?, field).map(Some),
    }
}

fn value<T: DeserializeOwned>(json: &RawValue, field: &'static str) -> Result<T, Error> {
    let bad = |_| Error::BadNumber { field, excerpt: excerpt(json.get().as_bytes()) };
    serde_json::from_str(json.get()).map_err(bad)
}

/// The digits at the beginning, and what follows.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len).filter(|_| len > 0)?;
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some((number?, rest))
}

/// Numbers up to the bracket, and what follows it.
fn numbers(mut text: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let mut numbers = Vec::new();
    loop {
        let (value, rest) = number(text)?;
        numbers.push(usize::try_from(value).ok()?);
        match rest.split_first()? {
            (b',', rest) => text = rest,
            (b']', rest) => return Some((numbers, rest)),
            _ => return None,
        }
    }
}

/// A string without escapes up to its quote, and what follows that.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    let rest = text[len..].strip_prefix(b"\"")?;
    Some((&text[..len], rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    #[test]
    fn what_is_read_without_parsing_is_what_parsing_reads() {
        let payload = || RawValue::from_string(r#"{"type":"payload"}"#.into()).unwrap();
        let plain = Record::new(jiff::Timestamp::UNIX_EPOCH, RecordKind::Edited, payload());
        let other = Record::new(jiff::Timestamp::MAX, RecordKind::Other("x".into()), payload());
        let at = plain.clone().with_at(7);
        let both = at.clone().with_blobs(&[1, 20]);
        let input = plain.clone().with_input("msg_é").with_blobs(&[3]);
        let records = [(plain, 0), (other, u64::MAX), (at, 3), (both, 4), (input, 5)];
        for (record, ordinal) in records {
            let mut line = Vec::new();
            record.seal(ordinal, 12, &mut line);
            let line = line.trim_ascii_end();
            let head = Head::fixed(line).and_then(|it| it.of_sealed(line.len() as u64));
            assert_eq!(head, Head::parse_ours(line).ok());
            assert!(head.is_some_and(|it| &line[it.payload] == br#"{"type":"payload"}"#));
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_parser() {
        let table = [
            r#"{"timestamp":"2026-11-28T10:00:00Z","ordinal":0,"epoch":1,"type":"a","payload":0}"#,
            r#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":0,"type":"a","payload":0}"#,
            r#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":0,"epoch":1,"x":0,"type":"a","payload":0}"#,
            r#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":0,"epoch":1,"type":"\u0061","payload":0}"#,
            r#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":0,"epoch":1,"blobs":[],"type":"a","payload":0}"#,
        ];
        for line in table {
            assert_eq!(Head::fixed(line.as_bytes()), None, "{line}");
            assert!(
                Head::parse(line.as_bytes()).is_ok_and(|it| &line[it.payload] == "0"),
                "{line}"
            );
        }
    }
}
