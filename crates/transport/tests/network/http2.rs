//! What only HTTP/2 has: refused streams, announced ends, windows, and streams that share a connection.

use futures_util::StreamExt;
use longhaul_testkit::raw::{Course, RawServer, http2};
use longhaul_testkit::server::{Cut, Gate, Reply, ReplyOutcome, Script, Server};
use longhaul_testkit::tls::Authority;
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{Model, ResponseEvent};

use super::child::{peak_memory, with_own_roots};
use super::support::{
    MAYBE_SENT, NOT_SENT, Protocol, TRUNCATED, client, fail, hello, http2 as http2_client, kind,
    request, sampled, succeed, verdict,
};

const MIB: usize = 1024 * 1024;

fn refused(code: Cut) -> Reply {
    Reply::sse().without_head().cut(code)
}

#[tokio::test]
async fn f022_a_refused_stream_was_not_processed_and_is_retried() {
    let (server, client) =
        Protocol::Http2.pair([refused(Cut::Stream(7)), Reply::text("hello")]).await;
    let ended = sampled(&client).await;
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(ended.retried.iter().map(verdict).collect::<Vec<_>>(), [NOT_SENT]);
    assert_eq!(kind(&ended.retried[0]), Some(ExchangeErrorKind::NotProcessed));
    assert_eq!(server.connections(), 1);
    server.assert_complete();
}

#[tokio::test]
async fn f022_a_stream_beyond_the_goaway_was_not_processed_and_is_retried() {
    let body = Reply::sse().events(hello().completed()).body();
    let last = http2::frame(http2::DATA, http2::END_STREAM, 1, &body);
    let begin = || Course::new().write(http2::settings(&[])).read_http2_request();
    // NO_ERROR, and ENHANCE_YOUR_CALM.
    for code in [0, 11] {
        let courses = [
            begin().write(http2::goaway(0, code)),
            begin().write(http2::event_stream(1)).write(last.clone()).drain(),
        ];
        let server = RawServer::start(courses).await.unwrap();
        let ended = sampled(&http2_client(&server.base_url())).await;
        assert!(ended.error.is_none(), "{:?}", ended.error);
        assert_eq!(ended.retried.iter().map(verdict).collect::<Vec<_>>(), [NOT_SENT], "{code}");
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn f022_other_ends_before_the_head_may_have_been_processed() {
    // INTERNAL_ERROR, CANCEL; and a GOAWAY that covers the stream.
    for cut in [Cut::Stream(2), Cut::Stream(8), Cut::GoAway(0), Cut::GoAway(2), Cut::Fin] {
        let (server, client) = Protocol::Http2.pair([refused(cut), Reply::text("hello")]).await;
        let ended = sampled(&client).await;
        assert!(ended.error.is_none(), "{cut:?}: {:?}", ended.error);
        let verdicts: Vec<_> = ended.retried.iter().map(verdict).collect();
        assert_eq!(verdicts, [MAYBE_SENT], "{cut:?}");
        server.assert_complete();
    }
}

/// What has begun was processed, whatever the code says.
#[tokio::test]
async fn f022_any_end_within_the_stream_is_truncated() {
    for cut in [Cut::Stream(7), Cut::Stream(8), Cut::Stream(2), Cut::GoAway(0), Cut::GoAway(2)] {
        let reply = Reply::sse().events(hello().unfinished()).cut(cut);
        let (_server, client) = Protocol::Http2.pair(reply).await;
        assert_eq!(verdict(&fail(&client).await), TRUNCATED, "{cut:?}");
    }
}

#[tokio::test]
async fn f022_an_announced_end_lets_the_stream_finish_and_the_next_one_connect() {
    let announced = Gate::new("announced");
    let events = hello().completed();
    let (first, rest) = events.split_at(2);
    let reply =
        Reply::sse().events(first.to_vec()).go_away().gate(&announced).events(rest.to_vec());
    let (server, client) = Protocol::Http2.pair([reply, Reply::text("hello")]).await;
    let mut stream = client.stream(&request()).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ResponseEvent::Created { .. }))));
    announced.reached().await;
    succeed(&client).await;
    assert_eq!(server.connections(), 2);
    announced.open();
    let last = stream.collect::<Vec<_>>().await.pop();
    assert!(matches!(last, Some(Ok(ResponseEvent::Completed(_)))), "{last:?}");
}

/// A response of so many deltas of 80 bytes each, in frames of `frame_bytes`, with the gates spread over it.
fn tiny_frames(deltas: usize, frame_bytes: usize, gates: &[Gate]) -> Reply {
    let begin = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n";
    let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"0123456789 0123456789 ab\"}\n\n";
    let end = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n";
    assert_eq!(delta.len(), 80);
    let part = delta.repeat(deltas / (gates.len() + 1));
    let first = Reply::sse().bytes(begin).bytes(part.clone());
    let whole = gates.iter().fold(first, |reply, gate| reply.gate(gate).bytes(part.clone()));
    let whole = whole.bytes(end);
    let offsets: Vec<usize> = (0..whole.body().len()).step_by(frame_bytes).collect();
    whole.split_at(&offsets)
}

/// Over the default client: reads one event, stands still, and goes on. Gives the bytes that the server could send
/// meanwhile, and whether it was through.
async fn pause(
    authority: &Authority,
    deltas: usize,
    frame_bytes: usize,
    gates: &[Gate],
) -> (usize, bool) {
    let reply = tiny_frames(deltas, frame_bytes, gates);
    let script = Script::new().reply(reply).reply(Reply::text("meanwhile")).repeat_last();
    let builder = Server::builder().http2().tls(&authority.valid().unwrap());
    let server = builder.start(script).await.unwrap();
    let client = client(&server.base_url());
    let mut stream = client.stream(&request()).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ResponseEvent::Created { .. }))));
    for gate in gates {
        gate.reached().await;
        for _ in 0..20 {
            succeed(&client).await;
        }
        gate.open();
    }
    server.wait_until_reply_blocked(0).await;
    // Others go over the connection in the meantime, so that it comes as far as it can.
    for _ in 0..100 {
        succeed(&client).await;
    }
    assert_eq!(server.connections(), 1);
    let seen = (server.sent_body_bytes(0), server.requests()[0].reply_outcome.is_end());
    let rest: Vec<_> = stream.collect().await;
    let error = rest.iter().find_map(|event| event.as_ref().err());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(rest.len(), deltas + 1);
    assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Complete);
    seen
}

fn assert_little_memory() {
    let peak = peak_memory();
    assert!(peak < 200 * MIB as u64, "{peak} bytes");
}

#[cfg(target_os = "linux")]
#[test]
fn f023_a_paused_consumer_outlives_100_000_small_frames() {
    let name = "http2::f023_a_paused_consumer_outlives_100_000_small_frames";
    with_own_roots(name, |authority| async move {
        pause(&authority, 25_000, 20, &[]).await;
        // Single bytes weigh most: the stack bears 131,000 of them unread. In parts, for a machine under load.
        let gates = ["first", "second", "third"].map(Gate::new);
        pause(&authority, 2400, 1, &gates).await;
        assert_little_memory();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f023_a_paused_consumer_bounds_the_server_and_resumes_whole() {
    let name = "http2::f023_a_paused_consumer_bounds_the_server_and_resumes_whole";
    with_own_roots(name, |authority| async move {
        // One window on its way, one read ahead, and what the reader took for its first event.
        let bound = 3 * MIB + 64 * 1024;
        let (sent, is_through) = pause(&authority, 60_000, 20, &[]).await;
        assert!(sent <= bound && !is_through, "{sent} bytes sent to a reader that stands still");
        assert_little_memory();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f024_stalled_streams_starve_no_other_on_their_connection() {
    let name = "http2::f024_stalled_streams_starve_no_other_on_their_connection";
    with_own_roots(name, |authority| async move {
        let stalled = 16;
        let large = (0..256)
            .fold(Reply::sse(), |reply, _| reply.bytes(format!(": {}\n", "x".repeat(16_381))));
        let script = Script::new().reply(Reply::text("first")).repeat(stalled, large.keep_open());
        let script = script.reply(Reply::text("others")).repeat_last();
        let identity = authority.valid().unwrap();
        let server = Server::builder().http2().tls(&identity).start(script).await.unwrap();
        let client = client(&server.base_url());
        succeed(&client).await;
        let mut streams = Vec::new();
        for order in 1..=stalled {
            streams.push(client.stream(&request()).await.unwrap());
            assert_eq!(server.wait_until_reply_blocked(order).await, ReplyOutcome::Blocked);
        }
        for _ in 0..20 {
            succeed(&client).await;
        }
        for order in 1..=stalled {
            assert!(!server.requests()[order].reply_outcome.is_end(), "{order}");
            let sent = server.sent_body_bytes(order);
            assert!(sent <= 2 * MIB + 64 * 1024, "{sent}");
        }
        assert_eq!(server.connections(), 1);
    });
}
