//! What is known of models, by their slugs.

/// Share of a context window that is used, in percent; the rest is a reserve for what the server
/// adds.
pub const EFFECTIVE_WINDOW_PERCENT: u64 = 95;

/// What is known of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelTraits {
    /// The raw context window in tokens, if known.
    pub context_window: Option<u64>,
    /// Whether it reasons.
    pub reasoning: bool,
}

/// A row: slugs that start with the prefix.
struct Row(&'static str, ModelTraits);

const fn model(context_window: u64, reasoning: bool) -> ModelTraits {
    ModelTraits { context_window: Some(context_window), reasoning }
}

/// The first row that matches counts.
const TABLE: &[Row] = &[
    Row("o3", model(200_000, true)),
    Row("o4-mini", model(200_000, true)),
    Row("codex-mini-latest", model(200_000, true)),
    Row("gpt-4.1", model(1_047_576, false)),
    Row("gpt-4o", model(128_000, false)),
    Row("gpt-3.5", model(16_385, false)),
    Row("gpt-oss", model(96_000, false)),
    Row("openai/gpt-oss", model(96_000, false)),
    Row("codex-", model(272_000, true)),
    Row("gpt-5", model(272_000, true)),
];

/// What is known of the model with this slug; of a slug that no row matches, nothing.
///
/// ```
/// use longhaul_transport::models::lookup;
///
/// assert_eq!(lookup("gpt-5-codex").context_window, Some(272_000));
/// assert_eq!(lookup("something-new").context_window, None);
/// ```
pub fn lookup(slug: &str) -> ModelTraits {
    let row = TABLE.iter().find(|Row(prefix, _)| slug.starts_with(prefix));
    row.map(|Row(_, traits)| *traits).unwrap_or_default()
}

/// The part of a raw context window that is used, in tokens.
pub fn effective_window(raw: u64) -> u64 {
    raw.saturating_mul(EFFECTIVE_WINDOW_PERCENT) / 100
}
