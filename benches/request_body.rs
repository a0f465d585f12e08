//! What one request body costs, against serialising the conversation anew and against copying
//! the finished bytes.

use std::error::Error;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use longhaul_benches::{history, recorded, sent};
use longhaul_history::{History, Prompt, ReasoningFilter};
use longhaul_transport::request::{Reasoning, ToolList};
use longhaul_transport::{ModelError, Provider, Request, ToolSpec, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A request body as one struct: what is not `input`, and the conversation.
#[derive(Serialize, Deserialize)]
struct Body<T> {
    input: Vec<T>,
    #[serde(flatten)]
    head: Map<String, Value>,
}

/// Items as most agents hold them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TypedItem {
    Message { role: String, content: Vec<Part> },
    Reasoning { summary: Vec<Part>, encrypted_content: String },
    FunctionCall { call_id: String, name: String, arguments: String },
    FunctionCallOutput { call_id: String, output: String },
}

#[derive(Clone, Serialize, Deserialize)]
struct Part {
    r#type: String,
    text: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    for items in [100, 1_000, 10_000] {
        compare(&mut criterion, items)?;
    }
    criterion.final_summary();
    Ok(())
}

fn compare(criterion: &mut Criterion, items: usize) -> Result<(), Box<dyn Error>> {
    let provider = Provider::custom("http://127.0.0.1:8080/v1")?;
    let history = history(&recorded(items))?;
    let request = request();
    let finished = body(&request, &history, &provider)?.to_vec();

    let values: Body<Value> = serde_json::from_slice(&finished)?;
    assert!(values.input == sent(items), "longhaul sends what a naive agent sends");
    let typed: Body<TypedItem> = serde_json::from_slice(&finished)?;
    let whole: Value = serde_json::from_slice(&finished)?;
    assert!(serde_json::to_value(&values)? == whole);
    assert!(serde_json::to_value(&typed)? == whole);

    let mut group = criterion.benchmark_group("request_body");
    group.throughput(Throughput::Bytes(finished.len() as u64));
    group.bench_function(BenchmarkId::new("longhaul", items), |b| {
        b.iter(|| body(&request, black_box(&history), &provider));
    });
    group.bench_function(BenchmarkId::new("values", items), |b| {
        b.iter(|| serde_json::to_vec(black_box(&values)));
    });
    group.bench_function(BenchmarkId::new("typed_cloned", items), |b| {
        b.iter(|| serde_json::to_vec(&black_box(&typed).copied()));
    });
    group.bench_function(BenchmarkId::new("copy_of_bytes", items), |b| {
        b.iter(|| black_box(&finished).clone());
    });
    group.finish();
    Ok(())
}

impl<T: Clone> Body<T> {
    /// With the conversation copied, as it is where the request owns its input.
    fn copied(&self) -> Self {
        Self { input: self.input.clone(), head: self.head.clone() }
    }
}

fn body(request: &Request, history: &History, provider: &Provider) -> Result<Bytes, ModelError> {
    let mut request = request.clone();
    request.input = history.prompt(ReasoningFilter::CurrentTurn);
    encode(&request, provider)
}

/// Everything but the conversation, of the size that coding agents send: 8 KB of instructions and
/// eight tools.
fn request() -> Request {
    let mut request = Request::new("gpt-5", Prompt::default());
    request.instructions = Some("Change no file that the task does not name.\n".repeat(180).into());
    request.reasoning = Some(Reasoning { effort: Some("high".into()), summary: None });
    request.session_id = "0199a213-81c0-7800-8aa1-bbab2a035a53".into();
    let parameters = json!({"type": "object", "additionalProperties": false,
        "properties": {"path": {"type": "string", "description": "A path in the project"}}});
    let tool = |index| {
        let name = format!("tool_{index}");
        ToolSpec::function(name, "Reads, writes or lists files.", parameters.clone())
    };
    let tools: Vec<ToolSpec> = (0..8).map(tool).collect();
    request.tools = ToolList::new(&tools);
    request
}
