//! How long the end of a response takes from the network's hand to the caller's, against a bare hop
//! through the same channel.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use criterion::Criterion;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use longhaul_benches::deltas;
use longhaul_history::Prompt;
use longhaul_transport::exchange::{Exchange, ExchangeError, HttpRequest, HttpResponse};
use longhaul_transport::{Model, Provider, Request, ResponsesClient};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{JoinHandle, yield_now};

/// Pieces that are under way at most.
const CAPACITY: usize = 8;

/// The end as OpenAI sends it, with the message once more.
const COMPLETED: &str = concat!(
    "event: response.completed\n",
    r#"data: {"type":"response.completed","sequence_number":12,"response":{"id":"resp_68af2b3f1d00","#,
    r#""object":"response","created_at":1755786047,"status":"completed","error":null,"#,
    r#""incomplete_details":null,"model":"gpt-5","output":[{"id":"msg_68af2b3f1d00","type":"message","#,
    r#""status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"#,
    r#""logprobs":[],"text":"The parser keeps the text as it came."}]}],"parallel_tool_calls":true,"#,
    r#""usage":{"input_tokens":1200,"input_tokens_details":{"cached_tokens":1024},"output_tokens":90,"#,
    r#""output_tokens_details":{"reasoning_tokens":64},"total_tokens":1290},"metadata":{}}}"#,
    "\n\n",
);

fn main() -> std::io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_current_thread().enable_time().build()?;
    assert!(runtime.block_on(response()).is_some() && runtime.block_on(hop()).is_some());
    let mut group = criterion.benchmark_group("sse_end");
    group.bench_function("longhaul", |b| b.iter_custom(|n| sum(&runtime, n, response)));
    group.bench_function("channel_hop", |b| b.iter_custom(|n| sum(&runtime, n, hop)));
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn sum<F: Future<Output = Option<Duration>>>(
    runtime: &Runtime,
    times: u64,
    measure: impl Fn() -> F,
) -> Duration {
    let round = |_| {
        let took = runtime.block_on(measure());
        assert!(took.is_some(), "a round failed, and failures are fast");
        took.unwrap_or_default()
    };
    (0..times).map(round).sum()
}

/// From the piece that holds the terminal event to the event.
async fn response() -> Option<Duration> {
    let (network, pieces) = mpsc::channel(CAPACITY);
    let wire = Arc::new(Wire(Mutex::new(Some(pieces))));
    let client = ResponsesClient::with_exchange(Provider::neutral(), wire);
    let caller = tokio::spawn(async move {
        let request = Request::new("m", Prompt::default());
        let mut stream = client.stream(&request).await.ok()?;
        while !stream.next().await?.ok()?.is_terminal() {}
        Some(Instant::now())
    });
    until_taken(network, caller).await
}

/// The same way without a response.
async fn hop() -> Option<Duration> {
    let (network, mut pieces) = mpsc::channel(CAPACITY);
    let caller = tokio::spawn(async move {
        while pieces.recv().await? != COMPLETED.as_bytes() {}
        Some(Instant::now())
    });
    until_taken(network, caller).await
}

/// From the last piece's way into the channel to the time that the caller names.
async fn until_taken(
    network: Sender<Bytes>,
    caller: JoinHandle<Option<Instant>>,
) -> Option<Duration> {
    network.send(deltas::stream(10).into()).await.ok()?;
    settle().await;
    let start = Instant::now();
    network.send(Bytes::from_static(black_box(COMPLETED.as_bytes()))).await.ok()?;
    Some(caller.await.ok()?? - start)
}

/// Lets the caller take what is there and wait for more.
async fn settle() {
    for _ in 0..3 {
        yield_now().await;
    }
}

/// One response, its body out of a channel.
struct Wire(Mutex<Option<Receiver<Bytes>>>);

#[async_trait]
impl Exchange for Wire {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let body = stream::unfold(pieces, async |pieces| {
            let mut pieces = pieces?;
            let piece = pieces.recv().await?;
            Some((Ok(piece), Some(pieces)))
        });
        Ok(HttpResponse::new(StatusCode::OK, HeaderMap::new(), body.boxed()))
    }
}
