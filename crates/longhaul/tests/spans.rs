//! What observers see: spans under the one in which the caller gave its input, with the names of the
//! conventions, and nothing of what was said.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use longhaul::tool::tool;
use longhaul::transport::{ErrorCode, ModelError, Provider};
use longhaul::{Agent, Session};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Reply, Server};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

type Fields = BTreeMap<&'static str, String>;

/// Spans with all their fields, by their paths from the root, in the order in which they began; and
/// the texts of all events with theirs.
#[derive(Clone, Default)]
struct Observed(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    spans: Vec<(u64, String, Fields)>,
    events: Vec<(Level, String, Fields)>,
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Observed {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Reader(&mut fields));
        let span = context.span(id).unwrap();
        let path: Vec<_> = span.scope().from_root().map(|span| span.name()).collect();
        self.0.lock().unwrap().spans.push((id.into_u64(), path.join("/"), fields));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut log = self.0.lock().unwrap();
        let span = log.spans.iter_mut().rev().find(|(known, ..)| *known == id.into_u64());
        record.record(&mut Reader(&mut span.unwrap().2));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let mut text = fields.remove("message").unwrap_or_default();
        let around =
            context.event_scope(event).map(|scope| scope.from_root().last().unwrap().name());
        write!(text, " in {}", around.unwrap_or("nothing")).unwrap();
        self.0.lock().unwrap().events.push((*event.metadata().level(), text, fields));
    }
}

impl Observed {
    fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().spans.iter().map(|(_, path, _)| path.clone()).collect()
    }

    /// The fields of the n-th span with this path.
    fn fields(&self, path: &str, index: usize) -> Fields {
        let log = self.0.lock().unwrap();
        let mut spans = log.spans.iter().filter(|(_, known, _)| known == path);
        spans.nth(index).unwrap().2.clone()
    }

    fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().events.iter().map(|(_, text, _)| text.clone()).collect()
    }

    /// Everything that was seen at DEBUG and above.
    fn all(&self) -> String {
        let log = self.0.lock().unwrap();
        let events: Vec<_> =
            log.events.iter().filter(|(level, ..)| *level <= Level::DEBUG).collect();
        format!("{:?} {events:?}", log.spans)
    }
}

fn fields<const N: usize>(of: &Fields, names: [&str; N]) -> [String; N] {
    names.map(|name| of.get(name).cloned().unwrap_or_else(|| "-".into()))
}

async fn session(model: &ScriptedModel) -> Session {
    let weather = tool("weather", "Weather.", |_: BTreeMap<String, String>| async {
        tracing::info!("a tool's own event");
        Ok::<_, std::io::Error>("private-output")
    });
    let agent = Agent::builder("test-model", Arc::new(model.clone())).tool(weather);
    agent.build().unwrap().session().start().await.unwrap()
}

#[tokio::test]
async fn the_spans_of_a_turn_are_children_of_the_callers() {
    let observed = Observed::default();
    let registry = tracing_subscriber::registry().with(observed.clone());
    let _guard = tracing::subscriber::set_default(registry);
    let model = ScriptedModel::new()
        .fail(ModelError::new(ErrorCode::ServerError, "busy").with_status(503))
        .call("call_1", "weather", r#"{"city":"private-argument"}"#)
        .text("private-answer");
    let session = session(&model).await;
    let caller = tracing::info_span!("caller");
    let turn = session.prompt("private-question").instrument(caller).await.unwrap();
    let turn_id = turn.id().to_owned();
    turn.await.unwrap();
    session.shutdown().await.unwrap();

    assert_eq!(
        observed.paths(),
        [
            "caller",
            "caller/invoke_agent",
            "caller/invoke_agent/chat",
            "caller/invoke_agent/chat/attempt",
            "caller/invoke_agent/chat/attempt",
            "caller/invoke_agent/execute_tool",
            "caller/invoke_agent/chat",
            "caller/invoke_agent/chat/attempt",
        ]
    );
    let agent = observed.fields("caller/invoke_agent", 0);
    let names = ["gen_ai.operation.name", "gen_ai.request.model", "longhaul.turn_id", "error.type"];
    assert_eq!(fields(&agent, names), ["invoke_agent", "test-model", &turn_id, "-"]);
    assert_eq!(agent["gen_ai.conversation.id"], session.id());

    let chat = observed.fields("caller/invoke_agent/chat", 0);
    let names = ["otel.name", "otel.kind", "gen_ai.operation.name", "gen_ai.request.model"];
    assert_eq!(fields(&chat, names), ["chat test-model", "client", "chat", "test-model"]);
    let names = ["longhaul.attempts", "longhaul.task", "gen_ai.conversation.id", "error.type"];
    assert_eq!(fields(&chat, names), ["2", "standard", session.id(), "-"]);
    for name in ["gen_ai.response.id", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        assert!(chat.contains_key(name), "{name}: {chat:?}");
    }

    let names = ["http.request.resend_count", "http.response.status_code", "error.type"];
    let attempt = |index| observed.fields("caller/invoke_agent/chat/attempt", index);
    assert_eq!(fields(&attempt(0), names), ["0", "503", "server_error"]);
    assert_eq!(fields(&attempt(1), names), ["1", "-", "-"]);

    let tool = observed.fields("caller/invoke_agent/execute_tool", 0);
    let names = ["otel.name", "gen_ai.tool.name", "gen_ai.tool.call.id"];
    assert_eq!(fields(&tool, names), ["execute_tool weather", "weather", "call_1"]);

    let events = observed.events();
    for event in [
        "a turn begins in invoke_agent",
        "an attempt failed in attempt",
        "the first event in attempt",
        "the response is complete in attempt",
        "a tool's own event in execute_tool",
        "a turn ends in invoke_agent",
    ] {
        assert!(events.iter().any(|seen| seen == event), "{event}: {events:?}");
    }
    assert!(!observed.all().contains("private"), "{}", observed.all());
}

#[tokio::test]
async fn a_turn_that_fails_says_so_in_its_span() {
    let observed = Observed::default();
    let registry = tracing_subscriber::registry().with(observed.clone());
    let _guard = tracing::subscriber::set_default(registry);
    let model = ScriptedModel::new().fail(ModelError::new(ErrorCode::InvalidRequest, "no"));
    let session = session(&model).await;
    session.prompt("hello").await.unwrap().await.unwrap_err();
    for path in ["invoke_agent", "invoke_agent/chat", "invoke_agent/chat/attempt"] {
        assert_eq!(observed.fields(path, 0)["error.type"], "invalid_request", "{path}");
    }
}

#[tokio::test]
async fn a_server_is_named_in_the_spans_of_its_calls() {
    let observed = Observed::default();
    let registry = tracing_subscriber::registry().with(observed.clone());
    let _guard = tracing::subscriber::set_default(registry);
    let server = Server::start(Reply::text("hello")).await.unwrap();
    let provider = Provider::custom(&server.base_url()).unwrap();
    let agent = Agent::builder("test-model", provider).context_window(1000).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("hello").await.unwrap().await.unwrap();
    let chat = observed.fields("invoke_agent/chat", 0);
    let names = ["gen_ai.provider.name", "server.address", "server.port"];
    let port = server.addr().port().to_string();
    assert_eq!(fields(&chat, names), ["custom", "127.0.0.1", &port]);
    let attempt = observed.fields("invoke_agent/chat/attempt", 0);
    assert_eq!(
        fields(&attempt, ["http.request.method", "http.response.status_code"]),
        ["POST", "200"]
    );
}
