//! G6 (no silent truncation): a stream that is cut is complete if its terminal event arrived whole, and an error
//! otherwise, after whatever byte it is cut.

use bytes::Bytes;
use longhaul_testkit::exchange::Course;
use longhaul_testkit::server::{Cut, Reply, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{ErrorCode, ModelError, Provider, ResponseEvent};

use super::support::{attempt, client, fixture, live, recordings};

/// The ends of the events in a body whose lines end in `\n`.
fn event_ends(body: &[u8]) -> Vec<usize> {
    let pairs = body.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair == b"\n\n").map(|(at, _)| at + 2).collect()
}

async fn run(course: Course) -> (Vec<ResponseEvent>, Option<ModelError>) {
    let (client, _) = client(Provider::neutral(), [course]);
    attempt(&client).await
}

/// Cuts `body` everywhere, ended in order or broken, and compares with the whole.
async fn sweep(name: &str, body: Bytes, is_odd: bool) {
    let (whole, reported) = run(Course::sse(body.clone())).await;
    let reported = reported.filter(|error| error.code() != ErrorCode::StreamIncomplete);
    let ends = event_ends(&body);
    for cut in 0..=body.len() {
        let arrived = ends.iter().filter(|end| **end <= cut).count();
        let is_whole = arrived == ends.len() && !name.contains("disconnect");
        let code = match &reported {
            Some(error) if is_whole => Some(error.code()),
            _ => (!is_whole).then_some(ErrorCode::StreamIncomplete),
        };
        let ended = Course::sse(body.slice(..cut));
        // In turn: closed in order, and broken.
        let broken = cut % 2 == usize::from(is_odd);
        let course = if broken { ended.fail(ExchangeErrorKind::Broken) } else { ended };
        let (events, error) = run(course).await;
        assert_eq!(error.map(|error| error.code()), code, "{name} cut at {cut}");
        assert!(events == whole[..whole.len().min(arrived)], "{name} cut at {cut}");
    }
}

async fn sweep_recordings(of: &str) {
    let names = recordings().into_iter().filter(|name| name.starts_with(of));
    for (number, name) in names.enumerate() {
        sweep(&name, fixture(&name), number % 2 == 1).await;
    }
}

#[tokio::test]
async fn f010_recordings_of_aimock_cut_after_every_byte() {
    sweep_recordings("aimock").await;
}

#[tokio::test]
async fn f010_recordings_of_llamacpp_cut_after_every_byte() {
    sweep_recordings("llamacpp").await;
}

/// Also where the response ends with a failure or early, and the report itself is cut.
#[tokio::test]
async fn f010_reported_failures_cut_after_every_byte() {
    let response = || ResponseBuilder::new().text("é 😀").call("c", "t", "{}");
    let endings = [
        ("failed", response().failed("server_error", "sorry")),
        ("incomplete", response().incomplete("max_output_tokens")),
        ("completed", response().completed()),
    ];
    for (name, events) in endings {
        let body = Bytes::from(Reply::sse().events(events).body());
        for is_odd in [false, true] {
            sweep(name, body.clone(), is_odd).await;
        }
    }
}

fn small_recording() -> Bytes {
    fixture("llamacpp-progress-stream.sse")
}

async fn sweep_live(how: Cut) -> Vec<Option<ModelError>> {
    let body = small_recording();
    let replies =
        (0..=body.len()).map(|cut| Reply::sse().bytes(body.clone()).bytes("x").cut_after(cut, how));
    let server = Server::start(replies.collect::<Script>()).await.unwrap();
    let client = live(&server);
    let mut errors = Vec::new();
    for _ in 0..=body.len() {
        errors.push(attempt(&client).await.1);
    }
    server.assert_complete();
    errors
}

/// The same over loopback HTTP, the connection closed in order.
#[tokio::test]
async fn f010_a_connection_closed_after_every_byte() {
    let errors = sweep_live(Cut::Fin).await;
    let (last, cut) = errors.split_last().unwrap();
    for (bytes, error) in cut.iter().enumerate() {
        let code = error.as_ref().map(ModelError::code);
        assert_eq!(code, Some(ErrorCode::StreamIncomplete), "after {bytes} bytes");
    }
    assert!(last.is_none(), "{last:?}");
}

/// The same with the connection reset, which may lose bytes, and even the head.
#[tokio::test]
async fn f010_a_connection_reset_after_every_byte() {
    let errors = sweep_live(Cut::Rst).await;
    let whole = errors.len() - 1;
    for (bytes, error) in errors.iter().enumerate() {
        let code = error.as_ref().map(ModelError::code);
        let is_cut =
            matches!(code, Some(ErrorCode::StreamIncomplete | ErrorCode::ConnectionFailed));
        assert!(is_cut || (bytes == whole && code.is_none()), "after {bytes} bytes: {error:?}");
    }
}
