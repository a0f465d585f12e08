//! Lost answers, refusals and failures of the token endpoint.
//!
//! G8 (one refresh).

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::server::{Cut, Gate, Reply};
use longhaul_transport::ErrorCode;
use longhaul_transport::auth::{Auth, Login, LoginOptions};
use longhaul_transport::exchange::ExchangeErrorKind;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::*;

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
            // A reason that is known is kept on disk; others may be a proxy's, and pass.
            for _ in 0..3 {
                assert!(!may_pass(&ask(&login).await.unwrap_err()), "{status} {body}");
                assert!(!may_pass(&login.refresh(1).await.unwrap_err()), "{status} {body}");
            }
            assert_eq!(sent(&server).len(), if known { 1 } else { 7 }, "{status} {body}");
            assert_eq!(fs::read(folder.login()).unwrap(), before);
            let other = open(&folder.login(), options(&server));
            assert!(!may_pass(&ask(&other).await.unwrap_err()));
            assert_eq!(sent(&server).len(), if known { 1 } else { 8 }, "{status} {body}");
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
    for reply in [broken(500), broken(503), broken(429), broken(425)] {
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

/// What stands between may have lost the endpoint's answer, and with it a new refresh token.
#[tokio::test]
async fn f064_a_failure_of_a_gateway_is_a_lost_answer() {
    let broken = |status| Reply::error(status, &json!({"error": {"message": "timeout"}}));
    let page = Reply::sse().status(502).header("content-type", "text/html").bytes("<html>");
    for reply in [broken(408), broken(409), broken(504), broken(522), page] {
        let folder = Folder::new();
        stored(&folder, -HOUR);
        let server = endpoint([reply]).await;
        let login = open(&folder.login(), options(&server));
        assert!(may_pass(&ask(&login).await.unwrap_err()));
        for _ in 0..3 {
            assert!(!may_pass(&ask(&login).await.unwrap_err()));
        }
        assert_eq!(sent(&server).len(), 2, "once more, and never again");
    }
}

#[tokio::test]
async fn f066_an_endpoint_that_cannot_be_reached_uses_no_token_up() {
    let folder = Folder::new();
    stored(&folder, 200);
    // The port is taken, so that nobody else can listen there.
    let held = TcpSocket::new_v4().unwrap();
    held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let mut options = LoginOptions::default();
    let endpoint = format!("http://{}/oauth/token", held.local_addr().unwrap());
    options.token_endpoint = endpoint.parse().unwrap();
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
    let _no_forks = no_forks();
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
