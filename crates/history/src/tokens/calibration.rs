//! What a server's own count teaches about estimates.

use serde::{Deserialize, Serialize};

/// 1.0, in the unit in which ratios are kept.
const ONE: u64 = 1_000_000;

/// The ratio between the tokens that a server counts and those that were estimated.
///
/// A pure value: the same observations give the same ratio, and it can be written to a log and read
/// back. It begins at 1, and stays between 0.5 and 2.
///
/// The server counts the whole request: instructions and tools, too. So the caller estimates the
/// whole request, those included, and gives that; an estimate of the conversation alone would teach
/// that every conversation is larger than it is. Use one calibration for each model.
///
/// # Bounds
///
/// * One observation moves the ratio by at most 0.1, whatever it says.
/// * If the server's count is always the same multiple `r` of the estimate, with `r` from 0.5 to 2,
///   the distance of the ratio to `r` falls by 0.1 with each observation, and by half once it is
///   below 0.2: after 16 observations it is below 0.005, wherever it began.
/// * Observations with fewer than 256 tokens on either side are ignored: framing is most of such a
///   request. So is a server that reports 0.
///
/// ```
/// use longhaul_history::tokens::Calibration;
///
/// let mut calibration = Calibration::default();
/// for _ in 0..16 {
///     calibration.observe(10_000, 11_500);
/// }
/// assert_eq!(calibration.apply(20_000), 23_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calibration {
    /// Millionths.
    ratio_ppm: u64,
    observations: u64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { ratio_ppm: ONE, observations: 0 }
    }
}

impl Calibration {
    const MIN_TOKENS: u64 = 256;
    /// Of a deviation this much is believed, of that half is learned.
    const MAX_DEVIATION_PPM: u64 = ONE / 5;

    /// Learns from a request: its `estimated` tokens, not calibrated, and the `input_tokens` that the
    /// server reports, cached ones included.
    pub fn observe(&mut self, estimated: u64, input_tokens: u64) {
        if estimated.min(input_tokens) < Self::MIN_TOKENS {
            return;
        }
        let seen = within(scaled(ONE, input_tokens, estimated));
        let ratio = within(self.ratio_ppm);
        let step = seen.abs_diff(ratio).min(Self::MAX_DEVIATION_PPM).div_ceil(2);
        self.ratio_ppm = if seen > ratio { ratio + step } else { ratio - step };
        self.observations = self.observations.saturating_add(1);
    }

    /// The estimate as the server would count it, rounded.
    pub fn apply(&self, estimated: u64) -> u64 {
        scaled(estimated, within(self.ratio_ppm), ONE)
    }

    /// How many observations it has learned from.
    pub fn observations(&self) -> u64 {
        self.observations
    }
}

/// A ratio as it may be; one from a log may be anything.
fn within(ratio_ppm: u64) -> u64 {
    ratio_ppm.clamp(ONE / 2, 2 * ONE)
}

/// `value * by / of`, rounded; `of` is not 0.
fn scaled(value: u64, by: u64, of: u64) -> u64 {
    let product = u128::from(value) * u128::from(by) + u128::from(of / 2);
    u64::try_from(product / u128::from(of)).unwrap_or(u64::MAX)
}
