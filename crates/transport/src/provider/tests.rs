//! Profiles and addresses.

use super::*;

#[test]
fn the_constant_addresses_are_valid() {
    for url in [OPENAI_BASE_URL, CHATGPT_BASE_URL, "http://localhost/v1"] {
        assert!(parse_base_url(url).is_ok(), "{url}");
    }
}

#[test]
fn profiles_differ_in_what_they_send() {
    let facts = |name: &str, url: Option<&str>| {
        let provider = Provider::named(name, url).unwrap();
        (provider.vendor_headers, provider.stores_responses)
    };
    assert_eq!(facts("openai", None), (true, false));
    assert_eq!(facts("openai", Some("http://127.0.0.1:1/v1")), (true, false));
    assert_eq!(facts("chatgpt", None), (true, false));
    assert_eq!(facts("Azure", Some("https://example.com/openai")), (false, true));
    assert_eq!(facts("mine", Some("https://x.openai.azure.com/v1")), (false, true));
    assert_eq!(facts("mine", Some("https://x.azurewebsites.net/v1")), (false, false));
}

#[test]
fn addresses_are_built_with_an_escaped_query() {
    let mut provider = Provider::custom("https://example.com/v1/").unwrap();
    assert_eq!(provider.responses_url().as_str(), "https://example.com/v1/responses");
    provider.query = vec![("api-version".into(), "2025 a&b".into())];
    assert_eq!(
        provider.responses_url().as_str(),
        "https://example.com/v1/responses?api-version=2025+a%26b"
    );
}

#[test]
fn bad_addresses_are_refused_in_one_sentence_that_shows_no_secret() {
    for bad in [
        "",
        "example.com/v1",
        "ftp://x/v1",
        "https://u:hunter2@x/v1",
        "http://x/v1?key=hunter2",
        "http://x/v1#hunter2",
        "hunter2@x/v1?hunter2@hunter2",
    ] {
        let error = Provider::custom(bad).unwrap_err().to_string();
        assert!(error.starts_with("base URL `"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
    let missing = Provider::named("mine", None).unwrap_err().to_string();
    assert_eq!(missing, "provider `mine` has no address of its own: set its base URL");
}

#[test]
fn secret_headers_are_never_printed() {
    let mut provider = Provider::custom("https://example.com/v1").unwrap();
    provider.add_header("x-team", "canary", true).unwrap();
    assert!(!format!("{provider:?}").contains("canary"));
    assert!(provider.add_header("bad name", "v", false).is_err());
    assert!(provider.add_header("x", "line\nbreak", false).is_err());
}
