//! I27: no measure is over its cap.

use super::{Entry, Found, Log};

pub(super) fn check(log: &Log, found: &mut Found) {
    for entry in &log.entries {
        if let Entry::Sample { name, value, cap } = entry
            && value > cap
        {
            found.add("I27", format!("`{name}` was {value}, and may be {cap}."));
        }
    }
}
