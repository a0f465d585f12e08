//! What is said in the conversation: the user's messages, the tool, and the scripted model.

use longhaul::compaction::SUMMARIZATION_PROMPT;
use longhaul_testkit::server::{RecordedRequest, Reply, Script};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

/// A server's tokenizer has about one token for so many bytes.
const BYTES_PER_TOKEN: usize = 4;

/// What the user says in turn `number`. Every other message names a file, which is to be read.
pub(crate) fn message(number: u32) -> String {
    let file = number / 2;
    match number % 6 {
        0 => format!("Read `src/part_{file}.rs`: does it still write to stdout?"),
        1 => "Then change that, and tell me which test would have shown it.".to_owned(),
        2 => format!("Who calls `src/part_{file}.rs`, and is one of them in a hot loop?"),
        3 => format!("Good. Note for later: part {file} keeps its old error texts."),
        4 => format!("Now `src/part_{file}.rs`. Look at its error paths first."),
        _ => format!("Before you go on: how do the parts up to {file} hang together?"),
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct File {
    /// From the root of the project.
    path: String,
}

/// A file of 20 to 100 lines, the same at each reading.
pub(crate) async fn read_file(File { path }: File) -> Result<String, std::io::Error> {
    let lines = path.bytes().map(usize::from).sum::<usize>() * 7 % 80 + 20;
    let line = |number| format!("{number:3}  let part = parts.next(); // {path}\n");
    Ok((1..=lines).map(line).collect())
}

/// The model: it reads the files that it is pointed to, sums up when it is asked to, and else answers.
pub(crate) fn server() -> Script {
    Script::new().reply_with(answer).repeat_last()
}

fn answer(request: &RecordedRequest) -> Reply {
    let input_tokens = request.body.len() / BYTES_PER_TOKEN;
    let input = request.input();
    let last = input.last().and_then(text).unwrap_or_default();
    let response = ResponseBuilder::new().id(format!("resp_{}", request.order));
    let (response, output) = if last == SUMMARIZATION_PROMPT {
        let summary = summary(&input);
        (response.text(&summary), summary)
    } else if let Some(path) = last.split('`').nth(1) {
        let arguments = json!({ "path": path }).to_string();
        let call_id = format!("call_{}", request.order);
        (response.call(&call_id, "read_file", &arguments), arguments)
    } else {
        let answer = format!("Done, and the tests pass. This was answer {}.", request.order);
        (response.text(&answer), answer)
    };
    response.usage(input_tokens as u64, (output.len() / BYTES_PER_TOKEN) as u64).into()
}

/// What a message says; the outputs of tools are none.
fn text(item: &Value) -> Option<&str> {
    item["content"][0]["text"].as_str()
}

fn summary(input: &[Value]) -> String {
    let read = input.iter().filter(|item| item["type"] == "function_call");
    let read: Vec<&str> = read.filter_map(|item| item["arguments"].as_str()).collect();
    let last = read.last().unwrap_or(&"nothing");
    format!("{} more files were read, the last one {last}. All tests pass.", read.len())
}
