//! Recorded streams of real servers, decoded whole and in pieces: wherever the network cuts, the events are the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use longhaul_history::{Item, ItemKind, ItemView};
use longhaul_transport::event::decode;
use longhaul_transport::sse::Decoder;
use longhaul_transport::{ModelError, ResponseEvent};

fn recordings() -> Vec<(String, Bytes)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "sse")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, Bytes::from(fs::read(path).unwrap()))
    };
    files.into_iter().map(read).collect()
}

fn recording(name: &str) -> Bytes {
    let mut all = recordings().into_iter();
    all.find(|(found, _)| found == name).unwrap().1
}

/// The data of each event.
fn data(pieces: impl IntoIterator<Item = Bytes>) -> Vec<String> {
    let mut decoder = Decoder::new(1024 * 1024);
    let mut data = Vec::new();
    for piece in pieces {
        let mut rest = &piece[..];
        while let Some(text) = decoder.next_event(&mut rest).unwrap() {
            data.push(text.to_owned());
        }
    }
    data
}

fn pieces(body: &Bytes, size: usize) -> impl Iterator<Item = Bytes> {
    let starts = (0..body.len()).step_by(size);
    starts.map(move |start| body.slice(start..body.len().min(start + size)))
}

fn decoded(pieces: impl IntoIterator<Item = Bytes>) -> Vec<Result<ResponseEvent, ModelError>> {
    let events = data(pieces).into_iter().map(|data| decode(&data));
    events.filter_map(Result::transpose).collect()
}

/// One line for each event that is acted on, deltas joined.
fn story(body: Bytes) -> Vec<String> {
    let mut story: Vec<String> = Vec::new();
    for event in decoded([body]) {
        let (name, text) = line(event);
        match story.last_mut() {
            Some(last) if name.ends_with("delta") && last.starts_with(name) => last.push_str(&text),
            _ if name.is_empty() => {}
            _ => story.push(format!("{name} {text}")),
        }
    }
    story
}

fn line(event: Result<ResponseEvent, ModelError>) -> (&'static str, String) {
    match event {
        Ok(ResponseEvent::Created { response_id }) => ("created", response_id.unwrap_or_default()),
        Ok(ResponseEvent::ItemDone(item)) => ("done", summary(&item)),
        Ok(ResponseEvent::TextDelta(delta)) => ("text delta", delta.text),
        Ok(ResponseEvent::ReasoningSummaryDelta(delta)) => ("summary delta", delta.text),
        Ok(ResponseEvent::ReasoningTextDelta(delta)) => ("reasoning delta", delta.text),
        Ok(ResponseEvent::ArgumentsDelta(delta)) => ("arguments delta", delta.text),
        Ok(ResponseEvent::Completed(end)) => {
            let usage = end.usage.unwrap_or_default();
            let counts = (usage.input, usage.cached_input, usage.output, usage.total);
            ("completed", format!("{} items, {counts:?}", end.output.len()))
        }
        Ok(ResponseEvent::ItemAdded(item)) => ("added", format!("{:?}", item.kind())),
        Ok(_) => ("", String::new()),
        Err(error) => ("error", format!("{}: {error}", error.code())),
    }
}

fn summary(item: &Item) -> String {
    match item.view() {
        ItemView::Message { content, .. } => {
            content.iter().filter_map(|part| part.text()).collect()
        }
        ItemView::FunctionCall { name, arguments } => {
            format!("{} {name} {arguments}", item.call_id().unwrap())
        }
        ItemView::Reasoning { summary, content, encrypted_content } => {
            format!("{summary:?} {content:?} {encrypted_content:?}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text() {
    assert_eq!(
        story(recording("llamacpp-text-stream")),
        [
            "created resp_wpFRKXgmOL9c23tN7T04Q1m8VYzVmOtr",
            "added Message(Assistant)",
            "text delta Hello!",
            "done Hello!",
            "completed 1 items, (24, 1, 3, 27)",
        ]
    );
}

#[test]
fn two_tools() {
    assert_eq!(
        story(recording("aimock-two-tools")),
        [
            "created resp-7kzKYKOYX0tijbKm",
            "added Message(Assistant)",
            "text delta Let me look.",
            "done Let me look.",
            "added FunctionCall",
            "arguments delta {\"city\":\"Paris\"}",
            "done call_a get_weather {\"city\":\"Paris\"}",
            "added FunctionCall",
            "arguments delta {\"city\":\"Rome\"}",
            "done call_b get_weather {\"city\":\"Rome\"}",
            "completed 3 items, (0, 0, 0, 0)",
        ]
    );
}

#[test]
fn reasoning() {
    assert_eq!(
        story(recording("aimock-think")),
        [
            "created resp-YAAxrIQI5PSqqpXP",
            "added Reasoning",
            "summary delta Let me think step by step about it.",
            "done [\"Let me think step by step about it.\"] [] None",
            "added Message(Assistant)",
            "text delta Forty-two.",
            "done Forty-two.",
            "completed 2 items, (0, 0, 0, 0)",
        ]
    );
    let raw = story(recording("llamacpp-reasoning-stream"));
    let delta = raw[2].strip_prefix("reasoning delta ").unwrap();
    assert_eq!(raw[3], format!("done [] [{delta:?}] Some(\"\")"));
    assert_eq!(raw[4..], ["completed 1 items, (21, 0, 12, 33)"]);
}

#[test]
fn a_stream_that_reports_an_error() {
    let story = story(recording("llamacpp-smol-fa-tooltest-auto"));
    let error = "error server_error: The model produced output that does not match the expected peg-native format";
    assert_eq!(story.last().unwrap(), error);
}

#[test]
fn every_recording_holds_what_it_should() {
    let recordings = recordings();
    assert_eq!(recordings.len(), 20);
    for (name, body) in recordings {
        let events = decoded([body]);
        let created = |event: &Result<ResponseEvent, _>| {
            matches!(event, Ok(ResponseEvent::Created { response_id: Some(_) }))
        };
        assert!(created(&events[0]), "{name}");
        let (last, before) = events.split_last().unwrap();
        assert!(
            before.iter().all(|event| event.as_ref().is_ok_and(|e| !e.is_terminal())),
            "{name}"
        );
        let ends = match name.as_str() {
            "llamacpp-client-disconnect" => matches!(last, Ok(ResponseEvent::TextDelta(_))),
            "llamacpp-smol-fa-tooltest-auto" => last.is_err(),
            _ => matches!(last, Ok(end) if end.is_terminal()),
        };
        assert!(ends, "{name}: {last:?}");
        assert_done_items_agree(&name, &events);
    }
}

/// The items of the terminal event are those that were done, and `reconcile` gives these.
fn assert_done_items_agree(name: &str, events: &[Result<ResponseEvent, ModelError>]) {
    let done = events.iter().filter_map(|event| match event {
        Ok(ResponseEvent::ItemDone(item)) => Some(item.clone()),
        _ => None,
    });
    let done: Vec<Item> = done.collect();
    assert!(done.iter().all(|item| item.kind() != ItemKind::Other), "{name}");
    if let Some(Ok(ResponseEvent::Completed(end))) = events.last() {
        assert_eq!(end.reconcile(done.clone()), done, "{name}");
    }
}

#[test]
fn pieces_of_any_size_give_the_same_events() {
    for (name, body) in recordings() {
        let whole = data([body.clone()]);
        for size in 1..=40 {
            assert!(data(pieces(&body, size)) == whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn one_cut_anywhere_gives_the_same_events() {
    for (name, body) in recordings() {
        let whole = data([body.clone()]);
        for cut in 0..=body.len() {
            let pieces = [body.slice(..cut), body.slice(cut..)];
            assert!(data(pieces) == whole, "{name} cut at {cut}");
        }
    }
}

/// Line ends, comments, `[DONE]`, missing event names, UTF-8 of all lengths: cut anywhere, byte by byte.
#[test]
fn the_same_stream_in_other_clothes_gives_the_same_events() {
    let body = r#"data: {"type":"response.output_text.delta","delta":"é日😀 \u00e9"}

data: {"type":"response.completed"}

"#;
    let whole = decoded([Bytes::from(body)]).into_iter().map(Result::unwrap);
    let whole: Vec<ResponseEvent> = whole.collect();
    let dressed = [
        body.to_owned(),
        body.replace('\n', "\r\n"),
        body.replace('\n', "\r"),
        format!("\u{feff}{body}"),
        body.replace("data: ", "data:"),
        body.replace("data: ", ": ping\nid: 7\nretry: 10\nevent: wrong.name\nunknown\ndata: "),
        format!(": ping\n\n{body}data: [DONE]\n\ndata\n\nevent: x\n\n"),
    ];
    for body in dressed {
        for cut in 0..=body.len() {
            let (before, after) = body.as_bytes().split_at(cut);
            let pieces = [before, after].map(Bytes::copy_from_slice);
            let events = decoded(pieces).into_iter().map(Result::unwrap);
            assert_eq!(events.collect::<Vec<_>>(), whole, "{body:?} cut at {cut}");
        }
        let bytes = Bytes::from(body.clone());
        assert_eq!(data(pieces(&bytes, 1)), data([bytes.clone()]), "{body:?}");
    }
}
