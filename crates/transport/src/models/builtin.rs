//! The rows of the built-in table.

use super::ModelInfo;

/// Prefixes of slugs, and what is known of the models that they name. A family whose members differ
/// in size has no window of its own.
pub(super) const ROWS: &[(&str, ModelInfo)] = &[
    ("o3", size(200_000, 100_000, REASONING)),
    ("o4-mini", size(200_000, 100_000, REASONING)),
    ("codex-mini-latest", size(200_000, 100_000, REASONING)),
    ("gpt-4.1", size(1_047_576, 32_768, PLAIN)),
    ("gpt-4o", ModelInfo { context_window: Some(128_000), ..PLAIN }),
    ("gpt-3.5", PLAIN),
    ("gpt-3.5-turbo", size(16_385, 4_096, PLAIN)),
    ("gpt-oss", OPEN),
    ("gpt-oss-20b", size(96_000, 32_000, OPEN)),
    ("gpt-oss-120b", size(96_000, 32_000, OPEN)),
    ("openai/gpt-oss", OPEN),
    ("openai/gpt-oss-20b", size(96_000, 32_000, OPEN)),
    ("openai/gpt-oss-120b", size(96_000, 32_000, OPEN)),
    // `gpt-5-codex` is one of these.
    ("gpt-5", GPT_5),
    ("codex-", GPT_5),
    ("codex-exp-", PARALLEL),
    ("test-gpt-5-codex", PARALLEL),
];

const PLAIN: ModelInfo =
    ModelInfo { reasoning: Some(false), verbosity: Some(false), ..ModelInfo::UNKNOWN };

const REASONING: ModelInfo = ModelInfo { reasoning: Some(true), ..PLAIN };

/// Open weights reason, but whether the field is known depends on who serves them: it is sent where
/// the user sets it.
const OPEN: ModelInfo = ModelInfo { reasoning: None, ..PLAIN };

const GPT_5: ModelInfo = size(272_000, 128_000, ModelInfo { verbosity: Some(true), ..REASONING });

const PARALLEL: ModelInfo = ModelInfo { parallel_calls: Some(true), ..GPT_5 };

/// The same with a window and a longest answer, in tokens.
const fn size(window: u64, output: u64, info: ModelInfo) -> ModelInfo {
    ModelInfo { context_window: Some(window), max_output_tokens: Some(output), ..info }
}
