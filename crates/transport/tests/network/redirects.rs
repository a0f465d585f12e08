//! Redirects. None is followed, so nothing of a request goes anywhere but to the server that it is for.

use longhaul_testkit::server::{Reply, Script, Server};
use longhaul_transport::{ResponsesClient, Secret, auth::ApiKey};
use serde_json::json;

use super::child::with_own_roots;
use super::support::{BOTH, provider, sampled};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

fn redirect(status: u16, to: &str) -> Reply {
    Reply::error(status, &json!({})).header("location", to)
}

/// One request, one answer, no retry, and nobody else is spoken to.
async fn assert_not_followed(server: &Server, client: &ResponsesClient, other: &Server) {
    let ended = sampled(client).await;
    let error = ended.error.unwrap();
    assert!(error.status().is_some_and(|status| STATUSES.contains(&status)), "{error:?}");
    assert!(!error.is_retryable() && ended.retried.is_empty(), "{error:?}");
    assert_eq!(server.requests().len(), 1);
    assert!(server.other_requests().is_empty());
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn f019_redirects_are_never_followed() {
    for protocol in BOTH {
        let other = protocol.server(Script::new()).await;
        let targets = [
            format!("{}/responses", other.base_url()),
            format!("//{}/x", other.addr()),
            "/v1/elsewhere".into(),
            "/v1/responses".into(),
        ];
        for status in STATUSES {
            for target in &targets {
                let server = protocol.server(redirect(status, target)).await;
                let provider = provider(&server.base_url()).with_auth(ApiKey(Secret::new("sk-1")));
                assert_not_followed(&server, &protocol.client(provider), &other).await;
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn f019_redirects_from_https_to_http_are_never_followed() {
    let name = "redirects::f019_redirects_from_https_to_http_are_never_followed";
    with_own_roots(name, |authority| async move {
        let identity = authority.valid().unwrap();
        let other = Server::start(Script::new()).await.unwrap();
        let target = format!("{}/responses", other.base_url());
        for status in STATUSES {
            for builder in [Server::builder(), Server::builder().http2()] {
                let reply = redirect(status, &target);
                let server = builder.tls(&identity).start(reply).await.unwrap();
                let client = super::support::client(&server.base_url());
                assert_not_followed(&server, &client, &other).await;
            }
        }
    });
}
