//! TLS: certificates that are not acceptable, old versions, and ends without an end.

use longhaul_testkit::raw::{Course, RawServer};
use longhaul_testkit::server::{Cut, Framing, Reply, Script, Server};
use longhaul_testkit::tls::{Authority, Identity};
use longhaul_transport::exchange::ExchangeErrorKind;

use super::child::with_own_roots;
use super::support::{
    BAD_TLS, TRUNCATED, begun, client, fail, hello, kind, sampled, succeed, verdict,
};

/// One try, one connection, no HTTP.
async fn assert_refused(identity: &Identity, why: &str) {
    let server = Server::builder().tls(identity).start(Script::new()).await.unwrap();
    let ended = sampled(&client(&server.base_url())).await;
    let error = ended.error.unwrap();
    assert_eq!((verdict(&error), kind(&error)), (BAD_TLS, Some(ExchangeErrorKind::Tls)));
    assert!(error.to_string().contains(why), "{error}");
    assert!(ended.retried.is_empty(), "{why}");
    server.connection_closed(0).await;
    assert_eq!((server.connections(), server.failed_handshakes().len()), (1, 1), "{why}");
    assert!(server.requests().is_empty() && server.other_requests().is_empty(), "{why}");
}

#[cfg(target_os = "linux")]
#[test]
fn f005_a_wrong_name_is_final() {
    with_own_roots("tls::f005_a_wrong_name_is_final", |authority| async move {
        assert_refused(&authority.wrong_name().unwrap(), "is for another name").await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f005_an_expired_certificate_is_final() {
    with_own_roots("tls::f005_an_expired_certificate_is_final", |authority| async move {
        assert_refused(&authority.expired().unwrap(), "has expired").await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f005_a_self_signed_certificate_is_final() {
    with_own_roots("tls::f005_a_self_signed_certificate_is_final", |_| async {
        assert_refused(&Identity::self_signed().unwrap(), "does not trust").await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f005_an_unknown_authority_is_final() {
    with_own_roots("tls::f005_an_unknown_authority_is_final", |_| async {
        let unknown = Authority::new().unwrap();
        assert_refused(&unknown.valid().unwrap(), "does not trust").await;
    });
}

/// A `ServerHello` of TLS 1.1.
fn old_server_hello() -> Vec<u8> {
    let hello = [&[3, 2][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 2, 0, length + 4, 2, 0, 0, length][..], &hello].concat()
}

#[cfg(target_os = "linux")]
#[test]
fn f005_tls_1_1_is_final() {
    with_own_roots("tls::f005_tls_1_1_is_final", |_| async {
        // A fatal alert `protocol_version`; and a server that goes ahead with its old version.
        for answer in [vec![21, 3, 1, 0, 2, 2, 70], old_server_hello()] {
            let server = RawServer::start([Course::new().read(5).write(answer)]).await.unwrap();
            let ended = sampled(&client(&format!("https://{}/v1", server.addr()))).await;
            let error = ended.error.unwrap();
            assert_eq!((verdict(&error), kind(&error)), (BAD_TLS, Some(ExchangeErrorKind::Tls)));
            assert!(ended.retried.is_empty());
            server.connection_closed(0).await;
            assert_eq!(server.connections(), 1);
            assert_eq!(server.received(0)[0], 22, "a handshake, nothing plain");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f005_a_server_without_tls_is_final_and_not_asked_in_plain() {
    with_own_roots("tls::f005_a_server_without_tls_is_final_and_not_asked_in_plain", |_| async {
        let server = RawServer::start([Course::new().read(5).write("HTTP/1.1 400 Bad\r\n\r\n")]);
        let server = server.await.unwrap();
        let ended = sampled(&client(&format!("https://{}/v1", server.addr()))).await;
        let error = ended.error.unwrap();
        assert_eq!((verdict(&error), kind(&error)), (BAD_TLS, Some(ExchangeErrorKind::Tls)));
        assert_eq!((ended.retried.len(), server.connections()), (0, 1));
        assert_eq!(server.received(0)[0], 22);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_good_certificate_is_accepted_over_both_protocols() {
    with_own_roots(
        "tls::a_good_certificate_is_accepted_over_both_protocols",
        |authority| async move {
            let identity = authority.valid().unwrap();
            for builder in [Server::builder(), Server::builder().http2()] {
                let server = builder.tls(&identity).start(Reply::text("hello")).await.unwrap();
                succeed(&client(&server.base_url())).await;
                server.assert_complete();
            }
        },
    );
}

#[cfg(target_os = "linux")]
#[test]
fn f007_a_body_without_close_notify_is_truncated() {
    with_own_roots("tls::f007_a_body_without_close_notify_is_truncated", |authority| async move {
        let identity = authority.valid().unwrap();
        let start = |builder: longhaul_testkit::server::Builder, reply: Reply| {
            builder.tls(&identity).start(reply.cut(Cut::Truncate))
        };
        // With a body that ends with the connection nothing but TLS can tell.
        for framing in [Framing::Chunked, Framing::Close, Framing::ContentLength] {
            let reply = begun().framing(framing);
            let reply = if framing == Framing::ContentLength { reply.bytes("more") } else { reply };
            let bytes = begun().body().len();
            let reply = reply.cut_after(bytes, Cut::Truncate);
            let server = Server::builder().tls(&identity).start(reply).await.unwrap();
            let error = fail(&client(&server.base_url())).await;
            assert_eq!(verdict(&error), TRUNCATED, "{framing:?}");
        }
        let server = start(Server::builder().http2(), begun()).await.unwrap();
        assert_eq!(verdict(&fail(&client(&server.base_url())).await), TRUNCATED);

        // What was whole before the cut is whole.
        let server =
            start(Server::builder(), Reply::sse().events(hello().completed())).await.unwrap();
        succeed(&client(&server.base_url())).await;
    });
}
