//! Connections that end early, or fall silent.

use bytes::Bytes;
use longhaul_testkit::server::{Cut, Gate, Reply, ReplyOutcome, Script};
use longhaul_transport::Phase;

use super::support::{
    BOTH, MAYBE_SENT, MOMENT, Protocol, TRUNCATED, assert_timeout, attempt, begun, fail, hello,
    sampled, succeed, verdict,
};

#[tokio::test]
async fn f008_a_reset_after_the_request_may_have_been_processed_and_is_retried() {
    for protocol in BOTH {
        let reset = Reply::sse().without_head().cut(Cut::Rst);
        let (server, client) = protocol.pair([reset, Reply::text("hello")]).await;
        let ended = sampled(&client).await;
        assert!(ended.error.is_none(), "{protocol:?}: {:?}", ended.error);
        let verdicts: Vec<_> = ended.retried.iter().map(verdict).collect();
        assert_eq!(verdicts, [MAYBE_SENT], "{protocol:?}");
        server.assert_complete();
    }
}

#[tokio::test]
async fn f009_an_end_between_head_and_first_event_is_retried_and_leaves_nothing() {
    for protocol in BOTH {
        for cut in [Cut::Fin, Cut::HalfClose, Cut::Stream(2), Cut::GoAway(0)] {
            let (server, client) =
                protocol.pair([Reply::sse().cut(cut), Reply::text("hello")]).await;
            let ended = sampled(&client).await;
            assert!(ended.error.is_none(), "{protocol:?} {cut:?}: {:?}", ended.error);
            let verdicts: Vec<_> = ended.retried.iter().map(verdict).collect();
            assert_eq!(verdicts, [TRUNCATED], "{protocol:?} {cut:?}");
            server.assert_complete();
        }
        let (_server, client) = protocol.pair(Reply::sse().cut(Cut::Fin)).await;
        let (events, error) = attempt(&client).await;
        assert_eq!((events.len(), verdict(&error.unwrap())), (0, TRUNCATED), "{protocol:?}");
    }
}

/// The frames of a whole response, some with half an event.
fn frames() -> Vec<Bytes> {
    let body = Bytes::from(Reply::sse().events(hello().completed()).body());
    (0..body.len()).step_by(61).map(|at| body.slice(at..body.len().min(at + 61))).collect()
}

/// HTTP/2: after every frame, by every way in which a stream can end. HTTP/1.1 is swept by the byte in `client/cut`.
#[tokio::test]
async fn f010_a_stream_cut_after_any_frame_is_incomplete() {
    let frames = frames();
    let cuts = [
        // NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM
        Cut::Stream(0),
        Cut::Stream(2),
        Cut::Stream(7),
        Cut::Stream(8),
        Cut::Stream(11),
        Cut::GoAway(0),
        Cut::GoAway(2),
        Cut::Fin,
        Cut::Rst,
    ];
    for cut in cuts {
        let upto = |k: usize| frames[..k].iter().cloned().fold(Reply::sse(), Reply::bytes);
        let replies: Script = (0..=frames.len()).map(|k| upto(k).cut(cut)).collect();
        let (server, client) = Protocol::Http2.pair(replies).await;
        for k in 0..frames.len() {
            let found = verdict(&fail(&client).await);
            // A reset may overtake the head.
            let overtaken = cut == Cut::Rst && found == MAYBE_SENT;
            assert!(overtaken || found == TRUNCATED, "{cut:?} after {k} frames: {found:?}");
        }
        let whole = attempt(&client).await.1;
        assert!(whole.is_none() || cut == Cut::Rst, "{cut:?} after all frames: {whole:?}");
        server.assert_complete();
    }
}

/// The part of the fault that needs no broken link: the peer is there and says nothing more.
#[tokio::test]
async fn f011_a_peer_that_falls_silent_in_the_stream_meets_the_idle_deadline() {
    for protocol in BOTH {
        let server = protocol.server([begun().keep_open(), Reply::text("hello")]).await;
        let [hasty, patient] =
            protocol.hasty_and_patient(&server.base_url(), |deadlines| deadlines.idle = MOMENT);
        assert_timeout(&fail(&hasty).await, Phase::Idle);
        let end = server.wait_until_reply_ended(0).await;
        assert!(matches!(end, ReplyOutcome::ClientClosed { .. }), "{protocol:?}: {end:?}");
        succeed(&patient).await;
        let connections = if protocol == Protocol::Http1 { 2 } else { 1 };
        assert_eq!(server.connections(), connections, "{protocol:?}");
    }
}

#[tokio::test]
async fn f013_a_head_that_never_comes_meets_a_deadline_of_its_own() {
    for protocol in BOTH {
        let never = Gate::new("never");
        let server =
            protocol.server([Reply::text("x").hold_head(&never), Reply::text("hello")]).await;
        // Long enough for the server to see the request before it is given up.
        let [hasty, patient] = protocol
            .hasty_and_patient(&server.base_url(), |deadlines| deadlines.headers = 10 * MOMENT);
        let error = fail(&hasty).await;
        assert_timeout(&error, Phase::Headers);
        assert!(error.may_have_been_processed());
        let end = server.wait_until_reply_ended(0).await;
        assert_eq!(end, ReplyOutcome::ClientClosed { after_bytes: 0 }, "{protocol:?}");
        succeed(&patient).await;
    }
}
