//! Lines of our own logs: numbered, and with a checksum.

use super::{Record, push};
use crate::error::{Error, excerpt};

const CRC: &[u8] = b",\"crc\":\"";
/// Behind the eight digits.
const END: &[u8] = b"\"}";
/// So many bytes follow what the checksum covers.
pub(crate) const SEAL_BYTES: usize = CRC.len() + 8 + END.len();

/// Fields that sealing writes.
const OWN: [&str; 3] = ["ordinal", "epoch", "crc"];

/// One line of a log of ours: a record, and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The record, without the fields of its place.
    pub record: Record,
    /// The record's number in its log, from 0; each line has the next.
    pub ordinal: u64,
    /// How often the log had been opened for writing, this time included: from 1.
    pub epoch: u64,
}

impl Record {
    /// Appends the record to `log` as one line of ours, with its newline:
    /// `{"timestamp":…,"ordinal":…,"epoch":…,` unknown fields, `"type":…,"payload":…,"crc":"…"}`.
    ///
    /// The checksum is the CRC-32 (IEEE) of the bytes before `,"crc"`, in eight lower-case
    /// hexadecimal digits. Unknown fields called `ordinal`, `epoch` or `crc` are left out: they were
    /// another log's.
    ///
    /// ```
    /// use longhaul_rollout::{Record, RecordKind, Sealed};
    ///
    /// let at = "2026-11-22T09:30:47.046Z".parse().unwrap();
    /// let payload = serde_json::value::to_raw_value("hi").unwrap();
    /// let record = Record::new(at, RecordKind::EventMsg, payload);
    ///
    /// let mut line = Vec::new();
    /// record.seal(7, 1, &mut line);
    /// let start = br#"{"timestamp":"2026-11-22T09:30:47.046Z","ordinal":7,"epoch":1,"type":"event_msg","#;
    /// assert!(line.starts_with(start) && line.ends_with(b"\"}\n"));
    /// assert_eq!(Record::open(&line), Ok(Sealed { record, ordinal: 7, epoch: 1 }));
    /// ```
    pub fn seal(&self, ordinal: u64, epoch: u64, log: &mut Vec<u8>) {
        let start = log.len();
        self.push_timestamp(log);
        push(log, &format!(",\"ordinal\":{ordinal},\"epoch\":{epoch}"));
        self.push_fields(|name| !OWN.contains(&name), log);
        let crc = checksum(&log[start..]);
        push(log, &format!(",\"crc\":\"{crc:08x}\"}}\n"));
    }

    /// Reads one line that was sealed, with or without its newline.
    ///
    /// # Errors
    ///
    /// [`Error::NotSealed`] and [`Error::BadChecksum`] if it is not what was written;
    /// [`Error::BadNumber`], and what [`decode`](Self::decode) finds, if its writer made a mistake.
    pub fn open(line: &[u8]) -> Result<Sealed, Error> {
        let line = without_line_end(line);
        let (covered, stated) =
            unsealed(line).ok_or_else(|| Error::NotSealed { excerpt: excerpt(line) })?;
        let computed = checksum(covered);
        if stated != computed {
            return Err(Error::BadChecksum { stated, computed });
        }
        let mut record = Self::decode(line)?;
        let ordinal = record.take_number("ordinal", line)?;
        let epoch = record.take_number("epoch", line)?;
        record.extra.pop_if(|(name, _)| name == "crc");
        Ok(Sealed { record, ordinal, epoch })
    }

    fn take_number(&mut self, field: &'static str, line: &[u8]) -> Result<u64, Error> {
        let mut found = self.extra.extract_if(.., |(name, _)| name == field);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => serde_json::from_str(value.get())
                .map_err(|_| Error::BadNumber { field, excerpt: excerpt(value.get().as_bytes()) }),
            (None, _) => Err(Error::MissingField { field, excerpt: excerpt(line) }),
            _ => Err(Error::RepeatedField { field, excerpt: excerpt(line) }),
        }
    }
}

/// The line without its newline, and a carriage return before it.
pub(crate) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What the checksum of a sealed line covers, and the checksum that the line states; `None` if the
/// line does not end as a sealed one does.
pub(crate) fn unsealed(line: &[u8]) -> Option<(&[u8], u32)> {
    let (covered, seal) = line.split_at_checked(line.len().checked_sub(SEAL_BYTES)?)?;
    let digits = seal.strip_prefix(CRC)?.strip_suffix(END)?;
    Some((covered, hexadecimal(digits)?))
}

/// The number that eight digits say. Each digit is looked up and none is judged on its own: which kind
/// it is cannot be foreseen, and to guess wrong takes longer than to sum up the line.
fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let values = digits.iter().map(|digit| VALUES[usize::from(*digit)]);
    let (number, seen) = values
        .fold((0, 0), |(number, seen), value| (number << 4 | u32::from(value & 15), seen | value));
    (seen < 16).then_some(number)
}

/// What each byte is worth as a digit in lower case; 16 if it is none.
const VALUES: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// CRC-32 (IEEE).
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
