//! What a reply may hold, and what becomes of the login then.
//!
//! G8 (one refresh).

use std::fs;
use std::sync::Arc;

use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::server::{Gate, Reply};
use longhaul_transport::ErrorCode;
use longhaul_transport::auth::{Auth, Login, LoginOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn f067_a_reply_without_a_refresh_token_keeps_the_old_one() {
    let folder = Folder::new();
    stored(&folder, -HOUR);
    let reply = |n| Reply::json(&json!({"access_token": access(n, HOUR), "expires_in": HOUR}));
    let server = endpoint([reply(1), reply(2)]).await;
    let login = open(&folder.login(), options(&server));
    assert_eq!(number(&bearer(&login).await), 1);
    assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(0)));
    assert!(login.refresh(2).await.unwrap());
    assert_eq!(number(&bearer(&login).await), 2);
    assert_eq!(sent(&server), [refresh(0), refresh(0)]);
}

#[tokio::test]
async fn f067_a_replaced_refresh_token_is_never_sent_again() {
    let folder = Folder::new();
    stored(&folder, -HOUR);
    let issuer = Issuer::start(HOUR).await;
    let login = open(&folder.login(), issuer.options());
    assert_eq!(number(&bearer(&login).await), 1);
    for generation in 2..10 {
        assert!(login.refresh(generation).await.unwrap());
    }
    let expected: Vec<String> = (0..9).map(refresh).collect();
    assert_eq!(issuer.sent(), expected);
    assert_eq!(issuer.issued(), 9);
}

/// Also what other programs keep in the file survives, to the last digit.
#[tokio::test]
async fn t120_a_reply_without_an_id_token_keeps_the_stored_one() {
    let folder = Folder::new();
    let mut expected = login_file("acc", &access(0, -HOUR), 0);
    expected["at_the_end"] = json!(1);
    let text = expected.to_string().replace("2.5", "2.50000000000000000001");
    let text = text.replacen(r#""at_the_end":1,"#, "", 1);
    let text = format!(r#"{},"at_the_end":1}}"#, text.strip_suffix('}').unwrap());
    write(&folder.login(), &text);
    let renewed = json!({"access_token": lasting(1), "refresh_token": refresh(1)});
    let server = endpoint([Reply::json(&renewed)]).await;
    let login = open(&folder.login(), options(&server));
    assert_eq!(bearer(&login).await, lasting(1));
    let mut file = read_login(&folder.login());
    let date = file["last_refresh"].take();
    let date: jiff::Timestamp = date.as_str().unwrap().parse().unwrap();
    assert!((date.as_second() - now()).abs() < 60 && file["tokens"]["id_token"].is_string());
    expected["last_refresh"] = Value::Null;
    expected["tokens"]["access_token"] = json!(lasting(1));
    expected["tokens"]["refresh_token"] = json!(refresh(1));
    assert_eq!(file, expected);
    let text = fs::read_to_string(folder.login()).unwrap();
    assert!(text.contains("2.50000000000000000001"), "{text}");
    let place = |name: &str| text.find(&format!("\"{name}\"")).unwrap();
    assert!(place("OPENAI_API_KEY") < place("tokens") && place("tokens") < place("at_the_end"));
}

#[tokio::test]
async fn f068_answers_that_hold_no_tokens_are_lost_answers() {
    for body in ["", "<html>", "null", "[]", "7", "\"x\"", "{", "{\"access_token\":\"a\"", "\u{0}"]
    {
        let folder = Folder::new();
        let before = stored(&folder, -HOUR);
        let server = endpoint([Reply::sse().bytes(body)]).await;
        let login = open(&folder.login(), options(&server));
        assert!(may_pass(&ask(&login).await.unwrap_err()), "{body}");
        assert!(!may_pass(&ask(&login).await.unwrap_err()), "{body}");
        assert_eq!(fs::read(folder.login()).unwrap(), before);
    }
}

#[tokio::test]
async fn f068_a_reply_without_an_access_token_leaves_the_server_to_judge_the_old_one() {
    let folder = Folder::new();
    stored(&folder, 200);
    let server = endpoint([Reply::json(&json!({"refresh_token": refresh(1)}))]).await;
    let login = open(&folder.login(), options(&server));
    for _ in 0..3 {
        assert_eq!(number(&bearer(&login).await), 0);
    }
    assert_eq!(sent(&server), [refresh(0)]);
    assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(1)));
    assert!(!login.refresh(1).await.unwrap(), "there is no other access token");
    assert_eq!(sent(&server), [refresh(0), refresh(1)]);
}

#[tokio::test]
async fn f075_new_tokens_that_no_header_can_carry_are_not_used_and_not_shown() {
    let long = format!("{CANARY}{}", "x".repeat(100 * 1024));
    for bad in ["canary\nx: 1", "canary\r\n", "canary\0", "canäry-canary", " canary", &long, ""] {
        let folder = Folder::new();
        stored(&folder, 200);
        let reply = json!({"access_token": bad, "refresh_token": refresh(1)});
        let server = endpoint([Reply::json(&reply)]).await;
        let login = open(&folder.login(), options(&server));
        let error = login.refresh(1).await.unwrap_err();
        assert!(may_pass(&error) && error.to_string().contains("access token"), "{error}");
        let tokens = &read_login(&folder.login())["tokens"];
        assert_eq!(tokens["refresh_token"], json!(refresh(1)), "the new refresh token is kept");
        assert_eq!(number(tokens["access_token"].as_str().unwrap()), 0);
        assert_eq!(number(&bearer(&login).await), 0);

        let reply = json!({"access_token": lasting(2), "refresh_token": bad, "id_token": bad});
        let server = endpoint([Reply::json(&reply)]).await;
        let login = open(&folder.login(), options(&server));
        assert!(login.refresh(1).await.unwrap());
        let tokens = &read_login(&folder.login())["tokens"];
        assert_eq!(tokens["refresh_token"], json!(refresh(1)), "the old refresh token is kept");
        assert_eq!(tokens["id_token"], json!(id_token("acc")));
    }
}

#[tokio::test]
async fn f071_tokens_of_another_account_are_refused() {
    let claim = json!({"https://api.openai.com/auth": {"chatgpt_account_id": "other"}, "n": 1});
    for reply in [
        json!({"id_token": id_token("other"), "access_token": lasting(1), "refresh_token": "r"}),
        json!({"access_token": jwt(&claim), "refresh_token": "r"}),
    ] {
        let folder = Folder::new();
        let before = stored(&folder, -HOUR);
        let server = endpoint([Reply::json(&reply)]).await;
        let login = open(&folder.login(), options(&server));
        let error = ask(&login).await.unwrap_err();
        assert!(!may_pass(&error) && error.to_string().contains("another account"), "{error}");
        assert_eq!(fs::read(folder.login()).unwrap(), before);
        let other = open(&folder.login(), options(&server));
        assert!(!may_pass(&ask(&other).await.unwrap_err()));
        assert_eq!(sent(&server).len(), 1);
    }
}

/// The file is replaced while the endpoint is answering: by another account, by newer tokens, by nothing.
#[tokio::test]
async fn f071_an_account_switched_on_disk_meanwhile_is_adopted_and_not_crossed() {
    for (account, n) in [("other", 7), ("acc", 8)] {
        let folder = Folder::new();
        stored(&folder, -HOUR);
        let gate = Gate::new("answer");
        let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
        let login = open(&folder.login(), issuer.options());
        let switched = login_file(account, &lasting(n), n);
        let switch = async {
            gate.reached().await;
            write_login(&folder.login(), &switched);
            gate.open();
        };
        let (_, ()) = tokio::join!(ask(&login), switch);
        assert_eq!(carried(&login).await, (lasting(n), Some(account.into())));
        assert_eq!(read_login(&folder.login()), switched);
        assert_eq!(issuer.sent(), [refresh(0)]);
    }
}

#[tokio::test]
async fn f071_signing_out_while_the_endpoint_answers_is_not_undone() {
    let folder = Folder::new();
    stored(&folder, -HOUR);
    let gate = Gate::new("answer");
    let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
    let login = open(&folder.login(), issuer.options());
    let sign_out = async {
        gate.reached().await;
        fs::remove_file(folder.login()).unwrap();
        gate.open();
    };
    let (error, ()) = tokio::join!(ask(&login), sign_out);
    assert!(!error.unwrap_err().is_retryable());
    assert!(!folder.login().exists());
    assert_eq!(ask(&login).await.unwrap_err().code(), ErrorCode::Unauthorized);
}

/// Wherever the server puts them, whole or as JSON escapes them.
#[tokio::test]
async fn f074_tokens_that_the_endpoint_tells_back_are_taken_out() {
    let echo = format!("bad token {} of {} and {}", refresh(0), id_token("acc"), access(0, -HOUR));
    let long = format!("{}{}", "x".repeat(1015), refresh(0));
    for body in [
        json!({"error": echo}),
        json!({"error": "invalid_grant", "error_description": echo}),
        json!({"error": {"code": echo, "message": echo}}),
        json!({"message": echo, "code": echo}),
        json!({"error": {"message": format!("\u{1b}[31m{}\n\r", refresh(0))}}),
        json!({"error": {"message": long}}),
    ] {
        for status in [400, 500] {
            let folder = Folder::new();
            stored(&folder, -HOUR);
            // What was stored when the file was read is what must not be shown.
            let echoed = body.to_string().replace('/', "\\/");
            let reply = Reply::sse().status(status).bytes(echoed);
            let server = endpoint([reply]).await;
            let login = open(&folder.login(), options(&server));
            let error = ask(&login).await.unwrap_err();
            let text = printed(&error);
            assert!(!text.contains(&refresh(0)) && !text.contains("refresh-can"), "{text}");
            assert!(!text.contains(&id_token("acc")), "{text}");
            assert!(!text.contains('\u{1b}') && text.len() < 8 * 1024, "{text}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[a-zA-Z0-9._-]{1,40}".prop_map(Value::from),
        Just(json!("3600")),
        Just(json!(1_000_000_000_000_000_000_i64)),
        Just(json!(-1)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,5}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// No reply makes the file unreadable, or takes the refresh token away without giving another.
    #[test]
    fn f068_no_reply_loses_the_refresh_token(
        fields in prop::collection::hash_map(
            prop::sample::select(vec!["id_token", "access_token", "refresh_token", "expires_in", "x"]),
            any_json(), 0..5),
        other in prop::option::weighted(0.1, any_json()),
    ) {
        let folder = Folder::new();
        stored(&folder, 200);
        let object = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let reply = other.unwrap_or_else(|| Value::Object(object.collect()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let network = ScriptedExchange::new([Course::json(200, reply.to_string())]);
            let login =
                Login::open(folder.login(), &provider(), Arc::new(network), LoginOptions::default());
            let login = login.unwrap();
            let renewed = login.refresh(1).await;
            let stored = read_login(&folder.login())["tokens"]["refresh_token"].take();
            let given = reply.get("refresh_token").and_then(Value::as_str);
            let usable = given.filter(|given| {
                !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_graphic())
            });
            assert_eq!(stored.as_str(), Some(usable.unwrap_or(&refresh(0))), "{reply}");
            if let Ok(true) = renewed {
                assert_eq!(reply["access_token"].as_str(), Some(&*bearer(&login).await));
            } else {
                assert_eq!(number(&bearer(&login).await), 0);
            }
        });
    }
}
