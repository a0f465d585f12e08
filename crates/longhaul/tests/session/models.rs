//! What a model gets follows from what is known of it, turn by turn; what is configured wins.

use std::sync::Arc;

use longhaul::coding::default_reasoning;
use longhaul::compaction::Compaction;
use longhaul::prelude::*;
use longhaul::transport::models::{ContextWindow, ModelInfo, ModelTable, WindowSource};
use longhaul::transport::request::{Reasoning, Verbosity};
use longhaul::{AgentBuilder, BuildError};
use longhaul_state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Reply, Server};
use longhaul_transport::{ErrorCode, ModelError};
use serde_json::{Value, json};

use super::support::{Probe, line, lines, provider};

fn agent(model: &str, scripted: &ScriptedModel) -> AgentBuilder {
    longhaul::Agent::builder(model, Arc::new(scripted.clone()))
}

fn another(model: &str) -> SettingsUpdate {
    let mut change = SettingsUpdate::default();
    change.model = Some(model.into());
    change
}

/// Effective tokens, limit of compaction, and on whose word.
fn facts(window: ContextWindow) -> (u64, u64, WindowSource) {
    (window.effective_tokens, window.auto_compact_tokens, window.source)
}

/// What of a body a switch of models changes.
fn sent(body: &Value) -> Value {
    json!([
        body["model"],
        body["reasoning"],
        body["include"] != json!([]),
        body["text"],
        body["parallel_tool_calls"]
    ])
}

/// The rows of the user's own table.
fn table() -> ModelTable {
    let mut own = ModelInfo::default();
    own.context_window = Some(1_000);
    own.reasoning = Some(true);
    own.verbosity = Some(false);
    own.parallel_calls = Some(false);
    ModelTable::builtin().with("own-", own)
}

const MODELS: [&str; 6] = ["gpt-5-codex", "gpt-4.1", "unheard-of", "own-model", "o3", "gpt-5"];

#[tokio::test]
async fn a_model_switch_resolves_anew_what_is_not_configured() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let agent = agent(MODELS[0], &model)
        .models(table())
        .default_reasoning(default_reasoning)
        .tool(Probe::echo("echo"))
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    let mut windows = Vec::new();
    for model in MODELS {
        session.configure(another(model)).await.unwrap();
        let mut turn = session.prompt("x").await.unwrap();
        let Some(Event::TurnStarted { model_context_window }) = turn.next().await else {
            panic!("every turn begins with its start");
        };
        let window = session.context_window();
        assert_eq!(model_context_window, window.known_tokens(), "{model}");
        windows.push(facts(window));
        turn.await.unwrap();
    }
    let expected = [
        (258_400, 244_800, WindowSource::Table),
        (995_197, 942_818, WindowSource::Table),
        (121_600, 115_200, WindowSource::Assumed),
        (950, 900, WindowSource::Table),
        (190_000, 180_000, WindowSource::Table),
        (258_400, 244_800, WindowSource::Table),
    ];
    assert_eq!(windows, expected);
    let auto = json!({"summary": "auto"});
    let bodies: Vec<_> = model.requests().iter().map(|request| sent(&request.body)).collect();
    let expected = [
        json!(["gpt-5-codex", auto, true, null, true]),
        json!(["gpt-4.1", null, false, null, true]),
        json!(["unheard-of", null, false, null, true]),
        json!(["own-model", auto, true, null, false]),
        json!(["o3", auto, true, null, true]),
        json!(["gpt-5", auto, true, null, true]),
    ];
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn what_is_configured_wins_for_every_model_that_knows_the_field() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let low = Reasoning { effort: Some("low".into()), summary: None };
    let agent = agent(MODELS[0], &model)
        .models(table())
        .default_reasoning(default_reasoning)
        .reasoning(low)
        .verbosity(Verbosity::Low)
        .context_window(10_000)
        .auto_compact_token_limit(7)
        .compaction(Compaction::Off)
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    for model in MODELS {
        session.configure(another(model)).await.unwrap();
        assert_eq!(facts(session.context_window()), (9_500, 7, WindowSource::Configured));
        session.prompt("x").await.unwrap().await.unwrap();
    }
    let bodies: Vec<_> = model.requests().iter().map(|request| sent(&request.body)).collect();
    let verbosity = json!({"verbosity": "low"});
    let (low, low_auto) = (json!({"effort": "low"}), json!({"effort": "low", "summary": "auto"}));
    let expected = [
        json!(["gpt-5-codex", low_auto, true, verbosity, false]),
        json!(["gpt-4.1", null, false, null, false]),
        json!(["unheard-of", low, true, verbosity, false]),
        json!(["own-model", low_auto, true, null, false]),
        json!(["o3", low_auto, true, null, false]),
        json!(["gpt-5", low_auto, true, verbosity, false]),
    ];
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn an_assumed_window_is_told_once_per_model() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let agent = agent("a", &model).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut told = Vec::new();
    for model in ["a", "a", "b", "gpt-5", "a", "b"] {
        session.configure(another(model)).await.unwrap();
        let events = lines(&mut session.prompt("x").await.unwrap()).await;
        assert_eq!(events[0], "started");
        let warned = events.iter().filter(|event| event.starts_with("background"));
        assert_eq!(warned.count(), usize::from(events[1].starts_with("background")), "{events:?}");
        told.push(events[1].clone());
    }
    let warning = |model: &str| {
        format!(
            "background the context window of `{model}` is not known; 128000 tokens are assumed: \
             set `context_window`"
        )
    };
    let none = || "item+ user".to_owned();
    assert_eq!(told, [warning("a"), none(), warning("b"), none(), none(), none()]);
}

fn overflow(tokens: Option<u64>) -> ModelError {
    ModelError::new(ErrorCode::ContextWindowExceeded, "too long").with_tokens(None, tokens)
}

/// The window of each event that names one.
async fn windows(session: &Session) -> Vec<(String, Option<u64>)> {
    let mut turn = session.prompt("x").await.unwrap();
    let mut windows = Vec::new();
    while let Some(event) = turn.next().await {
        match &event {
            Event::TurnStarted { model_context_window } => {
                windows.push((line(&event), *model_context_window));
            }
            Event::TokenCount { info: Some(info), .. } => {
                windows.push((line(&event), info.model_context_window));
            }
            _ => {}
        }
    }
    windows
}

#[tokio::test]
async fn a_window_is_learned_from_the_error_that_names_it_at_once() {
    let model = ScriptedModel::new()
        .usage(100, 20)
        .text("x")
        .fail(overflow(Some(8_192)))
        .text("y")
        .fail(overflow(Some(4_096)))
        .fail(overflow(None))
        .text("z");
    let agent = agent("local", &model).compaction(Compaction::Off).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let seen = |name: &str, window: Option<u64>| (name.to_owned(), window);
    let unknown = [seen("started", None), seen("tokens 120", None)];
    assert_eq!(windows(&session).await, unknown);
    // The error shows the window full.
    let learned = [seen("started", None), seen("tokens 120", Some(7_782))];
    assert_eq!(windows(&session).await, learned);
    let (info, _) = session.token_count();
    assert_eq!(info.unwrap().last_token_usage.total, 7_782);
    assert_eq!(facts(session.context_window()), (7_782, 7_372, WindowSource::Learned));
    let known = [seen("started", Some(7_782)), seen("tokens 240", Some(7_782))];
    assert_eq!(windows(&session).await, known);
    // The server was started anew, with less; then it names none.
    let smaller = [seen("started", Some(7_782)), seen("tokens 240", Some(3_891))];
    assert_eq!(windows(&session).await, smaller);
    let same = [seen("started", Some(3_891)), seen("tokens 240", Some(3_891))];
    assert_eq!(windows(&session).await, same);
    // It belongs to the model.
    session.configure(another("other")).await.unwrap();
    assert_eq!(session.context_window().source, WindowSource::Assumed);
    session.configure(another("local")).await.unwrap();
    assert_eq!(session.context_window().source, WindowSource::Learned);
    windows(&session).await;
    model.assert_complete();
}

#[tokio::test]
async fn a_learned_window_is_stronger_than_the_table_and_weaker_than_the_user() {
    let model = ScriptedModel::new().fail(overflow(Some(4_096))).repeat_last();
    let table = agent("gpt-oss-20b", &model).build().unwrap();
    let configured = agent("gpt-oss-20b", &model).context_window(10_000).build().unwrap();
    for (agent, expected) in [
        (table, (3_891, 3_686, WindowSource::Learned)),
        (configured, (9_500, 9_000, WindowSource::Configured)),
    ] {
        let session = agent.session().start().await.unwrap();
        session.prompt("x").await.unwrap().await.unwrap_err();
        assert_eq!(facts(session.context_window()), expected);
    }
}

#[tokio::test]
async fn a_hosted_tool_is_sent_as_it_is_behind_the_others() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let search = json!({"type": "web_search", "filters": {"allowed_domains": ["example.com"]}});
    let agent = agent("gpt-5", &model)
        .hosted_tool(search.clone())
        .tool(Probe::echo("echo"))
        .hosted_tool(json!({"type": "code_interpreter"}))
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("x").await.unwrap().await.unwrap();
    session.set_tools(&[]).await.unwrap();
    session.prompt("x").await.unwrap().await.unwrap();
    let tools: Vec<_> = model.requests().iter().map(|r| r.body["tools"].clone()).collect();
    let hosted = [search, json!({"type": "code_interpreter"})];
    assert_eq!(tools[0][0]["name"], "echo");
    assert_eq!(tools[0].as_array().unwrap()[1..], hosted);
    assert_eq!(tools[1].as_array().unwrap()[..], hosted, "they stay when the others go");
}

#[tokio::test]
async fn a_custom_tool_is_refused_where_the_provider_knows_none() {
    let server = Server::start([Reply::text("x")]).await.unwrap();
    let mut provider = provider(&server);
    provider.features.custom_tools = false;
    let custom = || Probe::echo("patch").custom();
    let agent = || longhaul::Agent::builder("m", provider.clone());
    let error = agent().tool(custom()).build().unwrap_err();
    assert_eq!(error, BuildError::CustomTool("patch".into()));
    assert!(error.to_string().starts_with("tool `patch` takes free text"), "{error}");
    let agent = agent().tool(Probe::echo("echo")).build().unwrap();
    assert_eq!(agent.session().tool(custom()).start().await.err(), Some(error.clone()));
    let session = agent.session().start().await.unwrap();
    let tools: [Arc<dyn longhaul::tool::Tool>; 1] = [Arc::new(custom())];
    assert_eq!(session.set_tools(&tools).await, Err(error));
    session.prompt("x").await.unwrap().await.unwrap();
    server.assert_complete();
}

#[tokio::test]
async fn images_go_to_models_that_take_them_and_the_others_are_told() {
    let scripted = ScriptedModel::new().text("a cat").text("what cat?").text("that cat");
    let mut blind = ModelInfo::default();
    (blind.images, blind.context_window) = (Some(false), Some(100_000));
    let agent = agent("seeing", &scripted).models(ModelTable::builtin().with("blind", blind));
    let session = agent.build().unwrap().session().start().await.unwrap();
    let input = Input::from("look").image("data:image/png;base64,AA==");
    session.prompt(input).await.unwrap().await.unwrap();
    let mut turn = session.prompt(Input::from("and?").settings(another("blind"))).await.unwrap();
    assert!(lines(&mut turn).await.contains(&"repaired 1".to_owned()));
    session.prompt(Input::from("so?").settings(another("seeing"))).await.unwrap().await.unwrap();
    let parts = |request: usize| scripted.requests()[request].input()[0]["content"][1].clone();
    let image = json!({"type": "input_image", "image_url": "data:image/png;base64,AA=="});
    let text =
        json!({"type": "input_text", "text": "[image left out: this model takes no images]"});
    assert_eq!([0, 1, 2].map(parts), [image.clone(), text, image]);
}
