//! How much of a text stays when its middle goes.

/// What [`middle_within`](super::middle_within) keeps of a text. All limits hold at once, and they
/// hold for the result, marker included.
///
/// ```
/// use longhaul_history::truncate::MiddleLimits;
///
/// let mut limits = MiddleLimits::bytes(80_000);
/// assert_eq!((limits.max_tokens, limits.max_counted_bytes), (None, 0));
/// limits.max_tokens = Some(20_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MiddleLimits {
    /// Bytes of UTF-8. Default [`usize::MAX`]: no limit.
    pub max_bytes: usize,
    /// Tokens, as the caller's counter counts them. Default `None`: no limit.
    pub max_tokens: Option<u64>,
    /// If what is removed has at most so many bytes, it is counted, and the number in the marker is
    /// exact. Default 0: the number is always an estimate.
    ///
    /// It bounds what a number is worth: counting 1 MB with a vocabulary takes some tens of
    /// milliseconds.
    pub max_counted_bytes: usize,
}

impl MiddleLimits {
    /// At most `max_bytes` bytes; else the defaults.
    pub fn bytes(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// At most `max_tokens` tokens; else the defaults.
    pub fn tokens(max_tokens: u64) -> Self {
        Self { max_tokens: Some(max_tokens), ..Self::default() }
    }
}

impl Default for MiddleLimits {
    fn default() -> Self {
        Self { max_bytes: usize::MAX, max_tokens: None, max_counted_bytes: 0 }
    }
}
