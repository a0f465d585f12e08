//! What making something leaves in memory. Part of binaries that count alone: counting replaces the
//! allocator.

use allocation_counter::measure;

/// The bytes that what is made holds, and what was made.
pub(crate) fn held<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let mut result = None;
    let taken = measure(|| result = Some(make()));
    match result {
        Some(result) => (taken.bytes_current, result),
        None => unreachable!("what is measured was run"),
    }
}
