//! What turns use and cost, and what they may.

use longhaul::history::usage::TokenUsage;
use longhaul::prelude::*;
use longhaul::state::budget::{Budget, Price, PriceTable};
use longhaul::transport::ModelError;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::{ResponseBuilder, Usage};
use longhaul_transport::ErrorCode;

use super::support::{Probe, lines, scripted};

/// 1,000 tokens in, 400 of them cached, 200 out, 150 of them thought.
fn usage() -> Usage {
    Usage { input_tokens: 1_000, cached_tokens: 400, output_tokens: 200, reasoning_tokens: 150 }
}

fn costly() -> ResponseBuilder {
    ResponseBuilder::new().call("c1", "look", "{}").usage_full(usage())
}

/// 1 for a million tokens of input, a tenth for cached ones, 10 for output.
fn prices() -> PriceTable {
    PriceTable::default().with("test-", Price::per_million(1.0, 0.1, 10.0))
}

/// What a response like that costs.
const COST: f64 = (600.0 + 40.0 + 2_000.0) / 1e6;

#[tokio::test]
async fn use_and_cost_are_told_by_request_by_turn_and_by_session() {
    let model = ScriptedModel::new()
        .respond(costly())
        .respond(ResponseBuilder::new().text("done").usage_full(usage()))
        .respond(ResponseBuilder::new().text("more").usage_full(usage()));
    let agent = scripted(&model).tool(Probe::echo("look")).prices(prices());
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let mut requests = Vec::new();
    while let Some(event) = turn.next().await {
        if let Event::TokenCount { info: Some(info), .. } = event {
            let last = info.last_token_usage;
            requests.push((last.input, last.cached_input, last.output, last.reasoning_output));
        }
    }
    assert_eq!(requests, [(1_000, 400, 200, 150); 2]);
    let result = turn.await.unwrap();
    let used = result.usage;
    assert_eq!(
        (used.input, used.cached_input, used.output, used.reasoning_output, used.total),
        (2_000, 800, 400, 300, 2_400)
    );
    assert!((result.cost - 2.0 * COST).abs() < 1e-12, "{}", result.cost);
    session.prompt("on").await.unwrap().await.unwrap();
    assert!((session.cost() - 3.0 * COST).abs() < 1e-12);
}

#[tokio::test]
async fn a_turn_that_has_used_its_budget_stops_and_the_session_goes_on() {
    let mut requests = Budget::requests(2);
    requests.tokens = Some(1_000_000);
    for (budget, told) in [
        (Budget::tokens(2_400), "used 2400 of 2400 tokens"),
        (Budget::cost(1.5 * COST), "cost 0.0053 of 0.0040"),
        (requests, "sent 2 of 2 requests"),
    ] {
        let model =
            ScriptedModel::new().respond(costly()).respond(costly()).text("and now I answer");
        let agent = scripted(&model).tool(Probe::echo("look")).prices(prices()).turn_budget(budget);
        let session = agent.build().unwrap().session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        let seen = lines(&mut turn).await;
        assert_eq!(
            seen[seen.len() - 3..],
            ["end c1 ok {}", "error budget_exceeded", "complete -"],
            "outputs are recorded first"
        );
        let error = turn.await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the turn {told}, its budget; raise the budget, or ask for less in one turn")
        );
        assert!(!error.is_retryable() && error.session_can_go_on());
        let result = session.prompt("and now?").await.unwrap().await.unwrap();
        assert_eq!(result.last_message.as_deref(), Some("and now I answer"));
        model.assert_complete();
    }
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[expect(dead_code, reason = "no answer is one")]
struct City {
    name: String,
}

#[tokio::test]
async fn the_budget_of_a_turn_holds_over_its_repairs() {
    for (requests, answers) in [(1, 1), (2, 2)] {
        let model = ScriptedModel::new().text("prose").repeat_last();
        let agent = scripted(&model).turn_budget(Budget::requests(requests));
        let session = agent.build().unwrap().session().start().await.unwrap();
        let turn = session.prompt_as_with::<City>("which?", 5).await.unwrap();
        let error = turn.await.unwrap_err().to_string();
        assert!(error.contains(&format!("sent {requests} of {requests} requests")), "{error}");
        assert_eq!(model.requests().len(), answers);
    }
}

#[tokio::test]
async fn a_response_that_ends_early_is_paid_for_and_counts_for_the_budget() {
    let cut = || ResponseBuilder::new().text("so").usage_full(usage()).incomplete("content_filter");
    let model = ScriptedModel::new().respond(cut()).text("well");
    let agent = scripted(&model).prices(prices());
    let session = agent.build().unwrap().session().start().await.unwrap();
    let error = session.prompt("go").await.unwrap().await.unwrap_err();
    assert_eq!(error.code(), "response_incomplete");
    assert_eq!(session.token_count().0.unwrap().total_token_usage.total, 1_200);
    assert!((session.cost() - COST).abs() < 1e-12, "{}", session.cost());

    let failed = ModelError::new(ErrorCode::ServerError, "down")
        .with_usage(Some(TokenUsage { total: 1_200, ..TokenUsage::default() }));
    let model = ScriptedModel::new().fail(failed).text("well");
    let agent = scripted(&model).turn_budget(Budget::tokens(1_200));
    let session = agent.build().unwrap().session().start().await.unwrap();
    let error = session.prompt("go").await.unwrap().await.unwrap_err();
    assert_eq!(error.code(), "budget_exceeded", "before it is repeated");
}

#[tokio::test]
async fn a_compaction_asks_no_more_often_than_the_budget_allows() {
    for (budget, expected) in [(None, 3), (Some(2), 2), (Some(1), 1)] {
        let too_long = ModelError::new(ErrorCode::ContextWindowExceeded, "too long");
        let model = ["one", "two", "three", "four"]
            .into_iter()
            .fold(ScriptedModel::new(), |model, text| model.text(text.repeat(2_000)));
        let model = model.fail(too_long.retryable(false)).repeat_last();
        let agent =
            scripted(&model).turn_budget(budget.map_or_else(Budget::default, Budget::requests));
        let session = agent.build().unwrap().session().start().await.unwrap();
        for text in ["a", "b", "c", "d"] {
            session.prompt(text).await.unwrap().await.unwrap();
        }
        // How it ends is not the point.
        let _ = session.compact().unwrap().await;
        assert_eq!(model.requests().len() - 4, expected, "{budget:?}");
    }
}
