//! What the scripted server answers.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use longhaul_testkit::server::{Cut, RecordedRequest, Reply, Script};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

const HELP: &str = "I am a script, so I know a few words only. Say `files` and I look around, \
    `write` and I ask to write a file, `three` and I ask for three files of one call id, `slow` and I take my time (steer me, or press Esc), `break` \
    and the connection breaks on the way. `/help` tells what the chat itself can do.";

const SLOW: &str = "This answer comes slowly, word by word, so that there is time to say something \
    else meanwhile, or to press Esc. What you say now is in my next request; what I said until an \
    interrupt is gone, because the answer was never complete.";

/// Answers every request by what was said last.
pub(crate) fn script() -> Script {
    let broken = Mutex::new(HashSet::new());
    let reply = move |request: &RecordedRequest| {
        // What was broken off is asked for again with the same bytes.
        let is_first = || broken.lock().is_ok_and(|mut it| it.insert(request.body.clone()));
        reply(request, &is_first)
    };
    Script::new().reply_with(reply).repeat_last()
}

fn reply(request: &RecordedRequest, is_first: &dyn Fn() -> bool) -> Reply {
    let input = request.input();
    let last = input.last().cloned().unwrap_or_default();
    if request.json()["tool_choice"] == "none" {
        return say("We tried out the chat; the user looked at files and had one written.", 20);
    }
    match request.task_kind() {
        Some("review") => return review(),
        _ if last["type"] == "function_call_output" => return after(&input, &last),
        _ => {}
    }
    let said = text(&last).to_lowercase();
    let has = |word: &str| said.contains(word);
    if has("break") && is_first() {
        return say(SLOW, 40).cut_after(900, Cut::Fin);
    } else if has("files") {
        let calls = [
            ("list", "list_files", json!({"folder": "."})),
            ("read", "read_file", json!({"path": "README.md"})),
        ];
        return Reply::calls(calls);
    } else if has("three") {
        // Servers exist that give one id to all.
        let write = |path: &str| ("write", "write_file", json!({"path": path, "content": path}));
        return Reply::calls(["one.md", "two.md", "three.md"].map(write));
    } else if has("write") {
        let content = "Written because somebody said yes.\n";
        return Reply::calls([(
            "write",
            "write_file",
            json!({"path": "notes.md", "content": content}),
        )]);
    } else if has("slow") || has("break") {
        return say(SLOW, 60);
    }
    say(HELP, 20)
}

fn after(input: &[Value], output: &Value) -> Reply {
    let since = input.iter().rev().take_while(|item| item["role"] != "user");
    let count = since.filter(|item| item["type"] == "function_call_output").count();
    say(&format!("{count} done. The last one says: {}", text(output)), 20)
}

fn review() -> Reply {
    let review = json!({"findings": [], "overall_correctness": "patch is correct",
        "overall_explanation": "A script finds nothing.", "overall_confidence_score": 0.1});
    say(&review.to_string(), 5)
}

fn say(text: &str, pause_ms: u64) -> Reply {
    let response = ResponseBuilder::new().reasoning("Let me think.", None).text(text);
    Reply::from(response.usage(20_000, 200)).paced(Duration::from_millis(pause_ms))
}

/// What an item says.
fn text(item: &Value) -> String {
    let parts = item["content"].as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part["text"].as_str());
    item["output"].as_str().map_or_else(|| texts.collect(), str::to_owned)
}
