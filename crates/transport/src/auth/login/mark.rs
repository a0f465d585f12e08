//! What became of a refresh token, as the lock file remembers it.
//!
//! A refresh token may be good for one use only, and a process may die between its use and the
//! storing of what it gave. So before a token is sent, that is noted in the lock file, by the
//! token's SHA-256. The record has a fixed length: once it is there, changing it needs no space.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::Secret;

/// How often a refresh token is sent whose answer does not arrive.
pub(super) const MAX_SENDS: u8 = 2;

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// A note about one refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    token: String,
    pub(super) fate: Fate,
}

/// What is known of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Sent this often without an answer that was understood.
    Sent(u8),
    /// It was exchanged for others.
    Spent,
    /// The server will never take it.
    Refused,
}

impl Mark {
    pub(super) fn new(token: &Secret, fate: Fate) -> Self {
        Self { token: fingerprint(token), fate }
    }

    /// The record: digits, a space, one character, a line feed.
    pub(super) fn record(&self) -> String {
        let fate = match self.fate {
            Fate::Sent(times) => char::from(b'0' + times.min(9)),
            Fate::Spent => 's',
            Fate::Refused => 'r',
        };
        format!("{} {fate}\n", self.token)
    }

    /// Reads a record; `None` if there is none that is understood.
    pub(super) fn read(record: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(record).ok()?;
        let (token, fate) = text.strip_suffix('\n')?.split_once(' ')?;
        let fate = match fate.as_bytes() {
            b"s" => Fate::Spent,
            b"r" => Fate::Refused,
            [digit @ b'0'..=b'9'] => Fate::Sent(digit - b'0'),
            _ => return None,
        };
        (token.len() == DIGITS).then(|| Self { token: token.into(), fate })
    }

    /// What `mark` says of `token`; a token that it is not about was never sent.
    pub(super) fn fate_of(mark: Option<&Self>, token: &Secret) -> Fate {
        let about = mark.filter(|mark| mark.token == fingerprint(token));
        about.map_or(Fate::Sent(0), |mark| mark.fate)
    }
}

fn fingerprint(token: &Secret) -> String {
    let mut digits = String::with_capacity(DIGITS);
    for byte in Sha256::digest(token.expose()) {
        // Writing to memory cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_has_one_length() {
        let token = Secret::new("refresh-canary");
        let fates = [Fate::Sent(0), Fate::Sent(1), Fate::Sent(2), Fate::Spent, Fate::Refused];
        for fate in fates {
            let mark = Mark::new(&token, fate);
            assert_eq!(mark.record().len(), DIGITS + 3);
            assert!(!mark.record().contains("canary"));
            assert_eq!(Mark::read(mark.record().as_bytes()), Some(mark.clone()));
            assert_eq!(Mark::fate_of(Some(&mark), &token), fate);
            assert_eq!(Mark::fate_of(Some(&mark), &Secret::new("another")), Fate::Sent(0));
        }
    }

    #[test]
    fn what_is_no_record_is_no_mark() {
        let whole = Mark::new(&Secret::new("t"), Fate::Spent).record();
        for end in 0..whole.len() {
            assert_eq!(Mark::read(&whole.as_bytes()[..end]), None, "{end}");
        }
        for bad in [&b"\xff\n"[..], b" s\n", b"00 s\n", b"{}"] {
            assert_eq!(Mark::read(bad), None);
        }
    }
}
