//! What the token endpoint may answer, and what becomes of the login then.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::server::{Cut, Gate, Reply};
use longhaul_transport::auth::{Auth, Login, LoginOptions};
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{ErrorCode, ModelError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

/// A login whose access token is good for so many seconds, and the file as it is.
fn stored(folder: &Folder, seconds: i64) -> Vec<u8> {
    write_login(&folder.login(), &login_file("acc", &access(0, seconds), 0));
    fs::read(folder.login()).unwrap()
}

/// Whether a failure may pass; all say that the refresh failed.
fn may_pass(error: &ModelError) -> bool {
    assert_eq!(error.code(), ErrorCode::RefreshFailed, "{error}");
    let passes = error.is_retryable();
    assert_eq!(error.to_string().contains("sign in again"), !passes, "{error}");
    assert!(!printed(error).contains(CANARY), "{error}");
    passes
}

#[tokio::test]
async fn f064_a_refresh_whose_answer_is_lost_is_repeated_once() {
    let whole = Reply::json(&tokens(1, HOUR));
    let body = whole.body().len();
    for cut in [0, 1, body / 2, body - 1] {
        for how in [Cut::Rst, Cut::Fin] {
            let folder = Folder::new();
            stored(&folder, -HOUR);
            let server = endpoint([whole.clone().cut_after(cut, how), whole.clone()]).await;
            let login = open(&folder.login(), options(&server));
            assert!(may_pass(&ask(&login).await.unwrap_err()), "{cut} {how:?}");
            assert_eq!(number(&bearer(&login).await), 1, "{cut} {how:?}");
            assert_eq!(sent(&server), [refresh(0), refresh(0)]);
        }
    }
}

/// Also not by a process that knows nothing of it but what is on disk, and not after its own end.
#[tokio::test]
async fn f064_a_refresh_whose_answer_is_lost_twice_is_never_sent_again() {
    let folder = Folder::new();
    let before = stored(&folder, -HOUR);
    let server = endpoint([Reply::json(&json!({})).cut_after(0, Cut::Rst)]).await;
    let login = open(&folder.login(), options(&server));
    assert!(may_pass(&ask(&login).await.unwrap_err()));
    assert!(!may_pass(&ask(&login).await.unwrap_err()));
    for _ in 0..3 {
        assert!(!may_pass(&ask(&login).await.unwrap_err()));
        let other = open(&folder.login(), options(&server));
        assert!(!may_pass(&other.refresh(1).await.unwrap_err()));
    }
    assert_eq!(sent(&server).len(), 2);
    assert_eq!(fs::read(folder.login()).unwrap(), before);
    // A new sign-in is another token.
    write_login(&folder.login(), &login_file("acc", &lasting(9), 9));
    assert_eq!(number(&bearer(&login).await), 9);
}

#[tokio::test]
async fn f064_an_endpoint_that_never_answers_is_a_lost_answer() {
    let folder = Folder::new();
    stored(&folder, -HOUR);
    let gate = Gate::new("never");
    let server = endpoint([Reply::json(&json!({})).hold_head(&gate)]).await;
    let mut options = options(&server);
    options.request_timeout = Duration::from_millis(100);
    let login = open(&folder.login(), options);
    let error = ask(&login).await.unwrap_err();
    assert!(may_pass(&error));
    assert!(error.to_string().contains("within 100 ms"), "{error}");
    assert!(!may_pass(&ask(&login).await.unwrap_err()));
    assert_eq!(sent(&server).len(), 2);
}

fn refusals() -> Vec<(Value, bool)> {
    vec![
        (json!({"error": "invalid_grant", "error_description": "expired"}), true),
        (json!({"error": {"code": "refresh_token_expired", "message": "m"}}), true),
        (json!({"error": {"code": "refresh_token_reused", "type": "invalid_request_error"}}), true),
        (json!({"error": {"code": null, "type": "invalid_grant"}}), true),
        (json!({"code": "refresh_token_invalidated"}), true),
        (json!({"error": "unauthorized_client"}), false),
        (json!({}), false),
        (json!("a text"), false),
    ]
}

#[tokio::test]
async fn f065_a_refused_refresh_token_is_final_and_the_file_stays() {
    for status in [400, 401, 403, 404] {
        for (body, known) in refusals() {
            let folder = Folder::new();
            let before = stored(&folder, -HOUR);
            let server = endpoint([Reply::error(status, &body)]).await;
            let login = open(&folder.login(), options(&server));
            let error = ask(&login).await.unwrap_err();
            assert!(!may_pass(&error), "{status} {body}");
            assert_eq!(error.status(), Some(status));
            for _ in 0..3 {
                assert!(!may_pass(&ask(&login).await.unwrap_err()), "{status} {body}");
                assert!(!may_pass(&login.refresh(1).await.unwrap_err()), "{status} {body}");
            }
            assert_eq!(sent(&server).len(), 1, "{status} {body}");
            assert_eq!(fs::read(folder.login()).unwrap(), before);
            // A reason that is known is kept on disk; others may be about this very exchange.
            let other = open(&folder.login(), options(&server));
            assert!(!may_pass(&ask(&other).await.unwrap_err()));
            assert_eq!(sent(&server).len(), if known { 1 } else { 2 }, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn f065_until_it_expires_the_access_token_of_a_refused_login_is_used() {
    let folder = Folder::new();
    stored(&folder, 200);
    let server = endpoint([Reply::error(400, &json!({"error": "invalid_grant"}))]).await;
    let login = open(&folder.login(), options(&server));
    for _ in 0..3 {
        assert_eq!(number(&bearer(&login).await), 0);
    }
    assert!(!may_pass(&login.refresh(1).await.unwrap_err()), "unless the server does not take it");
    assert_eq!(sent(&server).len(), 1);
}

/// Another program refreshed without the lock while this one was asking.
#[tokio::test]
async fn f065_a_newer_login_on_disk_is_adopted_when_the_old_one_is_refused() {
    let folder = Folder::new();
    stored(&folder, -HOUR);
    let gate = Gate::new("refusal");
    let refusal = Reply::error(400, &json!({"error": "invalid_grant"})).hold_head(&gate);
    let server = endpoint([refusal]).await;
    let login = open(&folder.login(), options(&server));
    let newer = login_file("acc", &lasting(7), 7);
    let write = async {
        gate.reached().await;
        write_login(&folder.login(), &newer);
        gate.open();
    };
    let (adopted, ()) = tokio::join!(bearer(&login), write);
    assert_eq!(number(&adopted), 7);
    assert_eq!(read_login(&folder.login()), newer, "it is not overwritten");
}

#[tokio::test]
async fn f066_failures_that_may_pass_leave_the_access_token_in_use() {
    let broken = |status| Reply::error(status, &json!({"error": {"message": "overloaded"}}));
    let page = Reply::sse().status(502).header("content-type", "text/html").bytes("<html>");
    for reply in [broken(500), broken(503), broken(429), broken(408), page] {
        let folder = Folder::new();
        let before = stored(&folder, 200);
        let server = endpoint([reply]).await;
        let login = open(&folder.login(), options(&server));
        assert_eq!(number(&bearer(&login).await), 0, "good for 200 s yet");
        assert!(may_pass(&login.refresh(1).await.unwrap_err()), "but the server did not take it");
        assert_eq!(sent(&server).len(), 2);
        assert_eq!(fs::read(folder.login()).unwrap(), before);
        write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 1));
        assert!(may_pass(&ask(&login).await.unwrap_err()), "it cannot be used any more");
    }
}

#[tokio::test]
async fn f066_an_endpoint_that_cannot_be_reached_uses_no_token_up() {
    let folder = Folder::new();
    stored(&folder, 200);
    let mut options = LoginOptions::default();
    // Nothing listens there.
    options.token_endpoint = "http://127.0.0.1:9/oauth/token".parse().unwrap();
    options.cool_down = Duration::ZERO;
    let login = open(&folder.login(), options);
    for _ in 0..5 {
        assert_eq!(number(&bearer(&login).await), 0);
        assert!(may_pass(&login.refresh(1).await.unwrap_err()));
    }
}

/// Every way in which an exchange fails: only where the token cannot have arrived may it be sent again at will.
#[tokio::test]
async fn f066_only_a_token_that_cannot_have_arrived_is_sent_again_at_will() {
    use ExchangeErrorKind::{Broken, Connect, ConnectTimeout, NotProcessed, Tls};
    let failing = |kind, sent: bool| {
        let course = if sent { Course::new().sent() } else { Course::new() };
        course.fail(kind)
    };
    for (kind, sent, times) in [
        (Connect, false, 5),
        (ConnectTimeout, false, 5),
        (NotProcessed, false, 5),
        (NotProcessed, true, 5),
        (Connect, true, 2),
        (ConnectTimeout, true, 2),
        (Tls, true, 2),
        (Broken, false, 2),
        (Broken, true, 2),
    ] {
        let folder = Folder::new();
        stored(&folder, -HOUR);
        let network = ScriptedExchange::new((0..9).map(|_| failing(kind, sent)));
        let mut options = LoginOptions::default();
        options.cool_down = Duration::ZERO;
        let shared = Arc::new(network.clone());
        let login = Login::open(folder.login(), &provider(), shared, options).unwrap();
        for _ in 0..5 {
            assert_eq!(ask(&login).await.unwrap_err().code(), ErrorCode::RefreshFailed);
        }
        assert_eq!(network.requests().len(), times, "{kind:?} {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn f066_after_a_failure_nothing_is_sent_until_the_cool_down_has_passed() {
    let folder = Folder::new();
    stored(&folder, 200);
    let good = Course::json(200, tokens(1, HOUR).to_string());
    let network = ScriptedExchange::new([Course::json(503, "{}"), good]);
    let shared = Arc::new(network.clone());
    let login = Login::open(folder.login(), &provider(), shared, LoginOptions::default()).unwrap();
    for _ in 0..59 {
        assert_eq!(number(&bearer(&login).await), 0);
        let error = login.refresh(1).await.unwrap_err();
        assert!(may_pass(&error) && error.retry_after().unwrap() <= Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(network.requests().len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(number(&bearer(&login).await), 1);
}

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
