//! What an image takes, by its detail and size.

/// How closely a model looks at an image: the `detail` of an `input_image`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageDetail {
    /// `low`: a small version.
    Low,
    /// `high`: scaled down to a medium size.
    High,
    /// `original`: scaled down only where it is very large.
    Original,
    /// `auto`, missing or unknown: as [`ImageRule::auto`] says.
    #[default]
    Auto,
}

impl ImageDetail {
    /// Reads the value of `detail`; what is unknown is [`ImageDetail::Auto`].
    pub fn from_name(name: &str) -> Self {
        match name {
            "low" => Self::Low,
            "high" => Self::High,
            "original" => Self::Original,
            _ => Self::Auto,
        }
    }
}

/// Width and height of an image in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// How large an image may be before the server scales it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageBudget {
    /// Most patches of 32 by 32 pixels.
    pub patches: u32,
    /// Longest side in pixels.
    pub side: u32,
}

/// What images take.
///
/// The default is OpenAI's rule for models from GPT-5.4 on ("Model sizing behavior" in its guide to
/// images and vision): an image is cut into patches of 32 by 32 pixels, a token each, and scaled down
/// first if it has more than its budget. Earlier patch models have 1,536 patches for `high`, small
/// ones multiply the result, and the tile models of the 4o class take 85 tokens and 170 more for each
/// tile of 512 pixels, at most 1,445 for pictures of usual shapes: the default is above that. Every
/// estimate is bounded by the budget of its detail, whatever a header claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageRule {
    /// The budget of `low`. Default: 256 patches and 512 pixels.
    pub low: ImageBudget,
    /// The budget of `high`. Default: 2,500 patches and 2,048 pixels.
    pub high: ImageBudget,
    /// The budget of `original`. Default: 10,000 patches and 6,000 pixels. Models that do not scale
    /// (GPT-5.6) take up to 30,000.
    pub original: ImageBudget,
    /// What `auto` means. Default: [`ImageDetail::High`], as for GPT-5.4; GPT-5.5 takes it as
    /// `original`.
    pub auto: ImageDetail,
    /// Patches of an image whose size is not known, unless its budget is smaller. Default: 1,536, a
    /// square of 1,254 pixels.
    pub unknown_patches: u32,
    /// Tokens for 100 patches. Default: 100.
    pub tokens_per_100_patches: u32,
}

impl Default for ImageRule {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl ImageRule {
    /// The default, as a constant.
    pub const DEFAULT: Self = Self {
        low: ImageBudget { patches: 256, side: 512 },
        high: ImageBudget { patches: 2_500, side: 2_048 },
        original: ImageBudget { patches: 10_000, side: 6_000 },
        auto: ImageDetail::High,
        unknown_patches: 1_536,
        tokens_per_100_patches: 100,
    };

    /// Tokens of an image. At least 1.
    ///
    /// ```
    /// use longhaul_history::tokens::{ImageDetail, ImageRule, ImageSize};
    ///
    /// let rule = ImageRule::default();
    /// let size = |width, height| Some(ImageSize { width, height });
    /// assert_eq!(rule.tokens(ImageDetail::High, size(1024, 1024)), 1_024);
    /// assert_eq!(rule.tokens(ImageDetail::High, size(9_000, 9_000)), 2_500);
    /// assert_eq!(rule.tokens(ImageDetail::Low, None), 256);
    /// ```
    pub fn tokens(&self, detail: ImageDetail, size: Option<ImageSize>) -> u64 {
        let budget = self.budget(detail);
        let patches = size.map_or(u64::from(self.unknown_patches), |size| patches(size, budget));
        let patches = patches.min(u64::from(budget.patches));
        (patches * u64::from(self.tokens_per_100_patches)).div_ceil(100).max(1)
    }

    fn budget(&self, detail: ImageDetail) -> ImageBudget {
        match (detail, self.auto) {
            (ImageDetail::Low, _) | (ImageDetail::Auto, ImageDetail::Low) => self.low,
            (ImageDetail::Original, _) | (ImageDetail::Auto, ImageDetail::Original) => {
                self.original
            }
            _ => self.high,
        }
    }
}

/// Patches of an image once its longest side is within the budget.
fn patches(size: ImageSize, budget: ImageBudget) -> u64 {
    let longest = u64::from(size.width.max(size.height)).max(1);
    let scaled = u64::from(budget.side).min(longest);
    let along = |pixels: u32| (u64::from(pixels) * scaled).div_ceil(longest).div_ceil(32);
    along(size.width) * along(size.height)
}

impl ImageSize {
    /// Reads the size from the header of an image in a `data:` URL.
    ///
    /// `None` if the URL is another, is not base64, or holds no PNG, JPEG, GIF or WebP with a size
    /// that is not zero. Only the header is decoded; of a JPEG, at most 64 segments are passed over.
    ///
    /// ```
    /// use longhaul_history::tokens::ImageSize;
    ///
    /// let gif = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
    /// assert_eq!(ImageSize::from_data_url(gif), Some(ImageSize { width: 1, height: 1 }));
    /// assert_eq!(ImageSize::from_data_url("https://example.com/a.gif"), None);
    /// ```
    pub fn from_data_url(url: &str) -> Option<Self> {
        let (head, payload) = url.split_once(',')?;
        if !head.starts_with("data:") || !head.ends_with(";base64") {
            return None;
        }
        Self::from_base64(payload)
    }

    /// Reads the size from the header of an image in base64.
    pub(super) fn from_base64(payload: &str) -> Option<Self> {
        let bytes = Base64(payload.as_bytes());
        let size = match bytes.at(0)? {
            0x89 => png(bytes),
            0xFF => jpeg(bytes),
            b'G' => gif(bytes),
            b'R' => webp(bytes),
            _ => None,
        };
        size.filter(|size| size.width > 0 && size.height > 0)
    }
}

/// Bytes in base64, of which each is decoded when it is asked for.
#[derive(Clone, Copy)]
struct Base64<'a>(&'a [u8]);

impl Base64<'_> {
    fn at(self, index: usize) -> Option<u8> {
        let first = index / 3 * 4 + index % 3;
        let (high, low) = (sextet(*self.0.get(first)?)?, sextet(*self.0.get(first + 1)?)?);
        let shift = 2 * (index % 3 + 1);
        Some((high << shift | low >> (6 - shift)) & 0xFF).and_then(|byte| u8::try_from(byte).ok())
    }

    /// `count` bytes from `from` on, at most four, the first as the highest.
    fn big_endian(self, from: usize, count: usize) -> Option<u32> {
        (from..from + count).try_fold(0, |sum, index| Some(sum << 8 | u32::from(self.at(index)?)))
    }

    fn little_endian(self, from: usize, count: usize) -> Option<u32> {
        (from..from + count)
            .rev()
            .try_fold(0, |sum, index| Some(sum << 8 | u32::from(self.at(index)?)))
    }

    fn has(self, from: usize, expected: &[u8]) -> bool {
        expected.iter().zip(from..).all(|(byte, index)| self.at(index) == Some(*byte))
    }
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

fn png(bytes: Base64<'_>) -> Option<ImageSize> {
    if !bytes.has(0, b"\x89PNG\r\n\x1a\n") || !bytes.has(12, b"IHDR") {
        return None;
    }
    Some(ImageSize { width: bytes.big_endian(16, 4)?, height: bytes.big_endian(20, 4)? })
}

fn gif(bytes: Base64<'_>) -> Option<ImageSize> {
    if !bytes.has(0, b"GIF8") {
        return None;
    }
    Some(ImageSize { width: bytes.little_endian(6, 2)?, height: bytes.little_endian(8, 2)? })
}

/// The three ways in which a WebP begins: lossy, lossless, extended.
fn webp(bytes: Base64<'_>) -> Option<ImageSize> {
    if !bytes.has(0, b"RIFF") || !bytes.has(8, b"WEBPVP8") {
        return None;
    }
    match bytes.at(15)? {
        b' ' => Some(ImageSize {
            width: bytes.little_endian(26, 2)? & 0x3FFF,
            height: bytes.little_endian(28, 2)? & 0x3FFF,
        }),
        b'L' => {
            let bits = bytes.little_endian(21, 4)?;
            Some(ImageSize { width: (bits & 0x3FFF) + 1, height: (bits >> 14 & 0x3FFF) + 1 })
        }
        b'X' => Some(ImageSize {
            width: bytes.little_endian(24, 3)? + 1,
            height: bytes.little_endian(27, 3)? + 1,
        }),
        _ => None,
    }
}

/// Goes from segment to segment to the one that begins a frame.
fn jpeg(bytes: Base64<'_>) -> Option<ImageSize> {
    if bytes.at(1)? != 0xD8 {
        return None;
    }
    let mut at = 2;
    for _ in 0..64 {
        if bytes.at(at)? != 0xFF {
            return None;
        }
        match bytes.at(at + 1)? {
            // Padding before a marker.
            0xFF => at += 1,
            // Tables and comments between the frame markers' codes.
            0xC4 | 0xC8 | 0xCC => at += segment(bytes, at)?,
            0xC0..=0xCF => {
                let (height, width) = (bytes.big_endian(at + 5, 2)?, bytes.big_endian(at + 7, 2)?);
                return Some(ImageSize { width, height });
            }
            _ => at += segment(bytes, at)?,
        }
    }
    None
}

/// Bytes from a marker to the next.
fn segment(bytes: Base64<'_>, at: usize) -> Option<usize> {
    Some(2 + usize::try_from(bytes.big_endian(at + 2, 2)?).ok()?)
}
