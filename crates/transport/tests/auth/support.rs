//! A login on disk, a token endpoint that rotates refresh tokens, and JSON web tokens.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::server::{Gate, Reply, Script, Server};
use longhaul_transport::auth::{Auth, Credential, Login, LoginError, LoginOptions};
use longhaul_transport::exchange::{Exchange, ReqwestExchange};
use longhaul_transport::{ErrorCode, Model, ModelError, Provider, Request, ResponsesClient};
use serde_json::{Value, json};

/// In every secret of these tests.
pub(crate) const CANARY: &str = "canary";

/// The server that gets the credentials. Nothing connects to it: what it would get is scripted.
pub(crate) const BASE_URL: &str = "http://127.0.0.1:9/v1";

/// More than enough to be no matter, in seconds.
pub(crate) const HOUR: i64 = 3600;

/// Between its fork and its exec a child holds what this process holds, the kernel's locks among it;
/// and under a paused clock a wait for such a lock is over at once. So tests in virtual time and the
/// starting of processes keep apart.
static FORKS: RwLock<()> = RwLock::new(());

/// As long as this lives, no test starts a process.
pub(crate) fn no_forks() -> RwLockReadGuard<'static, ()> {
    FORKS.read().unwrap_or_else(PoisonError::into_inner)
}

/// As long as this lives, no test is in virtual time.
pub(crate) fn forking() -> RwLockWriteGuard<'static, ()> {
    FORKS.write().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that is deleted with everything in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("auth-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn login(&self) -> PathBuf {
        self.0.join("auth.json")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

pub(crate) fn jwt(claims: &Value) -> String {
    format!("{CANARY}.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// The n-th access token, good for so many seconds from now.
pub(crate) fn access(n: usize, seconds: i64) -> String {
    jwt(&json!({"exp": now() + seconds, "n": n}))
}

/// The n-th access token, good for decades.
pub(crate) fn lasting(n: usize) -> String {
    jwt(&json!({"exp": 4_102_444_800_i64, "n": n}))
}

pub(crate) fn refresh(n: usize) -> String {
    format!("refresh-{CANARY}-{n}")
}

pub(crate) fn id_token(account: &str) -> String {
    jwt(&json!({"email": format!("{account}@example.com"), "https://api.openai.com/auth": {
        "chatgpt_plan_type": "plus", "chatgpt_account_id": account}}))
}

/// The tokens of `account` with access token `access`, the n-th refresh token, and a date long ago.
pub(crate) fn login_file(account: &str, access: &str, n: usize) -> Value {
    json!({
        "OPENAI_API_KEY": null,
        "tokens": {"id_token": id_token(account), "access_token": access,
            "refresh_token": refresh(n), "account_id": account, "unknown_inside": [1, {"a": 2.50}]},
        "last_refresh": "2024-01-01T00:00:00Z",
        "unknown": {"kept": "as it is"},
    })
}

/// Replaces the file as a careful program would.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    let next = path.with_extension("other");
    let _ = fs::remove_file(&next);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&next).unwrap().write_all(content.as_ref()).unwrap();
    fs::rename(&next, path).unwrap();
}

pub(crate) fn write_login(path: &Path, login: &Value) {
    write(path, login.to_string());
}

pub(crate) fn read_login(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A login whose access token is good for so many seconds, and the file as it is.
pub(crate) fn stored(folder: &Folder, seconds: i64) -> Vec<u8> {
    write_login(&folder.login(), &login_file("acc", &access(0, seconds), 0));
    fs::read(folder.login()).unwrap()
}

/// Whether a failure may pass; all say that the refresh failed.
pub(crate) fn may_pass(error: &ModelError) -> bool {
    assert_eq!(error.code(), ErrorCode::RefreshFailed, "{error}");
    let passes = error.is_retryable();
    assert_eq!(error.to_string().contains("sign in again"), !passes, "{error}");
    assert!(!printed(error).contains(CANARY), "{error}");
    passes
}

/// A token endpoint that takes each refresh token once, from the 0th on.
pub(crate) struct Issuer {
    pub(crate) server: Server,
    next: Arc<AtomicUsize>,
}

impl Issuer {
    /// Issues tokens that are good for so many seconds.
    pub(crate) async fn start(seconds: i64) -> Self {
        Self::held_at(seconds, None).await
    }

    /// Waits at `gate`, if there is one, before each answer; the old token is spent by then.
    pub(crate) async fn held_at(seconds: i64, gate: Option<Gate>) -> Self {
        let next = Arc::new(AtomicUsize::new(0));
        let issued = Arc::clone(&next);
        let script = token_script().reply_with(move |request| {
            let sent = request.json()["refresh_token"].as_str().unwrap_or_default().to_owned();
            let current = issued.load(Ordering::SeqCst);
            let reply = if sent == refresh(current) {
                issued.store(current + 1, Ordering::SeqCst);
                Reply::json(&tokens(current + 1, seconds))
            } else {
                Reply::error(
                    400,
                    &json!({"error": {"code": "refresh_token_reused", "message": sent}}),
                )
            };
            match &gate {
                Some(gate) => reply.hold_head(gate),
                None => reply,
            }
        });
        Self { server: Server::start(script.repeat_last()).await.unwrap(), next }
    }

    /// How many tokens were issued.
    pub(crate) fn issued(&self) -> usize {
        self.next.load(Ordering::SeqCst)
    }

    /// The refresh tokens that were sent, in order.
    pub(crate) fn sent(&self) -> Vec<String> {
        sent(&self.server)
    }

    pub(crate) fn options(&self) -> LoginOptions {
        options(&self.server)
    }
}

pub(crate) fn sent(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let token = |request: &longhaul_testkit::server::RecordedRequest| {
        request.json()["refresh_token"].as_str().unwrap_or_default().to_owned()
    };
    requests.iter().map(token).collect()
}

/// The n-th tokens.
pub(crate) fn tokens(n: usize, seconds: i64) -> Value {
    json!({"id_token": id_token("acc"), "access_token": access(n, seconds),
        "refresh_token": refresh(n), "expires_in": seconds})
}

pub(crate) fn token_script() -> Script {
    Script::new().for_path("/oauth/token").allow_broken_pairing()
}

/// A token endpoint that answers so, and after that like the last time.
pub(crate) async fn endpoint(replies: impl IntoIterator<Item = Reply>) -> Server {
    let script = replies.into_iter().fold(token_script(), Script::reply);
    Server::start(script.repeat_last()).await.unwrap()
}

/// No cool-down, so that tests need not wait.
pub(crate) fn options(server: &Server) -> LoginOptions {
    let mut options = LoginOptions::default();
    options.token_endpoint = format!("http://{}/oauth/token", server.addr()).parse().unwrap();
    options.cool_down = Duration::ZERO;
    options
}

pub(crate) fn exchange() -> Arc<dyn Exchange> {
    Arc::new(ReqwestExchange::new(Duration::from_secs(10)).unwrap())
}

pub(crate) fn provider() -> Provider {
    Provider::named("chatgpt", Some(BASE_URL)).unwrap()
}

pub(crate) fn try_open(path: &Path, options: LoginOptions) -> Result<Login, LoginError> {
    Login::open(path, &provider(), exchange(), options)
}

pub(crate) fn open(path: &Path, options: LoginOptions) -> Login {
    try_open(path, options).unwrap()
}

/// The credential of a request to the login's own server.
pub(crate) async fn ask(login: &Login) -> Result<Credential, ModelError> {
    let target = format!("{BASE_URL}/responses").parse().unwrap();
    login.credential(&target).await.map(Option::unwrap)
}

/// What a request carries: the bearer, and the account.
pub(crate) async fn carried(login: &Login) -> (String, Option<String>) {
    let network = ScriptedExchange::new([Course::json(500, "{}")]);
    let provider = provider().with_auth(login.clone());
    let client = ResponsesClient::with_exchange(provider, Arc::new(network.clone()));
    let _ = client.stream(&Request::new("m", longhaul_history::Prompt::default())).await;
    let headers = network.requests()[0].headers.clone();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let bearer = text("authorization").unwrap();
    (bearer.strip_prefix("Bearer ").unwrap().to_owned(), text("chatgpt-account-id"))
}

/// The bearer that a request carries.
pub(crate) async fn bearer(login: &Login) -> String {
    carried(login).await.0
}

/// The number of an access token made by [`access`].
pub(crate) fn number(token: &str) -> u64 {
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["n"].as_u64().unwrap()
}

/// Everything that can be printed of an error and its causes.
pub(crate) fn printed(error: &(dyn std::error::Error + 'static)) -> String {
    let mut all = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(all, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    all
}
