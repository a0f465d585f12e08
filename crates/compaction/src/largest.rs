//! The largest number that still fits.

/// The largest number up to `most` that `fits`, which it does no more from some number on. 0 always fits.
pub(crate) fn largest(most: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut largest, mut too_much) = (0, most.saturating_add(1));
    while too_much - largest > 1 {
        let middle = largest + (too_much - largest) / 2;
        if fits(middle) {
            largest = middle;
        } else {
            too_much = middle;
        }
    }
    largest
}
