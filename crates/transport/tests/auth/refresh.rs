//! The refresh in one process: when, how often, for whom.
//!
//! G8 (one refresh).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use longhaul_history::Prompt;
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::server::{Gate, Reply};
use longhaul_testkit::token::{TokenServer, Tokens};
use longhaul_transport::auth::{Auth, Login, LoginOptions};
use longhaul_transport::{Provider, Request, ResponseEvent, ResponsesClient, SampleEvent, sample};
use serde_json::{Value, json};

use crate::support::*;

const DAY: i64 = 24 * HOUR;

#[tokio::test]
async fn f059_an_expiring_token_is_refreshed_once_before_the_call() {
    for (seconds, due) in [(-HOUR, true), (0, true), (290, true), (330, false), (HOUR, false)] {
        let folder = Folder::new();
        write_login(&folder.login(), &login_file("acc", &access(0, seconds), 0));
        let issuer = Issuer::start(HOUR).await;
        let login = open(&folder.login(), issuer.options());
        for _ in 0..2 {
            assert_eq!(number(&bearer(&login).await), u64::from(due), "{seconds}");
        }
        assert_eq!(issuer.sent().len(), usize::from(due), "{seconds}");
    }
}

#[tokio::test]
async fn f059_a_token_without_expiry_is_refreshed_after_28_days() {
    for (date, due) in [("2024-01-01T00:00:00Z", true), ("2200-01-01T00:00:00Z", false)] {
        let folder = Folder::new();
        let mut file = login_file("acc", "opaque-canary", 0);
        file["last_refresh"] = json!(date);
        write_login(&folder.login(), &file);
        let issuer = Issuer::start(HOUR).await;
        let login = open(&folder.login(), issuer.options());
        assert_eq!(bearer(&login).await == "opaque-canary", !due, "{date}");
        assert_eq!(issuer.issued(), usize::from(due));
    }
}

/// All hundred wait for the one refresh, which the server holds back until they do.
#[tokio::test]
async fn f060_a_hundred_calls_that_meet_expiry_make_one_refresh() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let gate = Gate::new("answer");
    let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
    let login = open(&folder.login(), issuer.options());
    // Polled one after the other in this task: each is waiting before the gate opens.
    let calls = join_all((0..100).map(|_| bearer(&login)));
    let open = async {
        gate.reached().await;
        gate.open();
    };
    let (bearers, ()) = tokio::join!(calls, open);
    assert!(bearers.iter().all(|bearer| number(bearer) == 1));
    assert_eq!(issuer.sent(), [refresh(0)]);
}

#[tokio::test]
async fn f060_a_hundred_calls_share_one_failure() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let gate = Gate::new("answer");
    let failure = Reply::error(503, &json!({})).hold_head(&gate);
    let server = endpoint([failure]).await;
    let login = open(&folder.login(), options(&server));
    let calls = join_all((0..100).map(|_| ask(&login)));
    let open = async {
        gate.reached().await;
        gate.open();
    };
    let (failed, ()) = tokio::join!(calls, open);
    assert!(failed.iter().all(|call| call.as_ref().unwrap_err().status() == Some(503)));
    assert_eq!(sent(&server).len(), 1);
}

/// A login for a server that knows which tokens are good, and that server's client.
fn client(folder: &Folder, server: &TokenServer) -> (ResponsesClient, Login) {
    let pair = server.first_pair();
    let file = json!({"tokens": {"access_token": pair.access, "refresh_token": pair.refresh}});
    write_login(&folder.login(), &file);
    let provider = Provider::named("openai", Some(&server.base_url())).unwrap();
    let mut options = LoginOptions::default();
    options.token_endpoint = server.token_url().parse().unwrap();
    let login = Login::open(folder.login(), &provider, exchange(), options).unwrap();
    let provider = provider.with_auth(login.clone());
    (ResponsesClient::with_exchange(provider, exchange()), login)
}

/// Samples once, without one retry: how often the credential was replaced before the response was complete.
async fn sampled(client: ResponsesClient) -> usize {
    let request = Request::new("m", Prompt::default());
    let mut events = sample(Arc::new(client), Arc::new(request), None);
    let (mut refreshed, mut completed) = (0, false);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            SampleEvent::Refreshed => refreshed += 1,
            SampleEvent::Response(event) => {
                completed = matches!(event, ResponseEvent::Completed(_));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(completed);
    refreshed
}

/// A hundred at once: how often each was given a new credential.
async fn hundred(client: &ResponsesClient) -> Vec<usize> {
    let calls = (0..100).map(|_| tokio::spawn(sampled(client.clone()))).collect::<Vec<_>>();
    join_all(calls).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f060_a_hundred_samplings_that_are_refused_make_one_refresh() {
    let folder = Folder::new();
    let gate = Gate::new("the refresh");
    let server = TokenServer::start(Tokens::new().hold(&gate)).await.unwrap();
    let (client, _) = client(&folder, &server);
    assert_eq!(sampled(client.clone()).await, 0, "the first token is good");
    server.expire();
    // The refresh ends when all hundred were refused and it was asked for, so all of them meet it.
    let refused = async {
        server.wait_for_requests(1 + 100 + 1).await;
        gate.open();
    };
    let (refreshed, ()) = tokio::join!(hundred(&client), refused);
    assert_eq!(refreshed, [1; 100]);
    assert_eq!(server.calls(), (1 + 100, 100));
    assert_eq!((server.refreshes(), server.sent().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f060_a_hundred_samplings_that_meet_expiry_make_one_refresh_and_are_not_refused() {
    let folder = Folder::new();
    let server = TokenServer::start(Tokens::new()).await.unwrap();
    server.expire();
    let (client, _) = client(&folder, &server);
    let mut file = read_login(&folder.login());
    file["last_refresh"] = json!("2024-01-01T00:00:00Z");
    write_login(&folder.login(), &file);
    assert_eq!(hundred(&client).await, [0; 100]);
    assert_eq!(server.calls(), (100, 0));
    assert_eq!((server.refreshes(), server.sent().len()), (1, 1));
}

/// Over and over, without waiting between: tokens that are refused as soon as they come are not renewed again.
#[tokio::test]
async fn f073_new_tokens_that_are_refused_are_not_refreshed_again() {
    let folder = Folder::new();
    let server = TokenServer::start(Tokens::new()).await.unwrap();
    let (_, login) = client(&folder, &server);
    assert!(login.refresh(1).await.unwrap());
    for _ in 0..100 {
        assert!(login.refresh(1).await.unwrap(), "there is a newer generation already");
        assert!(!login.refresh(2).await.unwrap(), "the newest was refused just after its birth");
    }
    assert_eq!(server.sent().len(), 1);
}

/// Whoever signed in may have written any date: a login that a process begins with is refreshed when
/// it is refused, however new it says it is; but once.
#[tokio::test]
async fn a_new_login_that_is_refused_is_refreshed_once() {
    let folder = Folder::new();
    let server = TokenServer::start(Tokens::new()).await.unwrap();
    let (_, login) = client(&folder, &server);
    assert!(login.refresh(1).await.unwrap());
    let (_, later) = client_of(&folder, &server);
    assert!(later.refresh(1).await.unwrap());
    assert!(!later.refresh(2).await.unwrap());
    assert_eq!(server.sent().len(), 2);
    assert!(server.reused().is_empty());
}

/// Another process's view of the same file.
fn client_of(folder: &Folder, server: &TokenServer) -> (ResponsesClient, Login) {
    let provider = Provider::named("openai", Some(&server.base_url())).unwrap();
    let mut options = LoginOptions::default();
    options.token_endpoint = server.token_url().parse().unwrap();
    let login = Login::open(folder.login(), &provider, exchange(), options).unwrap();
    let client = provider.with_auth(login.clone());
    (ResponsesClient::with_exchange(client, exchange()), login)
}

fn scripted(folder: &Folder, replies: &[Value]) -> (Login, ScriptedExchange) {
    let courses = replies.iter().map(|reply| Course::json(200, reply.to_string()));
    let exchange = ScriptedExchange::new(courses);
    let options = LoginOptions::default();
    let shared = Arc::new(exchange.clone());
    (Login::open(folder.login(), &provider(), shared, options).unwrap(), exchange)
}

#[tokio::test(start_paused = true)]
async fn f073_ten_minutes_of_refusals_make_a_few_refreshes_further_and_further_apart() {
    let _no_forks = no_forks();
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, HOUR), 0));
    let (login, network) = scripted(&folder, &(1..20).map(|n| tokens(n, HOUR)).collect::<Vec<_>>());
    let mut made_at = Vec::new();
    for second in (0..=600).step_by(10) {
        let generation = ask(&login).await.unwrap().generation;
        if login.refresh(generation).await.unwrap() {
            made_at.push(second);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    assert_eq!(made_at, [0, 60, 180, 420]);
    assert_eq!(network.requests().len(), made_at.len());
    // Once it has been good for long enough, the count begins anew.
    tokio::time::advance(Duration::from_secs(2000)).await;
    for expected in [true, false] {
        let generation = ask(&login).await.unwrap().generation;
        assert_eq!(login.refresh(generation).await.unwrap(), expected);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let generation = ask(&login).await.unwrap().generation;
    assert!(login.refresh(generation).await.unwrap());
}

/// The server's clock is a day behind: whatever it issues looks expired here. Each shape of lifetime.
#[tokio::test]
async fn f072_a_clock_that_is_a_day_ahead_makes_one_refresh_and_no_loop() {
    let stale = |n: usize| jwt(&json!({"exp": now() - DAY + HOUR, "n": n}));
    let dated = |n: usize| jwt(&json!({"iat": now() - DAY, "exp": now() - DAY + HOUR, "n": n}));
    let replies = |n: usize| {
        [
            json!({"access_token": stale(n), "refresh_token": refresh(n), "expires_in": HOUR}),
            json!({"access_token": dated(n), "refresh_token": refresh(n)}),
            json!({"access_token": stale(n), "refresh_token": refresh(n)}),
        ]
    };
    for (first, second) in replies(1).iter().zip(&replies(2)) {
        let folder = Folder::new();
        write_login(&folder.login(), &login_file("acc", &stale(0), 0));
        let server = endpoint([Reply::json(first), Reply::json(second)]).await;
        // A later process cannot know whose clock is wrong: it makes one refresh of its own.
        for process in 1..=2 {
            let login = open(&folder.login(), options(&server));
            for _ in 0..5 {
                assert_eq!(number(&bearer(&login).await), process);
            }
        }
        assert_eq!(sent(&server), [refresh(0), refresh(1)]);
    }
}

#[tokio::test]
async fn f072_a_clock_that_is_a_day_behind_leaves_it_to_the_servers_401() {
    let folder = Folder::new();
    let issuer = Issuer::start(HOUR + DAY).await;
    write_login(&folder.login(), &login_file("acc", &access(0, DAY - HOUR), 0));
    let login = open(&folder.login(), issuer.options());
    assert_eq!(number(&bearer(&login).await), 0, "it looks good here");
    assert!(login.refresh(1).await.unwrap());
    assert_eq!(number(&bearer(&login).await), 1);
    assert_eq!(issuer.sent(), [refresh(0)]);
}

/// The machine's clock says that the token is good for decades; the time since its issue says otherwise.
#[tokio::test(start_paused = true)]
async fn f072_tokens_obtained_here_age_by_a_clock_that_nobody_sets() {
    let _no_forks = no_forks();
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let replies = (1..4).map(
        |n| json!({"access_token": lasting(n), "refresh_token": refresh(n), "expires_in": HOUR}),
    );
    let (login, network) = scripted(&folder, &replies.collect::<Vec<_>>());
    assert_eq!(number(&bearer(&login).await), 1);
    tokio::time::advance(Duration::from_secs(54 * 60)).await;
    assert_eq!(number(&bearer(&login).await), 1);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(number(&bearer(&login).await), 2);
    assert_eq!(network.requests().len(), 2);
}

#[tokio::test]
async fn f076_a_refresh_goes_on_when_all_that_wait_for_it_are_gone() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let gate = Gate::new("answer");
    let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
    let login = open(&folder.login(), issuer.options());
    let leader = tokio::spawn({
        let login = login.clone();
        async move { ask(&login).await.map(drop) }
    });
    gate.reached().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    // Nobody is waiting: the lock is free when the refresh has gone to its end all the same.
    let lock = std::fs::File::open(folder.path().join("auth.json.lock")).unwrap();
    let (done, freed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let _ = done.send(());
    });
    gate.open();
    tokio::time::timeout(Duration::from_secs(60), freed).await.unwrap().unwrap();
    assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(1)));
    assert_eq!(number(&bearer(&login).await), 1);
    assert_eq!(issuer.sent(), [refresh(0)]);
}

#[tokio::test]
async fn f076_a_follower_gets_the_result_when_the_leader_is_gone() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let gate = Gate::new("answer");
    let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
    let login = open(&folder.login(), issuer.options());
    let leader = tokio::spawn({
        let login = login.clone();
        async move { ask(&login).await.map(drop) }
    });
    gate.reached().await;
    let follower = tokio::spawn({
        let login = login.clone();
        async move { bearer(&login).await }
    });
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(number(&follower.await.unwrap()), 1);
    assert_eq!(issuer.sent(), [refresh(0)]);
    assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(1)));
}

#[tokio::test]
async fn the_refresh_sends_what_the_endpoint_expects_and_nothing_else() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let issuer = Issuer::start(HOUR).await;
    let login = open(&folder.login(), issuer.options());
    bearer(&login).await;
    let request = &issuer.server.requests()[0];
    let expected = json!({"client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "grant_type": "refresh_token",
        "refresh_token": refresh(0), "scope": "openid profile email"});
    assert_eq!(request.json(), expected);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.target, "/oauth/token");
}

/// A token that lives shorter than the cool-down is renewed when its time is over, not when the
/// cool-down is.
#[tokio::test(start_paused = true)]
async fn a_token_that_lives_for_half_a_minute_is_renewed_in_time() {
    let _no_forks = no_forks();
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let reply = |n: usize| json!({"access_token": format!("opaque-{n}"), "refresh_token": refresh(n), "expires_in": 30});
    let (login, network) = scripted(&folder, &(1..5).map(reply).collect::<Vec<_>>());
    for n in 1..5 {
        assert_eq!(bearer(&login).await, format!("opaque-{n}"));
        tokio::time::advance(Duration::from_secs(31)).await;
    }
    assert_eq!(network.requests().len(), 4);
}
