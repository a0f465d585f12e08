//! Several processes with one login: one refresh, whoever dies.
//!
//! G8 (one refresh).

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use longhaul_testkit::server::{Cut, Gate, Reply};
use longhaul_transport::auth::LoginOptions;
use rustix::process::Signal;
use serde_json::json;

use crate::child::Child;
use crate::support::*;

const PROCESSES: usize = 8;

const FINAL: &str = "refresh_failed false: ";

fn expired(folder: &Folder, n: usize) {
    write_login(&folder.login(), &login_file("acc", &access(n, -HOUR), n));
}

fn processes(folder: &Folder, options: &LoginOptions) -> Vec<Child> {
    (0..PROCESSES).map(|_| Child::start(&folder.login(), options)).collect()
}

/// What all of them answer to the same, said to all before any is heard.
fn tell_all(children: &mut [Child], what: &str) -> Vec<String> {
    for child in &mut *children {
        child.say(what);
    }
    children.iter_mut().map(|child| child.hear().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f061_eight_processes_that_meet_expiry_make_one_refresh_each_time() {
    let folder = Folder::new();
    expired(&folder, 0);
    let issuer = Issuer::start(HOUR).await;
    let mut options = issuer.options();
    options.cool_down = LoginOptions::default().cool_down;
    let mut children = processes(&folder, &options);
    for n in 0..4 {
        let answers = tell_all(&mut children, "ask");
        assert_eq!(answers, vec![(n + 1).to_string(); PROCESSES]);
        assert_eq!(issuer.sent(), (0..=n).map(refresh).collect::<Vec<_>>());
        expired(&folder, n + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f061_eight_processes_that_are_refused_make_one_refresh_each_time() {
    for _ in 0..3 {
        let folder = Folder::new();
        write_login(&folder.login(), &login_file("acc", &access(0, HOUR), 0));
        let issuer = Issuer::start(HOUR).await;
        let mut children = processes(&folder, &issuer.options());
        assert_eq!(tell_all(&mut children, "ask"), vec!["0"; PROCESSES]);
        assert_eq!(tell_all(&mut children, "refresh"), vec!["true"; PROCESSES]);
        assert_eq!(tell_all(&mut children, "ask"), vec!["1"; PROCESSES]);
        assert_eq!(issuer.sent(), [refresh(0)]);
    }
}

/// The server has not used the token when the process that sent it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f062_when_the_holder_of_the_lock_is_killed_the_others_go_on() {
    let folder = Folder::new();
    expired(&folder, 0);
    let gate = Gate::new("the holder's answer");
    let held = Reply::json(&json!({})).hold_head(&gate);
    let server = endpoint([held, Reply::json(&tokens(1, HOUR))]).await;
    let mut holder = Child::start(&folder.login(), &options(&server));
    holder.say("ask");
    gate.reached().await;
    // Each says when it was at the lock and found it taken, and goes on trying.
    let mut impatient = options(&server);
    impatient.lock_timeout = Duration::from_millis(100);
    let mut others = processes(&folder, &impatient);
    for answer in tell_all(&mut others, "insist") {
        assert!(answer.contains("another process"), "{answer}");
    }
    assert_eq!(sent(&server).len(), 1, "nobody sends while the lock is held");
    holder.kill();
    for child in &mut others {
        assert_eq!(child.hear().as_deref(), Some("1"));
    }
    assert_eq!(sent(&server), [refresh(0), refresh(0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f062_when_the_holder_of_the_lock_is_stopped_the_others_time_out_and_send_nothing() {
    let folder = Folder::new();
    expired(&folder, 0);
    let gate = Gate::new("the holder's answer");
    let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
    let mut holder = Child::start(&folder.login(), &issuer.options());
    holder.say("ask");
    gate.reached().await;
    holder.signal(Signal::STOP);
    let mut options = issuer.options();
    options.lock_timeout = Duration::from_millis(200);
    let mut other = Child::start(&folder.login(), &options);
    for _ in 0..2 {
        let answer = other.tell("ask").unwrap();
        assert!(answer.starts_with("refresh_failed true: "), "{answer}");
        assert!(answer.contains("another process"), "{answer}");
    }
    assert_eq!(issuer.sent().len(), 1);
    gate.open();
    holder.signal(Signal::CONT);
    assert_eq!(holder.hear().as_deref(), Some("1"));
    assert_eq!(other.tell("ask").as_deref(), Some("1"));
    assert_eq!(issuer.sent(), [refresh(0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f063_a_process_killed_before_it_stored_the_tokens_costs_a_sign_in_and_no_more() {
    let folder = Folder::new();
    expired(&folder, 0);
    let before = fs::read(folder.login()).unwrap();
    let gate = Gate::new("after the rotation");
    let issuer = Issuer::held_at(HOUR, Some(gate.clone())).await;
    let mut holder = Child::start(&folder.login(), &issuer.options());
    holder.say("ask");
    gate.reached().await;
    assert_eq!(issuer.issued(), 1, "the server has used the token");
    holder.kill();
    gate.open();
    for _ in 0..3 {
        let mut child = Child::start(&folder.login(), &issuer.options());
        for _ in 0..2 {
            let answer = child.tell("ask").unwrap();
            assert!(answer.starts_with(FINAL) && answer.contains("sign in again"), "{answer}");
        }
    }
    assert_eq!(issuer.sent(), [refresh(0), refresh(0)], "one repetition, by whichever process");
    assert_eq!(fs::read(folder.login()).unwrap(), before);
}

/// `strace` with what it is to do to calls that touch `file`; `None` if it cannot run here, which is a failure where the
/// environment says `CI_REQUIRES_STRACE`.
fn strace(folder: &Folder, file: &str, calls: &str, what: &str) -> Option<Command> {
    let forking = forking();
    let works = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    drop(forking);
    if !works {
        let required = std::env::var_os("CI_REQUIRES_STRACE").is_some();
        assert!(!required, "CI_REQUIRES_STRACE is set, but strace cannot run here");
        // Not by `println`, which the test harness keeps to itself.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: strace cannot run here, so {calls} did not fail\n"
        );
        return None;
    }
    let mut strace = Command::new("strace");
    let path = if file == "." { folder.path().to_owned() } else { folder.path().join(file) };
    strace.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(path);
    strace.arg("-e").arg(format!("trace={calls}"));
    strace.arg("-e").arg(format!("inject={calls}:{what}"));
    Some(strace)
}

const RENAME: &str = "?rename,?renameat,?renameat2";

/// Killed at each step between the answer and the end: the file is the old one or the new one as a whole, and the
/// processes after it send no token that was used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f063_killed_at_any_step_the_file_is_whole_and_no_token_is_sent_twice() {
    let mut deaths = 0;
    for (file, calls) in [
        ("auth.json.lock", "write"),
        ("auth.json.lock", "fdatasync"),
        ("auth.json.new", "openat"),
        ("auth.json.new", "write"),
        ("auth.json.new", "fsync"),
        ("auth.json.new", RENAME),
        (".", "fsync"),
    ] {
        for nth in 1..=2 {
            let folder = Folder::new();
            expired(&folder, 0);
            let endpoint = Issuer::start(HOUR).await;
            let what = format!("signal=KILL:when={nth}");
            let Some(strace) = strace(&folder, file, calls, &what) else { return };
            let mut child = Child::start_under(strace, &folder.login(), &endpoint.options());
            let answer = child.tell("ask");
            deaths += usize::from(answer.is_none());
            child.kill();
            let stored = read_login(&folder.login())["tokens"]["refresh_token"].take();
            let stored = usize::from(stored == json!(refresh(1)));
            assert_eq!(read_login(&folder.login())["unknown"], json!({"kept": "as it is"}));
            let issued = endpoint.issued();
            let mut next = Child::start(&folder.login(), &endpoint.options());
            let answer = next.tell("ask").unwrap();
            let sent = endpoint.sent();
            if issued == 0 || stored == 1 {
                assert_eq!(answer, "1", "{file} {calls} {nth}");
                assert_eq!(sent, [refresh(0)]);
            } else {
                assert!(answer.starts_with(FINAL), "{file} {calls} {nth}: {answer}");
                assert!(sent.len() <= 2, "{file} {calls} {nth}: {sent:?}");
            }
            assert!(!folder.names().contains(&"auth.json.new".into()) || stored == 0);
        }
    }
    // Each of the calls is made once, and those to the lock file twice, if by one thread.
    assert!((7..=9).contains(&deaths), "{deaths} processes were killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f070_a_full_or_failing_disk_costs_no_token() {
    for (calls, error) in
        [("write", "ENOSPC"), ("fsync", "EIO"), (RENAME, "EIO"), ("openat", "EROFS")]
    {
        let folder = Folder::new();
        expired(&folder, 0);
        let before = fs::read(folder.login()).unwrap();
        let issuer = Issuer::start(HOUR).await;
        // `strace` counts the calls of each thread; those of the second fail too, should there be one.
        let what = format!("error={error}:when=1");
        let Some(strace) = strace(&folder, "auth.json.new", calls, &what) else { return };
        let mut child = Child::start_under(strace, &folder.login(), &issuer.options());
        assert_eq!(child.tell("ask").as_deref(), Some("1"), "{calls} {error}");
        for _ in 0..10 {
            if fs::read(folder.login()).unwrap() != before {
                break;
            }
            assert_eq!(child.tell("ask").as_deref(), Some("1"), "{calls} {error}");
        }
        assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(1)));
        assert_eq!(folder.names(), ["auth.json", "auth.json.lock"], "{calls} {error}");
        assert_eq!(issuer.sent(), [refresh(0)]);
    }
}

/// Everything that any crate traces while a login is refreshed, refused, told back and could not be stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f074_no_trace_of_any_crate_holds_a_token() {
    let folder = Folder::new();
    expired(&folder, 0);
    let echo = json!({"error": {"message": format!("{} {}", refresh(0), id_token("acc"))}});
    let server = endpoint([
        Reply::error(500, &echo),
        Reply::json(&json!({})).cut_after(1, Cut::Rst),
        Reply::json(&tokens(1, HOUR)),
    ])
    .await;
    fs::create_dir_all(folder.path().join("auth.json.new/full")).unwrap();
    let log = folder.path().join("log");
    let mut child = Child::traced(&folder.login(), &options(&server), &log);
    for expected in ["refresh_failed true", "refresh_failed true", "1", "1"] {
        let answer = child.tell("ask").unwrap();
        assert!(answer.starts_with(expected), "{answer}");
    }
    child.kill();
    let traced = fs::read_to_string(&log).unwrap();
    for part in ["refreshing the stored login", "could not be stored", "hyper_util::"] {
        assert!(traced.contains(part), "`{part}` was not traced");
    }
    let at = traced.find(CANARY);
    let around = at.map(|at| &traced[at.saturating_sub(200)..(at + 50).min(traced.len())]);
    assert_eq!(around, None);
}
