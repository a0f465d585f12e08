//! How much of a tool's output the model is shown.

/// How much of a tool's output is kept. All limits hold at once, and they hold for the result: header
/// and markers are paid for out of them.
///
/// A limit of 0 is a limit: nothing is kept. Limits that do not hold the header and a marker still
/// hold, see [`output`](super::output()).
///
/// ```
/// use longhaul_history::truncate::OutputLimits;
///
/// let mut limits = OutputLimits::default();
/// limits.max_tokens = Some(2_000);
/// assert_eq!((limits.max_bytes, limits.max_lines), (10_240, 256));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLimits {
    /// Bytes of UTF-8. Default 10,240.
    pub max_bytes: usize,
    /// Lines; a last line without a newline counts. In a JSON text, each string that is a value is
    /// held to it by itself. Default 256.
    pub max_lines: usize,
    /// Tokens, as the caller's counter counts them. A text of more than 16 bytes per allowed token
    /// is over the limit without being counted. Default `None`: no limit.
    pub max_tokens: Option<u64>,
    /// Bytes of one line, without its newline. A longer line keeps its two ends, around
    /// `…{n} bytes…`. In a JSON text, this is about the lines of its strings. Default `None`: no
    /// limit, because a single long line may be all that a tool has to say.
    pub max_line_bytes: Option<usize>,
    /// The part of what is kept that comes from the beginning, in percent; the rest comes from the
    /// end, and so does what the beginning leaves unused. Below 10 it counts as 10, above 90 as 90,
    /// so that both ends are always kept. Default 50.
    pub head_percent: u8,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            max_bytes: 10_240,
            max_lines: 256,
            max_tokens: None,
            max_line_bytes: None,
            head_percent: 50,
        }
    }
}
