//! Whole turns over HTTP on loopback.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::BenchmarkId;
use longhaul::prelude::*;
use longhaul_benches::answer::{self, Failure, MESSAGE};
use longhaul_benches::loopback::{Loopback, Script};
use longhaul_benches::naive::{self, Naive};
use longhaul_benches::turns;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{Group, run};

/// Whole turns.
pub(super) fn measure(group: &mut Group<'_>, runtime: &Runtime) -> Result<(), Failure> {
    let message = answer::http(&answer::message());
    let call = answer::http(&answer::call());
    for (name, replies) in [("answer", vec![message.clone()]), ("tool", vec![call, message])] {
        let start = || Loopback::start(Script { replies: replies.clone(), ..Script::default() });
        let server = start()?;
        let provider = Provider::custom(&server.base_url())?;
        let agent = turns::agent(provider).tool(turns::weather()).build()?;
        group.bench_function(BenchmarkId::new("longhaul", name), |b| {
            b.iter_custom(|n| run(runtime, turns::sum(agent.clone(), n)));
        });
        let server = start()?;
        let (client, base_url) = (naive::client()?, server.base_url());
        group.bench_function(BenchmarkId::new("by_hand", name), |b| {
            b.iter_custom(|n| run(runtime, naive::sum(client.clone(), base_url.clone(), n)));
        });
        let server = start()?;
        group.bench_function(BenchmarkId::new("bytes", name), |b| {
            b.iter_custom(|n| run(runtime, bytes_alone(server.addr(), replies.clone(), n)));
        });
    }
    Ok(())
}

/// Finished requests are sent, and as many bytes read as there will be: what no client does without.
async fn bytes_alone(
    addr: SocketAddr,
    replies: Vec<Vec<u8>>,
    times: u64,
) -> Result<Duration, Failure> {
    let request = finished_request()?;
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut read = vec![0; replies.iter().map(Vec::len).max().unwrap_or_default()];
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        for reply in &replies {
            stream.write_all(&request).await?;
            stream.read_exact(&mut read[..reply.len()]).await?;
        }
        sum += start.elapsed();
    }
    Ok(sum)
}

fn finished_request() -> Result<Vec<u8>, Failure> {
    let mut naive = Naive::new(&naive::client()?, "").with_tool();
    naive.extend([json!({"type": "message", "role": "user", "content": MESSAGE})]);
    let body = naive.body()?;
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.into_bytes(), body].concat())
}
