//! What each byte of a text adds to its tokens.
//!
//! `o200k_base` first cuts a text into pieces by a pattern (a word with the space before it, up to
//! three digits, a run of marks, a run of blanks), then looks pieces up in its vocabulary: a frequent
//! piece is one token, a rare one several. So a byte's weight depends on its class, the class before
//! it, and the length of the run that it ends or continues. Weights are thousandths of a token. They
//! were fitted by least squares of the relative error, drawn towards what the pattern says, on 3.4
//! MB of documentation, encyclopedia and law in 25 languages, code in seven, JSON, logs, hex and
//! base64.
//!
//! Base64 and hex need no rule of their own: only there are runs of one or two letters followed by a
//! capital or a digit common.

/// Classes of bytes. A character of several bytes has the class of its first.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Space,
    /// Line ends and tabs.
    Newline,
    Lower,
    Upper,
    Digit,
    /// Marks inside of names and paths.
    Joiner,
    /// All other ASCII.
    Mark,
    /// Latin letters with diacritics.
    Latin,
    Cyrillic,
    /// Greek, Armenian, Hebrew.
    Greek,
    /// Arabic and its neighbours.
    Arabic,
    /// The scripts of India, Thai, Georgian and others of three bytes.
    Indic,
    /// Kana and the marks of Chinese and Japanese.
    Kana,
    Han,
    Hangul,
    /// Typographic marks, arrows, wide forms, emoji.
    Symbol,
}

use Class::{
    Arabic, Cyrillic, Digit, Greek, Han, Hangul, Indic, Joiner, Kana, Latin, Lower, Mark, Newline,
    Space, Symbol, Upper,
};

const CLASSES: [Class; 16] = [
    Space, Newline, Lower, Upper, Digit, Joiner, Mark, Latin, Cyrillic, Greek, Arabic, Indic, Kana,
    Han, Hangul, Symbol,
];

/// A class as it stands in [`CLASS_OF`], and in an index into [`WEIGHT`].
const SHIFT: u32 = 7;

/// In place of a class: the byte continues a character, and weighs nothing.
pub(super) const CONTINUES: u16 = 16 << SHIFT;

/// In place of a class: the byte begins an escape of JSON.
pub(super) const ESCAPES: u16 = 17 << SHIFT;

/// Runs of this length and more weigh alike.
const LONGEST_RUN: u32 = 7;

/// The class of each byte as a number, shifted, or [`CONTINUES`].
pub(super) static CLASS_OF: [u16; 256] = {
    let mut classes = [CONTINUES; 256];
    let mut byte = 0_u8;
    loop {
        if !matches!(byte, 0x80..=0xBF) {
            classes[byte as usize] = (class(byte) as u16) << SHIFT;
        }
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// The same inside of a JSON string, where a backslash [`ESCAPES`].
pub(super) static CLASS_IN_JSON: [u16; 256] = {
    let mut classes = CLASS_OF;
    classes[b'\\' as usize] = ESCAPES;
    classes
};

/// Thousandths of a token: see [`index`].
pub(super) static WEIGHT: [u16; 2048] = {
    let mut weights = [0; 2048];
    let mut at = 0;
    while at < weights.len() {
        let before = Before { class: CLASSES[at >> 3 & 15], run: at & LONGEST_RUN as usize };
        weights[at] = weight(CLASSES[at >> SHIFT], before);
        at += 1;
    }
    weights
};

/// Where [`WEIGHT`] has a character of `class` after a run of `run` characters of class `before`,
/// both classes as in [`CLASS_OF`].
#[inline]
pub(super) fn index(class: u32, before: u32, run: u32) -> usize {
    ((class | before >> 4 | run.min(LONGEST_RUN)) & 2047) as usize
}

const fn class(byte: u8) -> Class {
    match byte {
        b' ' => Space,
        b'\n' | b'\r' | b'\t' => Newline,
        b'a'..=b'z' => Lower,
        b'A'..=b'Z' => Upper,
        b'0'..=b'9' => Digit,
        b'_' | b'-' | b'.' | b'/' => Joiner,
        0xC0..=0xCA => Latin,
        0xD0..=0xD4 => Cyrillic,
        0xCB..=0xCF | 0xD5..=0xD7 => Greek,
        0xD8..=0xDF => Arabic,
        0xE0 | 0xE1 => Indic,
        0xE3 => Kana,
        0xE4..=0xE9 => Han,
        0xEA..=0xED => Hangul,
        0x80.. => Symbol,
        _ => Mark,
    }
}

/// What stands before a byte.
#[derive(Clone, Copy)]
struct Before {
    class: Class,
    /// How many characters of that class, at most [`LONGEST_RUN`].
    run: usize,
}

const fn weight(class: Class, before: Before) -> u16 {
    match class {
        Lower => lower(before),
        Upper => upper(before),
        Latin => latin(before),
        Digit => digit(before),
        Space => space(before),
        Newline => newline(before),
        Joiner | Mark => mark(class, before),
        Cyrillic | Greek | Arabic | Indic | Kana | Han | Hangul | Symbol => script(class, before),
    }
}

/// A frequent word is one token, and takes the space or mark before it along. Letters from the
/// eighth on make it a rare one.
const fn lower(before: Before) -> u16 {
    match (before.class, before.run) {
        (Lower, ..=3) => 85,
        (Lower, ..=6) => 0,
        (Lower, _) => 370,
        (Upper, 1) => 150,
        (Upper, _) => 730,
        (Latin, _) => 420,
        (Space, _) => 755,
        (Joiner, 1) => 500,
        (Mark, 1) => 340,
        (Joiner | Mark, _) => 780,
        (Newline | Digit, _) => 970,
        _ => 300,
    }
}

/// A capital after a small letter begins a piece. After one or two letters it is part of a random
/// text rather than of a name.
const fn upper(before: Before) -> u16 {
    match (before.class, before.run) {
        (Lower, ..=2) => 1850,
        (Lower, _) => 690,
        (Upper, 1) => 30,
        (Upper, _) => 110,
        (Space | Newline, _) => 740,
        (Joiner | Mark, _) => 660,
        (Digit, _) => 1170,
        _ => 1070,
    }
}

/// Words with diacritics are cut where these are.
const fn latin(before: Before) -> u16 {
    match before.class {
        Lower | Upper => 1040,
        Latin => 450,
        _ => 900,
    }
}

/// Every third digit begins a token; a space before digits is one of its own.
const fn digit(before: Before) -> u16 {
    match (before.class, before.run) {
        (Digit, 1 | 2 | 4 | 5) => 0,
        (Digit, 3) => 1170,
        (Digit, 6) => 1000,
        (Digit, _) => 440,
        (Space, _) => 2410,
        (Lower | Upper, _) => 1050,
        _ => 1240,
    }
}

/// A single space belongs to what follows; of several, all but the last are one token.
const fn space(before: Before) -> u16 {
    match (before.class, before.run) {
        (Space, 1) => 890,
        _ => 0,
    }
}

/// Marks take the line end after them along.
const fn newline(before: Before) -> u16 {
    match before.class {
        Newline => 0,
        Joiner | Mark => 250,
        Space => 440,
        _ => 890,
    }
}

/// A row of marks is mostly one token.
const fn mark(class: Class, before: Before) -> u16 {
    match before.class {
        Joiner | Mark if before.class as u8 == class as u8 => 20,
        Joiner | Mark => 430,
        Lower | Upper | Latin if matches!(class, Joiner) => 610,
        Digit => 770,
        Space => 990,
        _ => 880,
    }
}

/// Scripts with spaces: a word, and a share for each more letter. Scripts without: two tokens for
/// three characters or so.
const fn script(class: Class, before: Before) -> u16 {
    let is_run = before.class as u8 == class as u8;
    match (class, before.class) {
        (Cyrillic, _) => {
            if is_run {
                190
            } else {
                850
            }
        }
        (Greek, _) => {
            if is_run {
                200
            } else {
                1320
            }
        }
        (Arabic, _) => {
            if is_run {
                210
            } else {
                970
            }
        }
        (Indic, _) => {
            if is_run {
                440
            } else {
                0
            }
        }
        (Kana, _) => {
            if is_run {
                615
            } else {
                800
            }
        }
        (Han, Kana) => 1210,
        (Han, _) => {
            if is_run {
                810
            } else {
                830
            }
        }
        (Hangul, _) => {
            if is_run {
                790
            } else {
                650
            }
        }
        (_, Symbol) => 810,
        (_, Space) => 1800,
        _ => 1060,
    }
}
