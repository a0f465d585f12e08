//! One agent, any number of sessions, nothing between them but the connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use longhaul::approval::{CallInQuestion, Policy, Ruling};
use longhaul::prelude::*;
use longhaul::transport::auth::ApiKey;
use longhaul::{AgentBuilder, BuildError, SessionBuilder};
use longhaul_state::protocol::ApprovalPolicy;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::Answer;
use longhaul_testkit::server::{RecordedRequest, Reply, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;

use super::support::{Probe, conversation, over_http, provider, scripted};

fn is_everywhere<T: Clone + Send + Sync + 'static>(_: &T) {}

#[tokio::test]
async fn an_agent_and_a_session_go_anywhere() {
    let agent = scripted(&ScriptedModel::new()).build().unwrap();
    is_everywhere(&agent);
    is_everywhere(&agent.session().start().await.unwrap());
}

/// What of a request belongs to its session.
fn own(request: &RecordedRequest) -> Vec<String> {
    let body = request.json();
    let tools = body["tools"].as_array().unwrap().iter().map(|tool| tool["name"].to_string());
    vec![
        request.header("authorization").unwrap_or("-").to_owned(),
        body["instructions"].to_string(),
        tools.collect::<Vec<_>>().join(","),
        body["metadata"].to_string(),
        body["prompt_cache_key"].as_str().unwrap().to_owned(),
        body["input"][0]["content"][0]["text"].to_string(),
    ]
}

#[tokio::test]
async fn each_session_has_its_own_of_everything() {
    let server =
        Server::start(Script::new().reply(Reply::text("hello")).repeat_last()).await.unwrap();
    let provider = provider(&server).with_auth(ApiKey(Secret::new("agent-key")));
    let agent = longhaul::Agent::builder("test-model", provider)
        .instructions("agent instructions")
        .tool(Probe::echo("shared"))
        .build()
        .unwrap();
    let label = |value: &str| BTreeMap::from([("tenant".to_owned(), value.to_owned())]);
    let plain = agent.session().start().await.unwrap();
    let ada = agent
        .session()
        .auth(ApiKey(Secret::new("ada-key")))
        .instructions("for Ada")
        .tool(Probe::echo("extra"))
        .metadata(label("ada"))
        .start()
        .await
        .unwrap();
    let bob = agent
        .clone()
        .session()
        .auth(ApiKey(Secret::new("bob-key")))
        .tools([])
        .metadata(label("bob"))
        .start()
        .await
        .unwrap();
    let sessions = [&plain, &ada, &bob];
    for (number, session) in sessions.into_iter().enumerate() {
        session.prompt(format!("{number}")).await.unwrap().await.unwrap();
    }
    let ids: BTreeSet<_> = sessions.iter().map(|session| session.id()).collect();
    assert_eq!(ids.len(), 3);
    let seen: Vec<_> = server.requests().iter().map(own).collect();
    let expected = [
        [
            "Bearer agent-key",
            r#""agent instructions""#,
            r#""shared""#,
            "null",
            plain.id(),
            r#""0""#,
        ],
        [
            "Bearer ada-key",
            r#""for Ada""#,
            r#""shared","extra""#,
            r#"{"tenant":"ada"}"#,
            ada.id(),
            r#""1""#,
        ],
        [
            "Bearer bob-key",
            r#""agent instructions""#,
            "",
            r#"{"tenant":"bob"}"#,
            bob.id(),
            r#""2""#,
        ],
    ];
    assert_eq!(seen, expected);
    // What happens in one shows in no other.
    ada.set_tools(&[]).await.unwrap();
    ada.shutdown().await.unwrap();
    plain.prompt("again").await.unwrap().await.unwrap();
    assert_eq!(own(&server.requests()[3])[..3], seen[0][..3]);
    assert_eq!(plain.history().len(), 4);
}

#[tokio::test]
async fn a_thousand_sessions_share_one_pool() {
    let echo = |request: &RecordedRequest| {
        Reply::text(request.input()[0]["content"][0]["text"].as_str().unwrap())
    };
    let server = Server::start(Script::new().reply_with(echo).repeat_last()).await.unwrap();
    let agent = over_http(&server).build().unwrap();
    for number in 0..1000 {
        let session = agent.session().start().await.unwrap();
        let result = session.prompt(format!("{number}")).await.unwrap().await.unwrap();
        assert_eq!(result.last_message, Some(number.to_string()));
    }
    let connections: BTreeSet<_> = server.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections.len(), 1, "{connections:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_sessions_at_once_keep_apart() {
    let model = ScriptedModel::new()
        .respond_with(|request| {
            let input = request.input();
            let question = input[0]["content"][0]["text"].as_str().unwrap().to_owned();
            let response = ResponseBuilder::new();
            Answer::from(match input.len() {
                1 => response.call("c1", "echo", &question),
                _ => response.text(input.last().unwrap()["output"].as_str().unwrap()),
            })
        })
        .repeat_last();
    let agent = scripted(&model).tool(Probe::echo("echo")).build().unwrap();
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let agent = agent.clone();
        sessions.spawn(async move {
            let session = agent.session().start().await.unwrap();
            session.prompt(format!("{number}")).await.unwrap().await.unwrap();
            let n = number;
            assert_eq!(
                conversation(&session.history()),
                [
                    format!("user {n}"),
                    format!("call c1 echo {n}"),
                    format!("output c1 {n}"),
                    format!("assistant {n}"),
                ]
            );
        });
    }
    while let Some(session) = sessions.join_next().await {
        session.unwrap();
    }
    assert_eq!(model.problems(), [""; 0]);
}

struct AsksAlways;

#[async_trait]
impl Policy for AsksAlways {
    async fn rule(&self, _: &CallInQuestion) -> Ruling {
        Ruling::Ask { arguments: None }
    }
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_a_session_opens() {
    fn build(change: impl FnOnce(AgentBuilder) -> AgentBuilder) -> BuildError {
        let agent = longhaul::Agent::builder("m", Arc::new(ScriptedModel::new()));
        change(agent).build().err().unwrap()
    }
    let asks = || {
        let mut tool = longhaul::tool::command::CommandTool::new("rm", "", &["rm"]);
        tool.needs_approval = true;
        tool
    };
    let mut options = longhaul::transport::RequestOptions::default();
    options.extra.insert("model".into(), json!("other"));
    let mut nan = longhaul::transport::RequestOptions::default();
    nan.temperature = Some(f64::NAN);
    let table = [
        (
            longhaul::Agent::builder(" ", Arc::new(ScriptedModel::new())).build().err().unwrap(),
            "`model` is empty: name one",
        ),
        (build(|a| a.cwd("here")), "`cwd` is relative: `here`; give an absolute path"),
        (
            build(|a| a.request_options(options)),
            "request option `extra.model`: the request has a field of that name; use it instead",
        ),
        (
            build(|a| a.request_options(nan)),
            "request option `temperature` is not a finite number: set one, or leave it out",
        ),
        (
            build(|a| a.hosted_tool(json!({"type": "web_search"})).hosted_tool(json!("web"))),
            "hosted tool 2: it must be a JSON object with a `type`",
        ),
        (
            build(|a| a.hosted_tool(json!({"type": "function", "name": "ls"}))),
            "hosted tool 1: its calls are answered by the client: implement `Tool` for it",
        ),
        (
            build(|a| a.tool(Probe::echo("two words"))),
            "tool name `two words`: use 1 to 64 letters, digits, `_` or `-`",
        ),
        (
            build(|a| a.tool(Probe::echo("x")).tool(Probe::echo("x"))),
            "two tools are called `x`: give each a name of its own",
        ),
        (
            build(|a| a.tool(asks())),
            "tool `rm` may ask for approval, and nobody answers: say that somebody does \
             (`approvals`), or set the approval policy to `never`",
        ),
        (
            build(|a| a.policy(AsksAlways)),
            "the policy may ask for approval, and nobody answers: say that somebody does \
             (`approvals`), or that it never asks (`Policy::may_ask`)",
        ),
    ];
    for (error, message) in table {
        assert_eq!(error.to_string(), message);
    }
    let agent = longhaul::Agent::builder("m", Arc::new(ScriptedModel::new()));
    let agent = agent.approval_policy(ApprovalPolicy::Never).tool(asks()).build().unwrap();
    let twice: SessionBuilder = agent.session().tool(asks());
    assert_eq!(twice.start().await.err(), Some(BuildError::DuplicateTool("rm".into())));
    let session = agent.session().start().await.unwrap();
    let mut change = longhaul_state::protocol::SettingsUpdate::default();
    change.approval_policy = Some(ApprovalPolicy::Always);
    assert_eq!(session.configure(change).await.unwrap_err().code(), "invalid_submission");
}
