//! How much room there is.

use longhaul_history::tokens::Calibration;

use crate::largest::largest;

/// Effective windows below this, that of a raw window of 4,096 tokens, are too small for local counts to
/// say anything: most of such a request is framing. Only its server judges what fits them.
pub const MIN_WINDOW_TOKENS: u64 = 4_096 * 95 / 100;

/// The most that is kept free in a window after a compaction, for the next answers.
pub const MAX_RESERVE_TOKENS: u64 = 8_192;

/// What a compaction has to do with.
///
/// Tokens are those of the history's counter unless they are said to be calibrated: then they are what
/// the model's server is expected to count.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Budget {
    /// The effective context window of the model that goes on with the conversation; `None` if
    /// nobody knows it.
    pub window: Option<u64>,
    /// From how many tokens on the conversation is to be compacted.
    pub limit: u64,
    /// What instructions and tools take in each request.
    pub overhead: u64,
    /// How far counts are off for the model.
    pub calibration: Calibration,
    /// What the last response says that the conversation took, if it says so.
    pub used: Option<u64>,
    /// So many items of the conversation were in a request; `None` if nobody knows. What came since is
    /// not shortened before a model has seen it.
    pub seen_items: Option<usize>,
    /// Why the conversation is compacted.
    pub cause: Cause,
    /// The shortest request that was found too long on the way.
    pub(crate) refused: Option<Refused>,
}

/// Why a conversation is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody asked for it.
    Manual,
    /// The last response said that the limit is reached.
    Limit,
    /// By the local count, the next request does not fit the window. `is_certain`: the window is
    /// known, and large enough for local counts.
    Window {
        /// Whether the request is held to be unsendable.
        is_certain: bool,
    },
    /// The server refused a request for its length.
    Refused(Refused),
}

/// A request that a server found too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Tokens of the request, by the local count.
    pub counted: u64,
    /// Tokens of the request, as the server counts them, if it said so.
    pub prompt: Option<u64>,
    /// The raw context window in tokens, if the server said so.
    pub window: Option<u64>,
}

impl Budget {
    /// A budget of which only the cause is known.
    pub fn new(cause: Cause) -> Self {
        Self {
            window: None,
            limit: u64::MAX,
            overhead: 0,
            calibration: Calibration::default(),
            used: None,
            seen_items: None,
            cause,
            refused: None,
        }
    }

    /// A request was found too long: from now on there is less room.
    pub(crate) fn tighten(&mut self, refused: Refused) {
        let shortest = self.refused().filter(|known| known.counted <= refused.counted);
        let window = self.refused().and_then(|known| known.window);
        let refused = shortest.unwrap_or(refused);
        self.refused = Some(Refused { window: refused.window.or(window), ..refused });
    }

    /// Whether an ordinary request cannot be sent as the conversation is.
    pub fn is_required(&self) -> bool {
        matches!(self.cause, Cause::Window { is_certain: true } | Cause::Refused(_))
    }

    /// Calibrated tokens of a request with items of so many tokens.
    pub fn request(&self, items: u64) -> u64 {
        self.calibration.apply(self.overhead.saturating_add(items))
    }

    /// The calibrated tokens that a request may have after a compaction: the window less a reserve.
    /// `None` if the window is not known, or too small to be held against local counts.
    pub fn ceiling(&self) -> Option<u64> {
        self.countable_window().map(less_reserve)
    }

    /// Tokens that items may have so that a request stays within `calibrated` tokens.
    pub fn items_within(&self, calibrated: u64) -> u64 {
        uncalibrated(self.calibration, calibrated).saturating_sub(self.overhead)
    }

    /// Tokens that all items may have after a compaction, as far as there is a bound: by the window,
    /// and by what the server refused. Of refusals of less than [`MIN_WINDOW_TOKENS`] by the local count
    /// half of that is taken: such a count says little.
    pub fn room(&self) -> Option<u64> {
        let by_window = self.ceiling().map(|ceiling| self.items_within(ceiling));
        let by_refusal = self.refused().map(|refused| {
            let fitting = refused.fitting().unwrap_or(refused.counted / 2);
            fitting.max(MIN_WINDOW_TOKENS / 2).saturating_sub(self.overhead)
        });
        by_window.into_iter().chain(by_refusal).min()
    }

    /// At most a quarter of the window of `wanted` tokens. Of a window that nobody knows, it is known
    /// after a refusal that it is smaller than what was refused.
    pub fn quarter(&self, wanted: u64) -> u64 {
        let window = self.countable_window();
        let refused = self.first_refusal().and_then(|refused| {
            let counted = refused.counted.max(MIN_WINDOW_TOKENS);
            refused.window.or(Some(counted).filter(|_| window.is_none()))
        });
        window.into_iter().chain(refused).map(|window| window / 4).fold(wanted, u64::min)
    }

    /// The window, if it is known and large enough for local counts.
    pub(crate) fn countable_window(&self) -> Option<u64> {
        countable(self.window)
    }

    fn refused(&self) -> Option<Refused> {
        self.refused.or(self.first_refusal())
    }

    /// What the server refused before anything was tried.
    fn first_refusal(&self) -> Option<Refused> {
        match self.cause {
            Cause::Refused(refused) => Some(refused),
            _ => None,
        }
    }
}

/// A window that is known and large enough for local counts.
pub(crate) fn countable(window: Option<u64>) -> Option<u64> {
    window.filter(|window| *window >= MIN_WINDOW_TOKENS)
}

/// A window of so many tokens without what is kept free for the next answers.
pub(crate) fn less_reserve(window: u64) -> u64 {
    window - MAX_RESERVE_TOKENS.min(window / 10)
}

/// The largest count that is at most `calibrated` tokens when it is calibrated.
fn uncalibrated(calibration: Calibration, calibrated: u64) -> u64 {
    let most = calibrated.saturating_mul(2).saturating_add(1);
    largest(most, |count| calibration.apply(count) <= calibrated)
}

impl Refused {
    /// Tokens by the local count that a request may have to be taken, as far as the server said:
    /// in the proportion of its own counts, less a tenth for the answer.
    pub fn fitting(&self) -> Option<u64> {
        let (prompt, window) = (self.prompt?, self.window?);
        // A server may say any number.
        let share = (u128::from(self.counted) * u128::from(window)).saturating_mul(9);
        let fitting = share.checked_div(u128::from(prompt) * 10)?;
        u64::try_from(fitting).ok().filter(|fitting| *fitting < self.counted)
    }
}
