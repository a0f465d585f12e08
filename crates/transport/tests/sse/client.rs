//! What only a response with a head and an end can show.

use std::sync::Arc;

use futures_util::StreamExt;
use longhaul_history::Prompt;
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_transport::{
    ErrorCode, Model, ModelError, Provider, Request, ResponseEvent, ResponsesClient,
};

const COMPLETED: &str = "data: {\"type\":\"response.completed\"}\n\n";

/// The texts of one response, and the error that ended it, if one did.
async fn texts(course: Course) -> (Vec<String>, Option<ModelError>) {
    let exchange = Arc::new(ScriptedExchange::new([course]));
    let client = ResponsesClient::with_exchange(Provider::neutral(), exchange);
    let mut texts = Vec::new();
    let mut stream = match client.stream(&Request::new("m", Prompt::default())).await {
        Ok(stream) => stream,
        Err(error) => return (texts, Some(error)),
    };
    while let Some(event) = stream.next().await {
        match event {
            Ok(ResponseEvent::TextDelta(delta)) => texts.push(delta.text),
            Ok(_) => {}
            Err(error) => return (texts, Some(error)),
        }
    }
    (texts, None)
}

fn delta(text: &str) -> String {
    format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{text}\"}}\n\n")
}

/// A success with this content type.
fn typed(content_type: &str) -> Course {
    Course::new().sent().head(200).header("content-type", content_type)
}

#[tokio::test(start_paused = true)]
async fn e16_bytes_that_are_not_utf8_end_the_attempt_at_once_and_another_may_follow() {
    let body =
        [delta("a").as_bytes(), b"data: {\"x\":\"\xc3\"}\n\n", delta("b").as_bytes()].concat();
    for size in [1, 7, 1_000] {
        let pieces = body.chunks(size).map(<[u8]>::to_vec);
        let course = pieces.fold(typed("text/event-stream"), Course::body).hang();
        let (texts, error) = texts(course).await;
        let error = error.unwrap();
        assert_eq!(texts, ["a"]);
        assert_eq!(error.code(), ErrorCode::Protocol);
        assert!(error.is_retryable(), "the next answer may be in order");
        assert_eq!(error.to_string(), "the server sent an event that is not UTF-8");
    }
}

#[tokio::test]
async fn e17_a_stream_is_utf8_whatever_its_head_says() {
    for charset in ["latin-1", "UTF-16", "\"\"", ""] {
        let head = typed(&format!("text/event-stream; charset={charset}"));
        let (texts, error) = texts(head.body(delta("é😀")).body(COMPLETED)).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(texts, ["é😀"]);
    }
}

#[tokio::test]
async fn e18_a_stream_of_another_type_is_none() {
    let body = || delta("x") + COMPLETED;
    for stream in
        ["text/event-stream", "Text/Event-Stream", "text/event-stream;x=y", "text/event-stream ; x"]
    {
        let (texts, error) = texts(typed(stream).body(body())).await;
        assert_eq!((texts, error.is_none()), (vec!["x".to_owned()], true), "{stream}");
    }
    for other in
        ["text/html", "application/json", "text/event-streams", "text/event-stream+x", "text/event"]
    {
        let (texts, error) = texts(typed(other).body(body())).await;
        let error = error.unwrap();
        assert_eq!((texts.len(), error.code()), (0, ErrorCode::Protocol), "{other}");
        assert!(!error.is_retryable() && error.to_string().contains(other), "{error}");
    }
}

/// Servers that do not say what they send are believed.
#[tokio::test]
async fn e18_a_stream_without_a_type_is_read() {
    let head = Course::new().sent().head(200);
    assert!(texts(head.body(COMPLETED)).await.1.is_none());
}

#[tokio::test]
async fn e19_an_event_that_the_end_cuts_off_is_not_given() {
    for end in ["", "\n"] {
        let terminal = COMPLETED.trim_end().to_owned() + end;
        let course = typed("text/event-stream").body(delta("x") + &terminal);
        let (texts, error) = texts(course).await;
        assert_eq!(texts, ["x"]);
        assert_eq!(error.unwrap().code(), ErrorCode::StreamIncomplete);
    }
}

#[tokio::test]
async fn e24_an_event_with_empty_data_is_read_over() {
    let empty = "data\n\ndata:\n\ndata: \n\ndata:  \n\ndata\ndata\n\n";
    let body = [empty, &delta("x"), empty, COMPLETED].concat();
    let (texts, error) = texts(typed("text/event-stream").body(body)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(texts, ["x"]);
}
