//! The scripted server over TLS: each certificate as it says, and an end without `close_notify`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::sync::Arc;

use longhaul_testkit::server::{Cut, Gate, Reply, ReplyOutcome, Server};
use longhaul_testkit::tls::{Authority, Identity};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client that knows `authority` alone.
async fn connect(
    server: &Server,
    authority: &Authority,
    protocols: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.certificate_der())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let socket = TcpStream::connect(server.addr()).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

async fn start(identity: &Identity, reply: Reply) -> Server {
    Server::builder().tls(identity).start(reply).await.unwrap()
}

const POST: &[u8] = b"POST /v1/responses HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn each_bad_certificate_is_bad_in_its_own_way() {
    let authority = Authority::new().unwrap();
    let table = [
        (authority.wrong_name().unwrap(), "NotValidForName"),
        (authority.expired().unwrap(), "Expired"),
        (Identity::self_signed().unwrap(), "UnknownIssuer"),
        (Authority::new().unwrap().valid().unwrap(), "UnknownIssuer"),
    ];
    for (identity, expected) in table {
        let server = start(&identity, Reply::text("never")).await;
        let error = connect(&server, &authority, &[]).await.unwrap_err();
        let error = error.get_ref().unwrap().downcast_ref::<rustls::Error>().unwrap();
        let rustls::Error::InvalidCertificate(error) = error else { panic!("{error:?}") };
        let _: &CertificateError = error;
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        server.connection_closed(0).await;
        assert_eq!((server.connections(), server.failed_handshakes().len()), (1, 1));
        assert!(server.requests().is_empty());
    }
}

#[tokio::test]
async fn a_good_certificate_carries_http() {
    let authority = Authority::new().unwrap();
    let server = start(&authority.valid().unwrap(), Reply::sse().bytes("abc").cut(Cut::Fin)).await;
    let mut client = connect(&server, &authority, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    client.write_all(POST).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n3\r\nabc\r\n"));
    assert_eq!(server.wait_until_reply_ended(0).await, ReplyOutcome::Cut);
    server.assert_complete();
}

#[tokio::test]
async fn a_truncated_stream_has_no_close_notify() {
    let authority = Authority::new().unwrap();
    let gate = Gate::new("read");
    let reply = Reply::sse().bytes("abc").gate(&gate).bytes("d").cut_after(3, Cut::Truncate);
    let server = start(&authority.valid().unwrap(), reply).await;
    let mut client = connect(&server, &authority, &[]).await.unwrap();
    client.write_all(POST).await.unwrap();
    gate.reached().await;
    gate.open();
    let error = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    server.connection_closed(0).await;
}

#[tokio::test]
async fn alpn_chooses_http2() {
    let authority = Authority::new().unwrap();
    let builder = Server::builder().http2().tls(&authority.valid().unwrap()).clone();
    let server = builder.start(Reply::text("hello")).await.unwrap();
    assert!(server.base_url().starts_with("https://"));
    let client = connect(&server, &authority, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut send, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("https://localhost/v1/responses").body(()).unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);

    let refused = connect(&server, &authority, &[b"http/1.1"]).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
}
