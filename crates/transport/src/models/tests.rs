//! Rows, which of them counts, and what becomes of a window.

use proptest::prelude::*;

use super::*;

type Facts = (Option<u64>, Option<u64>, Option<bool>, Option<bool>, Option<bool>);

fn facts(info: ModelInfo) -> Facts {
    assert_eq!(info.effective_window_percent, 95);
    assert_eq!(info.auto_compact_token_limit, None);
    let ModelInfo { context_window, max_output_tokens, reasoning, verbosity, .. } = info;
    (context_window, max_output_tokens, reasoning, verbosity, info.parallel_calls)
}

#[test]
fn every_family_has_its_facts() {
    const NO: Option<bool> = Some(false);
    const YES: Option<bool> = Some(true);
    let o = (Some(200_000), Some(100_000), YES, NO, None);
    let gpt_5 = (Some(272_000), Some(128_000), YES, YES, None);
    let parallel = (Some(272_000), Some(128_000), YES, YES, YES);
    let open = (Some(96_000), Some(32_000), None, NO, None);
    let nothing = (None, None, None, None, None);
    let table: &[(&str, Facts)] = &[
        ("o3", o),
        ("o3-2025-04-16", o),
        ("o4-mini", o),
        ("codex-mini-latest", o),
        ("gpt-4.1", (Some(1_047_576), Some(32_768), NO, NO, None)),
        ("gpt-4.1-mini", (Some(1_047_576), Some(32_768), NO, NO, None)),
        ("gpt-4o", (Some(128_000), None, NO, NO, None)),
        ("gpt-4o-2024-05-13", (Some(128_000), None, NO, NO, None)),
        ("gpt-3.5-turbo", (Some(16_385), Some(4_096), NO, NO, None)),
        ("gpt-3.5-other", (None, None, NO, NO, None)),
        ("gpt-oss-20b", open),
        ("gpt-oss-120b", open),
        ("openai/gpt-oss-20b", open),
        ("openai/gpt-oss-120b:free", open),
        ("gpt-oss-7b", (None, None, None, NO, None)),
        ("openai/gpt-oss", (None, None, None, NO, None)),
        ("gpt-5", gpt_5),
        ("gpt-5-mini", gpt_5),
        ("gpt-5-codex", gpt_5),
        ("codex-mini", gpt_5),
        ("codex-1", gpt_5),
        ("codex-exp-1", parallel),
        ("test-gpt-5-codex", parallel),
        ("test-gpt-5", nothing),
        ("GPT-5", nothing),
        ("openai/gpt-5", nothing),
        ("gpt", nothing),
        ("", nothing),
    ];
    for (slug, expected) in table {
        assert_eq!(facts(ModelTable::builtin().find(slug)), *expected, "{slug}");
        assert_eq!(known(slug), ModelTable::default().find(slug), "{slug}");
    }
    let unreached = builtin::ROWS.iter().find(|(prefix, info)| known(prefix) != *info);
    assert_eq!(unreached, None, "a row that another hides");
}

fn sized(tokens: u64) -> ModelInfo {
    ModelInfo { context_window: Some(tokens), ..ModelInfo::default() }
}

#[test]
fn a_user_extends_and_overrides_and_nothing_else_changes() {
    let builtin = ModelTable::builtin();
    let mine = builtin.clone().with("gpt-5", sized(1)).with("mine", sized(2)).with("", sized(3));
    let window = |slug: &str| mine.find(slug).context_window;
    assert_eq!(window("gpt-5-codex"), Some(1), "overridden, whole family");
    assert_eq!(mine.find("gpt-5").reasoning, None, "a row is replaced, not mixed");
    assert_eq!(window("mine-7b"), Some(2));
    assert_eq!(window("min"), Some(3), "the empty prefix begins every slug");
    assert_eq!(window("codex-exp-1"), Some(272_000), "a longer prefix counts");
    assert_eq!(mine.find("o3"), builtin.find("o3"));
    assert_eq!(ModelTable::empty().find("gpt-5"), ModelInfo::default());
    assert_ne!(builtin, mine, "the original is as it was");
}

#[test]
fn a_table_is_json() {
    let json = r#"{"a": {"context_window": 8, "parallel_calls": false}, "b": {}}"#;
    let rows: ModelTable = serde_json::from_str(json).unwrap();
    let a = ModelInfo { parallel_calls: Some(false), ..sized(8) };
    let expected = ModelTable::empty().with("a", a).with("b", ModelInfo::default());
    assert_eq!(rows, expected);
    let text = serde_json::to_string(&ModelTable::builtin().with_all(&rows)).unwrap();
    let back: ModelTable = serde_json::from_str(&text).unwrap();
    assert_eq!(back, ModelTable::builtin().with_all(&rows));
    for (bad, part) in [
        (r#"{"a": {"context_windw": 8}}"#, "`context_windw`"),
        (r#"{"a": {}, "b": {}, "a": {}}"#, "prefix `a` is there twice"),
        (r#"{"a": {"context_window": -1}}"#, "integer `-1`"),
        (r#"["a"]"#, "an object of model prefixes"),
    ] {
        let error = serde_json::from_str::<ModelTable>(bad).unwrap_err().to_string();
        assert!(error.contains(part), "{bad}: {error}");
    }
}

fn resolved(window: ContextWindow) -> (u64, u64, u64, WindowSource) {
    let ContextWindow { raw_tokens, effective_tokens, auto_compact_tokens, source } = window;
    (raw_tokens, effective_tokens, auto_compact_tokens, source)
}

/// A slug, the window that is configured, the learned one, the limit that is configured; and what
/// becomes of them.
type Case = (&'static str, Option<u64>, Option<u64>, Option<u64>, (u64, u64, u64, WindowSource));

#[test]
fn a_window_is_configured_else_learned_else_known_else_assumed() {
    use WindowSource::{Assumed, Configured, Learned, Table};
    let row = ModelInfo {
        effective_window_percent: 50,
        auto_compact_token_limit: Some(7),
        ..sized(1_000)
    };
    let table = ModelTable::builtin().with("own", row);
    let (window, limit) = (Some(10_000), Some(5));
    let cases: &[Case] = &[
        ("gpt-5-codex", None, None, None, (272_000, 258_400, 244_800, Table)),
        ("gpt-3.5-turbo", None, None, None, (16_385, 15_565, 14_746, Table)),
        ("new", None, None, None, (128_000, 121_600, 115_200, Assumed)),
        ("new", None, None, limit, (128_000, 121_600, 5, Assumed)),
        ("new", None, Some(4_096), None, (4_096, 3_891, 3_686, Learned)),
        ("gpt-5", None, Some(4_096), None, (4_096, 3_891, 3_686, Learned)),
        ("gpt-5", window, Some(4_096), None, (10_000, 9_500, 9_000, Configured)),
        ("new", window, None, limit, (10_000, 9_500, 5, Configured)),
        ("own", None, None, None, (1_000, 500, 7, Table)),
        ("own", None, None, limit, (1_000, 500, 5, Table)),
        ("own", None, Some(100), None, (100, 50, 90, Learned)),
        ("own", window, None, None, (10_000, 5_000, 9_000, Configured)),
    ];
    for (slug, context_window, learned, auto_compact_token_limit, expected) in cases {
        let (context_window, auto_compact_token_limit) =
            (*context_window, *auto_compact_token_limit);
        let config = WindowConfig { context_window, auto_compact_token_limit };
        let window = table.window(slug, config, *learned);
        assert_eq!(resolved(window), *expected, "{slug}");
        let known = (expected.3 != Assumed).then_some(expected.1);
        assert_eq!(window.known_tokens(), known, "{slug}");
    }
}

fn slug() -> impl Strategy<Value = String> {
    "[ab-]{0,6}"
}

proptest! {
    /// The longest prefix of the table counts, in whatever order rows came.
    #[test]
    fn the_longest_prefix_counts(
        rows in prop::collection::vec((slug(), 0..1_000_u64), 0..12),
        slug in slug(),
    ) {
        let add = |table: ModelTable, (prefix, tokens): &(String, u64)| {
            table.with(prefix.clone(), sized(*tokens))
        };
        let table = rows.iter().fold(ModelTable::empty(), add);
        // Naively: from the whole slug downwards, the newest row with just that prefix.
        let longest = (0..=slug.len()).rev().find_map(|length| {
            rows.iter().rev().find(|(prefix, _)| *prefix == slug[..length])
        });
        prop_assert_eq!(table.find(&slug).context_window, longest.map(|(_, tokens)| *tokens));
    }

    #[test]
    fn no_window_overflows_and_no_part_is_larger_than_the_whole(
        tokens in any::<u64>(), percent in any::<u8>(),
    ) {
        let info = ModelInfo { effective_window_percent: percent, ..sized(tokens) };
        let window = ContextWindow::resolve(&info, WindowConfig::default(), None);
        prop_assert!(window.effective_tokens <= tokens && window.auto_compact_tokens <= tokens);
    }
}
