//! A conversation that is too long: how servers tell, and how they state the sizes.

use serde_json::Value;

use super::ServerError;

/// Phrases, in lower case, by which servers tell that a conversation is too long.
const PHRASES: [&str; 15] = [
    // OpenAI, Azure, vLLM, OpenRouter and others that follow them.
    "maximum context length",
    "exceeds the context window",
    "context window of this model",
    "context length exceeded",
    "context_length_exceeded",
    "maximum model length",
    // llama.cpp
    "exceeds the available context size",
    "context size has been exceeded",
    "exceed_context_size_error",
    // LiteLLM
    "contextwindowexceedederror",
    // Anthropic
    "prompt is too long:",
    "exceed context limit:",
    // Gemini, xAI, SGLang
    "exceeds the maximum number of tokens allowed",
    "maximum prompt length is",
    "longer than the model's context length",
];

/// What stands before the size of the prompt, in lower case, the surest first.
const BEFORE_PROMPT: [&str; 13] = [
    "\"n_prompt_tokens\":",
    "your messages resulted in ",
    "you requested about ",
    "you requested ",
    "the request contains ",
    "your request has ",
    "prompt is too long: ",
    "exceed context limit: ",
    "decoder prompt (length ",
    "input token count (",
    "the input (",
    "prompt contains ",
    "request (",
];

/// What stands before the size of the window.
const BEFORE_WINDOW: [&str; 9] = [
    "\"n_ctx\":",
    "maximum context length is ",
    "maximum context length of ",
    "maximum prompt length is ",
    "maximum model length of ",
    "available context size (",
    "tokens allowed (",
    "model's context length (",
    // Last, since it says least: `210000 tokens > 200000 maximum`.
    " > ",
];

/// The sizes that a server states, in tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TokenCounts {
    /// Of the prompt.
    pub(super) prompt: Option<u64>,
    /// Of the context window.
    pub(super) window: Option<u64>,
}

impl ServerError {
    /// The sizes, from the fields of the error or of the one that it quotes, else from its words.
    pub(super) fn token_counts(&self) -> TokenCounts {
        let field = |own: &Value, quoted: fn(&Self) -> &Value| {
            let quoted = || positive(quoted(self.quoted.as_deref()?));
            positive(own).or_else(quoted)
        };
        let told = told_in(&self.message().to_ascii_lowercase());
        TokenCounts {
            prompt: field(&self.n_prompt_tokens, |error| &error.n_prompt_tokens).or(told.prompt),
            window: field(&self.n_ctx, |error| &error.n_ctx).or(told.window),
        }
    }
}

fn positive(value: &Value) -> Option<u64> {
    let text = || value.as_str()?.trim().parse().ok();
    value.as_u64().or_else(text).filter(|count| *count > 0)
}

/// Whether a message, in lower case, tells that a conversation is too long.
pub(super) fn is_told_in(message: &str) -> bool {
    PHRASES.iter().any(|phrase| message.contains(phrase))
}

/// The sizes in a message in lower case.
fn told_in(message: &str) -> TokenCounts {
    let after = |markers: &[&str]| markers.iter().find_map(|marker| number_after(message, marker));
    TokenCounts {
        // Where an answer's share is counted too, the prompt's own is stated apart.
        prompt: number_before(message, " in the messages").or_else(|| after(&BEFORE_PROMPT)),
        window: after(&BEFORE_WINDOW),
    }
}

/// The number right after the first `marker` that has one.
fn number_after(message: &str, marker: &str) -> Option<u64> {
    message.match_indices(marker).find_map(|(start, _)| {
        let rest = message[start + marker.len()..].trim_start();
        let end = rest.find(|c: char| !is_of_number(c)).unwrap_or(rest.len());
        count(&rest[..end])
    })
}

/// The number right before `marker`.
fn number_before(message: &str, marker: &str) -> Option<u64> {
    let (rest, _) = message.split_once(marker)?;
    let start = rest.rfind(|c: char| !is_of_number(c)).map_or(0, |last| last + 1);
    // What is no part of a number may be longer than one byte.
    rest.get(start..).and_then(count)
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || c == ','
}

/// `128000` or `128,000`.
fn count(digits: &str) -> Option<u64> {
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each message as its server words it, and the sizes in it.
    #[test]
    fn sizes_are_read_from_the_words_of_servers() {
        let table = [
            (
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
                130_000,
                128_000,
            ),
            (
                "This model's maximum context length is 128,000 tokens. However, you requested 130,500 tokens (129,000 in the messages, 1,500 in the completion).",
                129_000,
                128_000,
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages, Please reduce the length of the messages.",
                5000,
                4096,
            ),
            (
                "This endpoint's maximum context length is 32768 tokens. However, you requested about 34000 tokens (33000 of text input, 1000 in the output).",
                34_000,
                32_768,
            ),
            (
                "'max_tokens' is too large: 500. This model's maximum context length is 4096 tokens and your request has 4000 input tokens (500 > 4096 - 4000).",
                4000,
                4096,
            ),
            (
                "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
                5000,
                4096,
            ),
            (
                "request (10249 tokens) exceeds the available context size (8192 tokens), try increasing it",
                10_249,
                8192,
            ),
            ("prompt is too long: 210000 tokens > 200000 maximum", 210_000, 200_000),
            (
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease",
                188_240,
                200_000,
            ),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                1_200_000,
                1_048_576,
            ),
            (
                "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
                537_812,
                131_072,
            ),
            (
                "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                5000,
                4096,
            ),
        ];
        for (message, prompt, window) in table {
            let message = message.to_ascii_lowercase();
            assert!(is_told_in(&message), "{message}");
            let counts = TokenCounts { prompt: Some(prompt), window: Some(window) };
            assert_eq!(told_in(&message), counts, "{message}");
        }
    }

    #[test]
    fn what_is_not_stated_is_not_known() {
        for message in [
            "your input exceeds the context window of this model. please adjust your input and try again.",
            "context size has been exceeded.",
            "this model's maximum context length is 0 tokens",
            "this model's maximum context length is 99999999999999999999999 tokens",
            "maximum context length is ,, tokens",
            "maximum context length é in the messages",
            "maximum context length in the messages",
        ] {
            assert!(is_told_in(message), "{message}");
            assert_eq!(told_in(message), TokenCounts::default(), "{message}");
        }
    }
}
