//! Does a request continue the one before it, so that a prompt cache hits?

use longhaul_history::prefix::{self, Continuation};

/// Checks that the prompt of the earlier body is the beginning of the later one's, byte for byte.
///
/// For other questions (how much is shared, where it breaks) ask
/// [`longhaul_history::prefix::compare`] itself.
///
/// # Errors
///
/// One sentence: which field or item differs and how, or which body is no request.
///
/// # Example
///
/// ```
/// use longhaul_testkit::check;
/// use serde_json::json;
///
/// let first = json!({"model": "m", "input": [{"role": "user", "content": "one"}]});
/// let mut second = first.clone();
/// second["input"].as_array_mut().unwrap().push(json!({"role": "user", "content": "two"}));
/// let (first, second) = (first.to_string(), second.to_string());
///
/// assert_eq!(check::prefix(first.as_bytes(), second.as_bytes()), Ok(()));
/// assert_eq!(
///     check::prefix(second.as_bytes(), first.as_bytes()).unwrap_err(),
///     r#"input[1] is gone: it was `{"content":"two","role":"user"}`"#
/// );
/// ```
///
/// Between the requests that a scripted server saw: `check::prefix(&requests[0].body, &requests[1].body).unwrap()`.
pub fn prefix(earlier: &[u8], later: &[u8]) -> Result<(), String> {
    match prefix::compare(earlier, later) {
        Ok(Continuation::Extends { .. }) => Ok(()),
        Ok(Continuation::Breaks(found)) => Err(found.to_string()),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}
