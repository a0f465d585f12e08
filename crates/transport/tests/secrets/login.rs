//! A stored login: its tokens go to the model's server and to the token endpoint, and are written to its file alone.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longhaul_testkit::server::{RecordedRequest, Reply, Script, Server};
use longhaul_testkit::tls::Authority;
use longhaul_testkit::token::{TokenServer, Tokens};
use longhaul_transport::auth::{Auth, Login, LoginOptions};
use longhaul_transport::exchange::ReqwestExchange;
use longhaul_transport::{Provider, RetryPolicy};
use serde_json::{Value, json};

use crate::{assert_secret, client, printed, said, traced, traces};

const ACCOUNT: &str = "acct-canary-90b2";

/// In front of `access-0`, `refresh-0` and so on.
const PREFIX: &str = "tok-canary-d84e-";

/// A folder that is deleted with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("secrets-{}-{name}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn login(&self) -> PathBuf {
        self.0.join("auth.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn id_token() -> String {
    let claims = json!({"https://api.openai.com/auth": {"chatgpt_account_id": ACCOUNT}});
    format!("id-canary-3c17.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn store(path: &Path, server: &TokenServer) {
    let pair = server.first_pair();
    let login = json!({"tokens": {"access_token": pair.access, "refresh_token": pair.refresh,
        "id_token": id_token(), "account_id": ACCOUNT}});
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).unwrap().write_all(login.to_string().as_bytes()).unwrap();
}

/// Tells these secrets back wherever an error has room.
fn echo(status: u16, secrets: &str) -> Reply {
    let body: Value = json!({"error": {"message": secrets, "code": secrets, "type": secrets,
        "param": secrets}, "error_description": secrets});
    Reply::error(status, &body).header("x-request-id", secrets)
}

/// Refuses the first access token; the first request with the second fails too. Both errors hold what came.
async fn model_server(over_http2: bool, authority: Option<&Authority>) -> Server {
    let failed = AtomicBool::new(false);
    let answer = move |request: &RecordedRequest| {
        let bearer = request.header("authorization").unwrap();
        let account = request.header("chatgpt-account-id").unwrap();
        let came = format!("{bearer} {account}");
        if !bearer.ends_with("access-1") {
            return echo(401, &came);
        }
        let again = failed.swap(true, Ordering::SeqCst);
        if again { Reply::text("hello") } else { echo(500, &came) }
    };
    let mut builder = Server::builder();
    if over_http2 {
        builder = builder.http2();
    }
    if let Some(authority) = authority {
        builder = builder.tls(&authority.valid().unwrap());
    }
    builder.start(Script::new().reply_with(answer).repeat_last()).await.unwrap()
}

/// Every file but the login itself: the lock, and whatever was left lying about.
fn assert_no_token_in_other_files(folder: &Folder, of: &str) {
    let mut names = Vec::new();
    for file in fs::read_dir(&folder.0).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name != "auth.json" {
            let content = fs::read(file.path()).unwrap();
            assert_secret(&String::from_utf8_lossy(&content), &format!("{name}, {of}"));
            names.push(name);
        }
    }
    assert_eq!(names, ["auth.json.lock"], "{of}");
}

async fn refreshed_login_stays_secret(over_http2: bool, authority: Option<&Authority>) {
    let what = format!("HTTP/2: {over_http2}, TLS: {}", authority.is_some());
    let folder =
        Folder::new(&format!("{}-{}", u8::from(over_http2), u8::from(authority.is_some())));
    let model = model_server(over_http2, authority).await;
    let all = format!("{PREFIX}access-0 {PREFIX}refresh-0 {}", id_token());
    assert_eq!(model.base_url().starts_with("https:"), authority.is_some());
    let tokens = Tokens::new().prefix(PREFIX).field("id_token", id_token()).fail(echo(500, &all));
    let endpoint = TokenServer::start(tokens).await.unwrap();
    store(&folder.login(), &endpoint);

    let mut provider = Provider::named("openai", Some(&model.base_url())).unwrap();
    provider.retry = RetryPolicy::new(1, 1);
    let mut options = LoginOptions::default();
    options.token_endpoint = endpoint.token_url().parse().unwrap();
    options.cool_down = Duration::ZERO;
    let exchange = Arc::new(ReqwestExchange::new(Duration::from_secs(10)).unwrap());
    let login = Login::open(folder.login(), &provider, exchange, options).unwrap();
    let refused = login.refresh(1).await.unwrap_err();
    assert_secret(&printed(&refused), &what);
    assert_no_token_in_other_files(&folder, &what);

    let client = client(provider.with_auth(login.clone()), over_http2, authority);
    let (errors, events) = said(client.clone()).await;
    assert!(errors.contains("500") && events.contains("Refreshed"), "{what}: {errors} {events}");
    assert!(events.contains("Completed"), "{what}: {events}");
    for text in [errors, events, format!("{login:?} {client:?}")] {
        assert_secret(&text, &what);
    }
    assert_eq!((endpoint.refreshes(), endpoint.sent().len()), (1, 2), "{what}");
    let sent = model.requests();
    let bearers = sent.iter().map(|request| request.header("authorization").unwrap());
    let expected = ["access-0", "access-1", "access-1"].map(|n| format!("Bearer {PREFIX}{n}"));
    assert_eq!(bearers.collect::<Vec<_>>(), expected, "{what}");
    assert!(sent.iter().all(|request| request.header("chatgpt-account-id") == Some(ACCOUNT)));
    let stored = fs::read_to_string(folder.login()).unwrap();
    assert!(stored.contains(&endpoint.pair().refresh), "the new token is stored");
    assert_no_token_in_other_files(&folder, &what);
}

/// The server and the token endpoint tell all of it back in their errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_event_trace_or_other_file_holds_a_token_of_a_login() {
    traces();
    let authority = Authority::new().unwrap();
    for over_http2 in [false, true] {
        for authority in [None, Some(&authority)] {
            refreshed_login_stays_secret(over_http2, authority).await;
        }
    }
    let crates = ["hyper_util::", "reqwest::", "h2::", "refreshing the stored login"];
    assert_secret(&traced(&crates), "traces");
}
