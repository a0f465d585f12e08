//! From a server's refusal to the smallest repair of the request.
//!
//! A history that one server gave may be refused by the next, or by the same one a key rotation
//! later; and since every request carries it, such a session is lost unless what offends is found.
//! [`remedy`] reads a refusal's code and text, and names one [`Remedy`], addressed as precisely as
//! the words allow. The wordings are those of OpenAI, Azure, xAI, llama.cpp, vLLM and gateways in
//! front of them; `wordings.txt`, which the tests read, says where each was reported.
//!
//! What a remedy does to a history, [`Remedy`] says variant by variant. A caller applies it by
//! [`History::mend`](crate::History::mend), sends the request once more, and if that is refused for the same reason, tries
//! [`widened`](Remedy::widened) before it gives up: two more requests at most.
//!
//! Not for this function: a conversation that is too long for the window (compaction's business),
//! and all that a repetition or a login may cure.

mod encrypted;
mod fields;
mod images;
mod pairs;
mod path;
mod repair;
mod target;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use path::{Step, steps};
pub use repair::{Images, Remedy};
pub use target::Target;

use words::Words;

/// Why a server refused a request, in its own words.
///
/// ```
/// use longhaul_history::remedy::{Refusal, Remedy, Target, remedy};
///
/// let refusal = Refusal {
///     param: Some("input"),
///     ..Refusal::new("No tool output found for function call call_1.")
/// };
/// assert_eq!(remedy(&refusal), Some(Remedy::AnswerCall(Target::CallId("call_1".into()))));
/// assert_eq!(remedy(&Refusal::new("The model `m` does not exist.")), None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The error's `code`, if it has one.
    pub code: Option<&'a str>,
    /// The error's `param`: the path of the field that is to blame, if it says.
    pub param: Option<&'a str>,
    /// The error's `message`. Only its first 8 KiB are read.
    pub message: &'a str,
}

impl<'a> Refusal<'a> {
    /// A refusal that is a message alone.
    pub fn new(message: &'a str) -> Self {
        Self { code: None, param: None, message }
    }
}

/// The smallest repair that answers `refusal`; `None` if no known wording is in it.
///
/// The message may quote what a user or a tool wrote. So known words count only where a sentence
/// begins, outside quotation marks; those of models that take no images, outside quotation marks.
/// That is no proof: a server that repeats a text as its own, or as the `message` of an error in
/// JSON, is believed. What such a text can bring about is that images, reasoning or items are not
/// sent any more; the log keeps them.
///
/// Costs a few passes over the first 8 KiB of the message; the length of the rest does not matter.
pub fn remedy(refusal: &Refusal<'_>) -> Option<Remedy> {
    if refusal.code.is_some_and(|code| OVERFLOWS.contains(&code)) {
        return None;
    }
    let words = Words::new(refusal.message);
    pairs::remedy(&words)
        .or_else(|| encrypted::remedy(refusal, &words))
        .or_else(|| images::remedy(refusal, &words))
        .or_else(|| fields::remedy(refusal, &words))
}

/// Codes of a conversation that is too long.
const OVERFLOWS: [&str; 4] = [
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size_error",
    "model_max_prompt_tokens_exceeded",
];
