//! Windows, counts and warnings, model by model.

use super::*;
use longhaul_transport::Request;

#[test]
fn windows_are_learned_per_model_and_warnings_come_once() {
    let state = SessionState::new(History::default(), Settings::new("a"));
    state.learn_window("a", 5);
    assert!(state.take_window_warning("b"));
    let fork = state.fork();
    state.learn_window("b", 6);
    state.learn_window("b", 0);
    state.learn_window("a", 7);
    let learned = |state: &SessionState| ["a", "b", "c"].map(|m| state.learned_window(m));
    assert_eq!(learned(&state), [Some(7), Some(6), None]);
    assert_eq!(learned(&fork), [Some(5), None, None]);
    let warnings = ["a", "b", "c", "c"].map(|model| state.take_window_warning(model));
    assert_eq!(warnings, [true, false, true, false]);
}

#[test]
fn the_counts_of_a_model_follow_what_its_server_reports() {
    let state = SessionState::new(History::default(), Settings::new("a"));
    state.record([Item::user("some words ".repeat(1_000))]);
    let (filter, format) = (ReasoningFilter::default(), WireFormat::default());
    let counted = state.context_tokens("a");
    for _ in 0..16 {
        let mut request = Request::new("a", state.prompt(filter, format).0);
        request.instructions = Some("be brief ".repeat(500).into());
        let tokens = request.estimate_tokens(&*state.history().config().counter);
        assert!(tokens > counted + 500, "instructions count: {tokens} of {counted}");
        state.note_request(&request);
        let usage = TokenUsage { input: tokens * 3 / 2, ..TokenUsage::default() };
        state.record_usage(usage, None);
        // Nothing was asked: nothing is learned.
        state.record_usage(TokenUsage { input: 1, ..TokenUsage::default() }, None);
    }
    let expected = counted * 3 / 2;
    assert!(state.context_tokens("a").abs_diff(expected) <= expected / 100);
    assert_eq!(state.context_tokens("b"), counted);
    assert_eq!(state.calibration("a").observations(), 16);
}

#[test]
fn models_without_end_take_no_memory_without_end() {
    let state = SessionState::new(History::default(), Settings::new("a"));
    for number in 0..MAX_REMEMBERED_MODELS + 10 {
        let model = number.to_string();
        let is_new = number < MAX_REMEMBERED_MODELS;
        assert_eq!(state.take_window_warning(&model), is_new);
        state.learn_window(&model, 1);
        assert_eq!(state.learned_window(&model).is_some(), is_new);
    }
    state.learn_window("0", 2);
    assert_eq!(state.learned_window("0"), Some(2), "known ones still change");
}

#[test]
fn what_conversations_beside_each_other_use_adds_up() {
    let usage = |total| TokenUsage { total, ..TokenUsage::default() };
    let session = SessionState::new(History::default(), Settings::new("a"));
    session.record_usage(usage(100), None);
    session.add_cost(1.0);
    let asides = [1, 2].map(|number| {
        let aside = session.aside(session.settings());
        assert_eq!(aside.token_count().0.unwrap().total_token_usage.total, 100);
        aside.record_usage(usage(10 * number), None);
        aside.add_cost(0.5);
        aside
    });
    session.record_usage(usage(1_000), None);
    for aside in &asides {
        session.absorb(aside);
    }
    assert_eq!(session.token_count().0.unwrap().total_token_usage.total, 1_130);
    assert!((session.cost() - 2.0).abs() < 1e-9);
}

#[test]
fn an_approval_for_the_session_ends_with_its_folder() {
    let session = SessionState::new(History::default(), Settings::new("a"));
    let digest = CallDigest::of("shell", "make");
    session.grant(digest, session.grant_scope());
    let mut change = SettingsUpdate { model: Some("other".into()), ..SettingsUpdate::default() };
    session.update_settings(change.clone());
    assert!(session.is_granted(digest, session.grant_scope()));
    change.cwd = Some("/elsewhere".into());
    session.update_settings(change.clone());
    assert!(!session.is_granted(digest, session.grant_scope()));
    session.grant(digest, session.grant_scope());
    session.update_settings(change);
    assert!(session.is_granted(digest, session.grant_scope()), "it is the same folder");
}
