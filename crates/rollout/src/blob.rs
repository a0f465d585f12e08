//! Large strings of a payload, moved out of it and replaced by stand-ins.
//!
//! An image or a long output is stored once by the hash of its bytes, however often the log says
//! it. What moves is the raw text between the quotes of a string literal, escapes and all, so that
//! what is put back is byte for byte what was taken.

use memchr::{memchr, memchr2};
use serde_json::value::RawValue;

use crate::{Record, blob_digest};

/// What a stand-in begins with, behind its quote.
const SCHEME: &str = "blob:";

/// The record with its long strings replaced; each goes to `store` by its name before. Names of
/// fields stay, so that fields are known by them without a blob.
///
/// `None` if it has none: then it is to be written as it is.
///
/// # Errors
///
/// What `store` returns, at once.
pub(crate) fn move_out<E>(
    record: &Record,
    threshold: usize,
    mut store: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<Option<Record>, E> {
    let payload = record.payload.get();
    if payload.len() < threshold {
        return Ok(None);
    }
    // A line of the log holds no line breaks, so offsets are counted without them.
    let payload = payload.replace(['\n', '\r'], "");
    let mut parts = Parts::default();
    let mut taken = 0;
    let is_long = |&(start, end): &(usize, usize)| end - start >= threshold;
    for (start, end) in strings(&payload).filter(|it| is_long(it) && !is_name(&payload, it.1)) {
        let raw = &payload[start..end];
        let name = blob_digest(raw.as_bytes());
        store(&name, raw.as_bytes())?;
        parts.text.push_str(&payload[taken..start]);
        parts.offsets.push(parts.text.len() - 1);
        parts.text.push_str(SCHEME);
        parts.text.push_str(&name);
        taken = end;
    }
    parts.text.push_str(&payload[taken..]);
    Ok(parts.replace_in(record))
}

/// The text that is written, and where stand-ins are in it.
#[derive(Default)]
struct Parts {
    text: String,
    offsets: Vec<usize>,
}

impl Parts {
    fn replace_in(self, record: &Record) -> Option<Record> {
        // A stand-in is a string as what it replaced was, so this is JSON as before.
        let payload = RawValue::from_string(self.text).ok()?;
        let mut moved = record.clone();
        moved.payload = payload;
        (!self.offsets.is_empty()).then(|| moved.with_blobs(&self.offsets))
    }
}

/// Where the raw text of each string literal of a JSON text starts and ends, between its quotes.
fn strings(json: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + memchr(b'"', bytes.get(at..)?)? + 1;
        let end = start + raw_len(bytes.get(start..)?)?;
        at = end + 1;
        Some((start, end))
    })
}

/// Whether the string that ends with this quote names a field.
fn is_name(json: &str, quote: usize) -> bool {
    json[quote + 1..].trim_ascii_start().starts_with(':')
}

/// How many bytes stand before the quote that ends a string; an escaped quote does not.
fn raw_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = memchr2(b'"', b'\\', bytes.get(at..)?)?;
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}
