//! JSON that a log holds, by its place.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use longhaul_history::Item;

use super::Trouble;
use crate::scan::{Line, read_exact};
use crate::{Blobs, Damage, Flaw, Source, blob_digest};

const STAND_IN: &str = "\"blob:";
const DIGEST_CHARS: usize = 64;

/// How a line begins that says first when it was written, and so much more of it has the time.
const TIMESTAMP: &[u8] = b"{\"timestamp\":\"";
const TIMESTAMP_BYTES: usize = 40;

/// What texts are read from.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) blobs: &'a dyn Blobs,
}

/// An item of the conversation, before it is read.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// The log holds it.
    Stored(Text),
    /// It was made of what a log of another program says.
    Made(Item),
    /// Its line is not sound.
    Lost,
}

impl Entry {
    /// The item, unless it is lost.
    pub(super) fn read(&self, log: Log<'_>) -> Result<Option<Item>, Trouble> {
        match self {
            Self::Stored(text) => {
                let item = Item::from_json(&text.read(log)?);
                Ok(Some(item.map_err(|it| Flaw::Payload(it.to_string()))?))
            }
            Self::Made(item) => Ok(Some(item.clone())),
            Self::Lost => Ok(None),
        }
    }

    /// What tells it from all others, if it is stored.
    pub(super) fn place(&self) -> Option<u64> {
        self.text().map(Text::place)
    }

    /// Where it is stored, if it is.
    pub(super) fn text(&self) -> Option<&Text> {
        match self {
            Self::Stored(text) => Some(text),
            Self::Made(_) | Self::Lost => None,
        }
    }
}

/// A payload or a part of one, where it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// The line's number.
    line: u64,
    /// Where the line starts.
    offset: u64,
    /// Where the text starts.
    start: u64,
    bytes: u64,
    /// Where in the text blobs are named.
    blobs: Option<Arc<[usize]>>,
}

impl Text {
    /// The payload of a line.
    pub(super) fn payload(line: &Line) -> Self {
        let Range { start, end } = line.payload();
        let blobs = &line.head.blobs;
        Self {
            line: line.number,
            offset: line.offset,
            start,
            bytes: end - start,
            blobs: (!blobs.is_empty()).then(|| blobs.as_slice().into()),
        }
    }

    /// How long it is, with what is in blobs.
    pub(super) fn whole_bytes(&self, log: Log<'_>) -> Result<u64, Trouble> {
        let Some(places) = &self.blobs else { return Ok(self.bytes) };
        let text = self.read_stored(log)?;
        let mut bytes = self.bytes;
        for digest in places.iter().filter_map(|place| stand_in(&text, *place)) {
            bytes += log.blobs.byte_count(digest)?.unwrap_or_default();
        }
        Ok(bytes)
    }

    /// A part of it. `whole` is what was read of it, without its blobs.
    pub(super) fn part(&self, whole: &[u8], part: &str) -> Self {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        let range = start..start + part.len();
        let blobs = self.blobs.iter().flat_map(|blobs| blobs.iter());
        let blobs = blobs.filter(|at| range.contains(at)).map(|at| at - start);
        let blobs: Vec<usize> = blobs.collect();
        Self {
            start: self.start + start as u64,
            bytes: part.len() as u64,
            blobs: (!blobs.is_empty()).then(|| blobs.into()),
            ..*self
        }
    }

    /// Where it starts: no other starts there.
    pub(super) fn place(&self) -> u64 {
        self.start
    }

    /// The number of its line.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Where its line starts.
    pub(super) fn line_offset(&self) -> u64 {
        self.offset
    }

    /// When its line was written, if that begins by saying so.
    pub(super) fn recorded_at(&self, log: Log<'_>) -> io::Result<Option<Timestamp>> {
        let mut head = [0; TIMESTAMP.len() + TIMESTAMP_BYTES];
        // The payload need not be behind so much.
        let bytes = usize::try_from(self.start - self.offset).unwrap_or(usize::MAX);
        let bytes = bytes.min(head.len());
        let head = &mut head[..bytes];
        read_exact(log.source, self.offset, head)?;
        let time = head.strip_prefix(TIMESTAMP).and_then(|rest| rest.split(|b| *b == b'"').next());
        Ok(time.and_then(|time| str::from_utf8(time).ok()?.parse().ok()))
    }

    /// The damage of its line.
    pub(super) fn damage(&self, flaw: Flaw) -> Damage {
        Damage { line: self.line, offset: self.offset, flaw }
    }

    /// The text, what blobs hold put back.
    pub(super) fn read(&self, log: Log<'_>) -> Result<String, Trouble> {
        let text = self.read_stored(log)?;
        match &self.blobs {
            Some(places) => put_back(&text, places, log.blobs),
            None => Ok(text),
        }
    }

    /// The text as the log has it, with what stands in for blobs; `None` if nothing does.
    pub(super) fn read_without_blobs(&self, log: Log<'_>) -> Result<Option<String>, Trouble> {
        self.blobs.as_ref().map(|_| self.read_stored(log)).transpose()
    }

    fn read_stored(&self, log: Log<'_>) -> Result<String, Trouble> {
        let len = usize::try_from(self.bytes).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; len];
        read_exact(log.source, self.start, &mut bytes)?;
        Ok(String::from_utf8(bytes).map_err(|it| Flaw::Payload(it.to_string()))?)
    }
}

/// The text with the bytes of blobs in the place of what stands for them.
pub(super) fn put_back(text: &str, places: &[usize], blobs: &dyn Blobs) -> Result<String, Trouble> {
    // All pieces are there before they are joined, so that the whole is made once, and as long as it is.
    let mut pieces: Vec<Cow<'_, str>> = Vec::with_capacity(places.len() * 2 + 1);
    let mut at = 0;
    for &place in places {
        let digest = stand_in(text, place).filter(|_| at <= place);
        let Some(digest) = digest else {
            let digest = text.get(place..).unwrap_or_default().chars().take(DIGEST_CHARS).collect();
            return Err(Flaw::Blob { digest, is_there: false, place: None }.into());
        };
        pieces.push(Cow::Borrowed(&text[at..=place]));
        pieces.push(Cow::Owned(string(digest, blobs)?));
        at = place + STAND_IN.len() + DIGEST_CHARS;
    }
    pieces.push(Cow::Borrowed(&text[at..]));
    Ok(pieces.concat())
}

/// The digest that stands at this place.
fn stand_in(text: &str, place: usize) -> Option<&str> {
    let digest = text.get(place..)?.strip_prefix(STAND_IN)?;
    let (digest, rest) = digest.split_at_checked(DIGEST_CHARS)?;
    rest.starts_with('"').then_some(digest)
}

fn string(digest: &str, blobs: &dyn Blobs) -> Result<String, Trouble> {
    let place = || blobs.place(digest);
    let flaw = |is_there| Flaw::Blob { digest: digest.into(), is_there, place: place() };
    let bytes = blobs.get(digest)?.ok_or_else(|| flaw(false))?;
    if blob_digest(&bytes) != digest {
        return Err(flaw(true).into());
    }
    String::from_utf8(bytes).map_err(|_| flaw(true).into())
}
