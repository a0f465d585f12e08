//! What a credential of a host's own brings: headers, a plan; and what is said of it.

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use longhaul_testkit::exchange::Course;
use longhaul_transport::auth::{Auth, Credential};
use longhaul_transport::{ErrorCode, ModelError, Provider, Secret};
use url::Url;

use super::support::{HELLO, attempt, client, failure};

/// A bearer, or none, beside a header and a plan.
#[derive(Clone)]
struct Hosts(&'static str);

#[async_trait]
impl Auth for Hosts {
    async fn credential(&self, _: &Url) -> Result<Option<Credential>, ModelError> {
        let mut credential = Credential::new(Secret::new(self.0));
        let value = HeaderValue::from_static("hdr-canary-4d");
        credential.headers.insert(HeaderName::from_static("x-api-key"), value);
        credential.plan = Some("team".into());
        Ok(Some(credential))
    }
}

#[tokio::test(start_paused = true)]
async fn headers_of_a_credential_are_sent_as_secrets_with_or_without_a_bearer() {
    for bearer in ["sk-1", ""] {
        let provider = Provider::neutral().with_auth(Hosts(bearer));
        let (client, exchange) = client(provider, [Course::sse(HELLO)]);
        assert!(attempt(&client).await.1.is_none());
        let headers = exchange.requests()[0].headers.clone();
        assert_eq!(headers["x-api-key"], "hdr-canary-4d");
        assert!(headers["x-api-key"].is_sensitive());
        assert_eq!(headers.contains_key("authorization"), !bearer.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn headers_of_a_credential_do_not_travel_in_the_clear_and_are_not_told_back() {
    let far = Provider::custom("http://192.0.2.1/v1").unwrap().with_auth(Hosts(""));
    let (client, exchange) = client(far, []);
    let (_, error) = attempt(&client).await;
    assert_eq!(error.unwrap().code(), ErrorCode::Unauthorized);
    assert_eq!(exchange.requests().len(), 0);
    let near = Provider::neutral().with_auth(Hosts(""));
    let echo = Course::json(400, r#"{"error":{"message":"bad key hdr-canary-4d"}}"#);
    let error = failure(near, echo).await;
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_used_up_limit_names_the_plan_of_the_account_unless_the_server_does() {
    for (body, plan) in [
        (r#"{"error":{"type":"usage_limit_reached"}}"#, Some("team")),
        (r#"{"error":{"type":"usage_limit_reached","plan_type":"free"}}"#, Some("free")),
        (r#"{"error":{"type":"invalid_request_error"}}"#, None),
    ] {
        let provider = Provider::neutral().with_auth(Hosts("sk-1"));
        let error = failure(provider, Course::json(429, body)).await;
        assert_eq!(error.plan(), plan, "{body}");
    }
}
