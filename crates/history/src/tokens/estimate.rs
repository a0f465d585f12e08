//! Tokens estimated from the bytes of a text.

use super::TokenCounter;
use super::image::{ImageDetail, ImageRule, ImageSize};
use super::weights::{CLASS_IN_JSON, CLASS_OF, CONTINUES, ESCAPES, WEIGHT, index};

/// Estimates tokens in one pass over the bytes, without a vocabulary and without allocating.
///
/// It knows scripts, words, names, numbers, indentation, rows of marks, base64 and hex by the
/// transitions between classes of bytes, for the vocabulary `o200k_base` (GPT-4o and later). Its error
/// is stated in the [module](super). One to two nanoseconds a byte; escapes in JSON are read in place.
///
/// ```
/// use longhaul_history::tokens::{Estimator, TokenCounter};
///
/// let estimator = Estimator::default();
/// assert_eq!(estimator.count_text(""), 0);
/// assert_eq!(estimator.count_json_string(r#""a\nb""#), estimator.count_text("a\nb"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimator {
    /// What an image takes.
    pub images: ImageRule,
}

impl Estimator {
    /// An estimator with another rule for images.
    pub const fn with_images(images: ImageRule) -> Self {
        Self { images }
    }
}

impl TokenCounter for Estimator {
    fn count_text(&self, text: &str) -> u64 {
        tokens(text.as_bytes(), &CLASS_OF)
    }

    fn count_json_string(&self, json: &str) -> u64 {
        let content = json.strip_prefix('"').unwrap_or(json);
        let content = content.strip_suffix('"').unwrap_or(content);
        tokens(content.as_bytes(), &CLASS_IN_JSON)
    }

    fn count_image(&self, detail: ImageDetail, size: Option<ImageSize>) -> u64 {
        self.images.tokens(detail, size)
    }
}

/// The sum of the weights of a text, rounded. Only the empty text has none.
///
/// Nothing branches on where words begin and end, because that cannot be predicted.
fn tokens(text: &[u8], class_of: &[u16; 256]) -> u64 {
    let mut thousandths = 0_u64;
    // A text begins like a line.
    let (mut before, mut run) = (u32::from(CLASS_OF[usize::from(b'\n')]), 1_u32);
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        let mut class = class_of[usize::from(*byte)];
        if class >= CONTINUES {
            if class == ESCAPES {
                let (byte, after) = escape(rest);
                (class, rest) = (CLASS_OF[usize::from(byte)], after);
            }
            if class == CONTINUES {
                continue;
            }
        }
        let class = u32::from(class);
        thousandths = thousandths.wrapping_add(u64::from(WEIGHT[index(class, before, run)]));
        run = if class == before { run.wrapping_add(1) } else { 1 };
        before = class;
    }
    ((thousandths + 500) / 1000).max(u64::from(!text.is_empty()))
}

/// The byte for which the escape stands that goes on with `rest`, after its backslash, and what
/// follows it. A character that is not ASCII is given by its first byte: the others weigh nothing.
fn escape(rest: &[u8]) -> (u8, &[u8]) {
    match rest {
        [b'u', a, b, c, d, after @ ..] => (first_byte([*a, *b, *c, *d]), after),
        [b'n' | b'r' | b't', after @ ..] => (b'\n', after),
        [b'b' | b'f', after @ ..] => (0, after),
        [byte, after @ ..] => (*byte, after),
        [] => (b'\\', rest),
    }
}

/// The first byte that the character of a UTF-16 code unit has in UTF-8; the second half of a pair
/// continues a character.
fn first_byte(hex: [u8; 4]) -> u8 {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0);
    let unit = hex.iter().fold(0, |unit, hex| unit << 4 | digit(*hex));
    let byte = match unit {
        0..0x80 => unit,
        0x80..0x800 => 0xC0 | unit >> 6,
        0xD800..0xDC00 => 0xF0,
        0xDC00..0xE000 => 0x80,
        _ => 0xE0 | unit >> 12,
    };
    u8::try_from(byte).unwrap_or(u8::MAX)
}
