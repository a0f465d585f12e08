//! Requests, clients and what came back.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::server::Server;
use longhaul_transport::exchange::Exchange;
use longhaul_transport::{
    Model, ModelError, Provider, Request, ResponseEvent, ResponsesClient, Secret, auth::ApiKey,
};

use crate::drain::drain;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A whole response.
pub(crate) const HELLO: &str = concat!(
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hello\"}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n",
);

pub(crate) fn request() -> Request {
    let mut history = History::default();
    history.record(Item::user("u"));
    Request::new("m", history.prompt(ReasoningFilter::CurrentTurn))
}

/// A client over one exchange after another.
pub(crate) fn client(
    provider: Provider,
    courses: impl IntoIterator<Item = Course>,
) -> (ResponsesClient, ScriptedExchange) {
    let exchange = ScriptedExchange::new(courses);
    let shared: Arc<dyn Exchange> = Arc::new(exchange.clone());
    (ResponsesClient::with_exchange(provider, shared), exchange)
}

/// A provider with a key.
pub(crate) fn keyed(key: &str) -> Provider {
    Provider::neutral().with_auth(ApiKey(Secret::new(key)))
}

/// A client over real sockets.
pub(crate) fn live(server: &Server) -> ResponsesClient {
    ResponsesClient::new(Provider::custom(&server.base_url()).unwrap()).unwrap()
}

/// All events of one attempt but signs of life, and the error that ended it, if one did.
pub(crate) async fn attempt(client: &ResponsesClient) -> (Vec<ResponseEvent>, Option<ModelError>) {
    let (mut events, error) = drain(client.stream(&request()).await).await;
    events.retain(|event| !matches!(event, ResponseEvent::KeepAlive { .. }));
    (events, error)
}

/// The error of one attempt that brings nothing else.
pub(crate) async fn failure(provider: Provider, course: Course) -> ModelError {
    let (client, exchange) = client(provider, [course]);
    let (events, error) = attempt(&client).await;
    assert_eq!(events, []);
    exchange.assert_complete();
    error.unwrap()
}

pub(crate) fn fixture(name: &str) -> Bytes {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap().into()
}

/// The names of all recorded streams.
pub(crate) fn recordings() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let streams = names.filter(|name| name.split('.').next_back() == Some("sse"));
    let mut streams: Vec<String> = streams.collect();
    streams.sort();
    streams
}
