//! Profiles and addresses.

use super::*;

#[test]
fn the_profiles_are_sound() {
    assert!(parse_base_url("http://localhost/v1").is_ok());
    for profile in Profile::all() {
        assert_eq!(profile.name, profile.name.to_ascii_lowercase());
        assert!(profile.base_url.is_none_or(|url| parse_base_url(url).is_ok()), "{profile:?}");
        let mut provider = Provider::named(profile.name, Some("http://localhost/v1")).unwrap();
        assert_eq!(provider.headers.len(), profile.headers.len());
        for (name, value) in profile.headers {
            assert_eq!(provider.headers[*name], *value);
        }
        for (name, _) in profile.env_headers {
            provider.add_header(name, "v", true).unwrap();
        }
    }
}

#[test]
fn profiles_differ_in_what_they_send() {
    type Facts = (bool, bool, Option<&'static str>, Vec<&'static str>, &'static str);
    let facts = |name: &str, url: Option<&str>| -> Facts {
        let provider = Provider::named(name, url).unwrap();
        assert_eq!((provider.name.as_str(), provider.features), (name, Features::default()));
        assert_eq!(provider.headers.contains_key("version"), provider.vendor_headers);
        let profile = Profile::of(name);
        let variables = profile.env_headers.iter().map(|(_, variable)| *variable).collect();
        let url = provider.base_url.to_string().leak();
        (provider.vendor_headers, provider.stores_responses, profile.key_variable, variables, url)
    };
    let openai = Some("OPENAI_API_KEY");
    let org = || vec!["OPENAI_ORGANIZATION", "OPENAI_PROJECT"];
    let local = "http://127.0.0.1:1/v1";
    let chatgpt = "https://chatgpt.com/backend-api/codex";
    let table: [(&str, Option<&str>, Facts); 7] = [
        ("openai", None, (true, false, openai, org(), "https://api.openai.com/v1")),
        ("OpenAI", Some(local), (true, false, openai, org(), local)),
        ("chatgpt", None, (true, false, None, vec![], chatgpt)),
        ("chatgpt", Some(local), (true, false, None, vec![], local)),
        ("azure", Some(local), (false, true, Some("AZURE_OPENAI_API_KEY"), vec![], local)),
        ("mine", Some(local), (false, false, None, vec![], local)),
        ("", Some(local), (false, false, None, vec![], local)),
    ];
    for (name, url, expected) in table {
        assert_eq!(facts(name, url), expected, "{name}");
    }
    let openai = Provider::openai(Secret::new("k"));
    assert_eq!(openai.base_url.as_str(), "https://api.openai.com/v1");
    assert_eq!((openai.name.as_str(), openai.vendor_headers), ("openai", true));
}

#[test]
fn azure_is_known_by_its_name_and_its_addresses() {
    let stores = |name: &str, url: &str| {
        let provider = Provider::named(name, Some(url)).unwrap();
        provider.stores_responses
    };
    for url in [
        "https://foo.openai.azure.com/openai",
        "https://foo.openai.azure.us/openai/deployments/bar",
        "https://foo.cognitiveservices.azure.cn/openai",
        "https://foo.aoai.azure.com/openai",
        "https://foo.openai.azure-api.net/openai",
        "https://foo.z01.azurefd.net/",
        "https://FOO.OpenAI.Azure.com/OPENAI",
        "https://gateway.example.com/Foo.OpenAI.Azure.com/openai",
    ] {
        assert!(stores("test", url), "{url}");
        assert!(Provider::custom(url).unwrap().stores_responses, "{url}");
    }
    assert!(stores("Azure", "https://example.com"));
    assert!(stores("azure", "https://example.com/openai"));
    for url in [
        "https://api.openai.com/v1",
        "https://example.com/openai",
        "https://myproxy.azurewebsites.net/openai",
        "https://azure.example.com/v1",
    ] {
        assert!(!stores("test", url), "{url}");
        assert!(!stores("my azure", url), "{url}");
    }
}

/// A base URL, a query, and the address that they make.
type Address = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn addresses_are_built_with_an_escaped_query() {
    let table: [Address; 11] = [
        ("https://x.com/v1", &[], "https://x.com/v1/responses"),
        ("https://x.com/v1/", &[], "https://x.com/v1/responses"),
        ("  https://X.com/v1//\n", &[], "https://x.com/v1/responses"),
        ("https://x.com", &[], "https://x.com/responses"),
        ("https://x.com/a b/ü", &[], "https://x.com/a%20b/%C3%BC/responses"),
        ("https://x.com/a%20b", &[], "https://x.com/a%20b/responses"),
        (
            "https://x.com/v1",
            &[("api-version", "2025-04-01-preview")],
            "https://x.com/v1/responses?api-version=2025-04-01-preview",
        ),
        (
            "https://x.com/v1",
            &[("a b", "c d"), ("e+f", "g+h")],
            "https://x.com/v1/responses?a%20b=c%20d&e%2Bf=g%2Bh",
        ),
        (
            "https://x.com/v1",
            &[("k", "a&b=c#d?e/f"), ("%", "100%")],
            "https://x.com/v1/responses?k=a%26b%3Dc%23d%3Fe%2Ff&%25=100%25",
        ),
        (
            "https://x.com/v1",
            &[("ü", "日本\n")],
            "https://x.com/v1/responses?%C3%BC=%E6%97%A5%E6%9C%AC%0A",
        ),
        (
            "https://x.com/v1",
            &[("z", ""), ("a", "1"), ("z", "2"), ("", "")],
            "https://x.com/v1/responses?z=&a=1&z=2&=",
        ),
    ];
    for (base_url, query, expected) in table {
        let mut provider = Provider::custom(base_url).unwrap();
        let pairs = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        provider.query = pairs.collect();
        let url = provider.responses_url();
        assert_eq!(url.as_str(), expected);
        // Whoever reads it finds what was put in.
        let read: Vec<_> = url.query_pairs().into_owned().collect();
        assert_eq!(read, provider.query);
    }
    let mut provider = Provider::custom("https://x.com/v1").unwrap();
    provider.base_url = "https://x.com/v1?own=1".parse().unwrap();
    provider.query = vec![("a".into(), "2".into())];
    assert_eq!(provider.responses_url().as_str(), "https://x.com/v1/responses?own=1&a=2");
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

/// The variables of this process are left alone: `PATH` is there wherever tests run.
#[test]
fn headers_come_from_the_environment_where_it_holds_them() {
    let mut provider = Provider::custom("https://example.com/v1").unwrap();
    provider.add_env_header("x-a", "PATH").unwrap();
    provider.add_env_header("x-b", "LONGHAUL_NO_SUCH_VARIABLE").unwrap();
    assert_eq!(provider.headers["x-a"], std::env::var("PATH").unwrap().trim());
    assert!(provider.headers["x-a"].is_sensitive());
    assert_eq!(provider.headers.len(), 1);
    assert!(provider.add_env_header("bad name", "PATH").is_err());
    assert!(provider.add_env_header("bad name", "LONGHAUL_NO_SUCH_VARIABLE").is_ok());
}
