//! Deltas, which are nearly all events of a stream, read without a JSON parser.
//!
//! A delta is a flat object of texts and whole numbers. What is one beyond doubt is read here in one
//! pass; all else, and all that is broken, is left to the parser, whose word is final.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// What is looked at in a delta.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) kind: &'a str,
    pub(super) item_id: Option<&'a str>,
    pub(super) delta: Cow<'a, str>,
}

/// The parts of a delta whose type `is_delta`. `None`: it is none, or not plainly one.
pub(super) fn delta(data: &str, is_delta: impl Fn(&str) -> bool) -> Option<Parts<'_>> {
    let mut scan = Scan { text: data, at: 0 };
    let (mut kind, mut item_id, mut delta) = (None, None, None);
    scan.expect(b'{')?;
    loop {
        let key = scan.string()?.plain()?;
        scan.expect(b':')?;
        let value = scan.value()?;
        // Of a name that comes twice, the parser makes an error.
        let is_new = match key {
            "type" => kind.replace(value.plain().filter(|kind| is_delta(kind))?).is_none(),
            "item_id" => item_id.replace(value.plain()?).is_none(),
            "delta" => delta.replace(value).is_none(),
            _ => value.is_valid(),
        };
        if !is_new {
            return None;
        }
        match scan.next()? {
            b',' => {}
            b'}' if scan.at == data.len() => break,
            _ => return None,
        }
    }
    Some(Parts { kind: kind?, item_id, delta: delta?.text()? })
}

/// A value, as its JSON.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// A text with its quotes, not all of it standing for itself.
    Escaped(&'a str),
    /// A text that stands there as it is, without its quotes.
    Plain(&'a str),
    /// A whole number or an empty list.
    Other,
}

impl<'a> Value<'a> {
    fn plain(self) -> Option<&'a str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Escaped(_) | Self::Other => None,
        }
    }

    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Plain(text) => Some(Cow::Borrowed(text)),
            Self::Escaped(json) => serde_json::from_str(json).ok().map(Cow::Owned),
            Self::Other => None,
        }
    }

    fn is_valid(self) -> bool {
        match self {
            Self::Plain(_) | Self::Other => true,
            Self::Escaped(_) => self.text().is_some(),
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            if byte != b' ' {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.next()? {
            b'"' => return self.rest_of_string(),
            b'[' => self.expect(b']')?,
            b'0' => {}
            b'1'..=b'9' => {
                let rest = &self.text.as_bytes()[self.at..];
                self.at += rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            }
            _ => return None,
        }
        Some(Value::Other)
    }

    fn string(&mut self) -> Option<Value<'a>> {
        self.expect(b'"')?;
        self.rest_of_string()
    }

    fn rest_of_string(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        let mut has_escapes = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let end = rest.iter().position(|byte| !IS_PLAIN[usize::from(*byte)])?;
            self.at += end + 1;
            match rest[end] {
                b'"' if has_escapes => {
                    return self.text.get(start - 1..self.at).map(Value::Escaped);
                }
                b'"' => return self.text.get(start..self.at - 1).map(Value::Plain),
                b'\\' => {
                    has_escapes = true;
                    self.at += 1;
                }
                _ => return None,
            }
        }
    }
}

/// The bytes that stand for themselves in a text of JSON.
const IS_PLAIN: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = false;
        byte += 1;
    }
    table[b'"' as usize] = false;
    table[b'\\' as usize] = false;
    table
};
