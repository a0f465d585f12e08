//! A scripted token endpoint, and a model that accepts its newest access token only.
//!
//! A [`TokenServer`] answers `POST …/oauth/token` and `POST …/responses`. It rotates: each refresh token is good for
//! one refresh, which gives a new pair, and a token that is used again is refused, as OpenAI's server does. So a
//! client that refreshes twice with one token shows, in whatever process it runs: the server speaks ordinary HTTP on
//! loopback, and its children find it by [`token_url`](TokenServer::token_url) and
//! [`base_url`](TokenServer::base_url).
//!
//! ```
//! use longhaul_testkit::token::{TokenServer, Tokens};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = TokenServer::start(Tokens::new()).await?;
//! let stored = server.first_pair(); // What a stored login holds before the test begins.
//! assert_eq!((stored.access.as_str(), stored.refresh.as_str()), ("access-0", "refresh-0"));
//! server.expire(); // From now on `access-0` is answered with 401, until someone refreshes.
//! // Run the clients under test, then:
//! assert_eq!(server.refreshes(), 0);
//! assert!(server.reused().is_empty());
//! # Ok(())
//! # }
//! ```

mod book;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use self::book::Book;
use crate::server::{RecordedRequest, Reply, Script, Server};

/// What the tokens look like, and what the endpoint answers before it begins to behave.
#[derive(Debug, Clone)]
#[must_use]
pub struct Tokens {
    prefix: String,
    expires_in: Option<u64>,
    leave_out: Vec<&'static str>,
    extra: serde_json::Map<String, Value>,
    rotates: bool,
    overrides: VecDeque<Option<Reply>>,
    hold: Option<crate::server::Gate>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokens {
    /// Rotating tokens `access-0`, `refresh-0`, `access-1`, …, without a stated lifetime.
    pub fn new() -> Self {
        Self {
            prefix: String::new(),
            expires_in: None,
            leave_out: Vec::new(),
            extra: serde_json::Map::new(),
            rotates: true,
            overrides: VecDeque::new(),
            hold: None,
        }
    }

    /// Puts `prefix` in front of every token, say to make it a canary.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// States a lifetime of `seconds` in every reply.
    pub fn expires_in(mut self, seconds: u64) -> Self {
        self.expires_in = Some(seconds);
        self
    }

    /// Leaves `field` out of every reply: `access_token`, `refresh_token`. Without a new refresh token the old one
    /// stays good.
    pub fn leave_out(mut self, field: &'static str) -> Self {
        self.leave_out.push(field);
        self
    }

    /// Adds `field` to every reply, say an `id_token`; one that is there already is replaced.
    pub fn field(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(field.to_owned(), value.into());
        self
    }

    /// Lets a refresh token be used any number of times, and repeats it in the replies.
    pub fn reusable(mut self) -> Self {
        self.rotates = false;
        self
    }

    /// Answers the next refresh with `reply`, whatever it brought. Its token is not used up.
    pub fn fail(mut self, reply: Reply) -> Self {
        self.overrides.push_back(Some(reply));
        self
    }

    /// Lets the next refresh through, so that a later one can [`fail`](Self::fail).
    pub fn pass(mut self) -> Self {
        self.overrides.push_back(None);
        self
    }

    /// Waits at `gate` before the head of each reply. The token is used up by then.
    pub fn hold(mut self, gate: &crate::server::Gate) -> Self {
        self.hold = Some(gate.clone());
        self
    }
}

/// An access token and its refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pair {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

/// The running server. Dropping it closes all connections.
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct TokenServer {
    server: Server,
    book: Arc<Mutex<Book>>,
}

impl TokenServer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The port cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: before it returns, nothing runs.
    pub async fn start(tokens: Tokens) -> io::Result<Self> {
        let book = Arc::new(Mutex::new(Book::new(tokens)));
        let shared = Arc::clone(&book);
        // The empty suffix is one of every path.
        let script = Script::new()
            .for_path("")
            .allow_broken_pairing()
            .reply_with(move |request| with(&shared, |book| route(book, request)))
            .repeat_last();
        Ok(Self { server: Server::start(script).await?, book })
    }

    /// `http://127.0.0.1:PORT/oauth/token`.
    pub fn token_url(&self) -> String {
        format!("http://{}/oauth/token", self.server.addr())
    }

    /// `http://127.0.0.1:PORT/v1`, of the model.
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server below, with every request as it came.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The pair that is good before the first refresh.
    pub fn first_pair(&self) -> Pair {
        with(&self.book, |book| book.pair(0))
    }

    /// The pair that is good now.
    pub fn pair(&self) -> Pair {
        with(&self.book, |book| book.current())
    }

    /// Refuses the current access token from now on, until the next refresh.
    pub fn expire(&self) {
        with(&self.book, |book| book.expired = true);
    }

    /// How many refreshes succeeded.
    pub fn refreshes(&self) -> usize {
        with(&self.book, |book| book.generation)
    }

    /// The refresh tokens that were sent, in order, good or not.
    pub fn sent(&self) -> Vec<String> {
        with(&self.book, |book| book.sent.clone())
    }

    /// The refresh tokens that were sent after they had been used up. Tokens that the server never gave are not here.
    pub fn reused(&self) -> Vec<String> {
        with(&self.book, |book| book.reused.clone())
    }

    /// How many calls of the model were answered, and how many were refused with 401.
    pub fn calls(&self) -> (usize, usize) {
        with(&self.book, |book| (book.answered, book.refused))
    }

    /// Waits until at least `count` requests have come, to the endpoint or to the model.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<RecordedRequest> {
        self.server.wait_for_requests(count).await
    }
}

fn with<T>(book: &Mutex<Book>, action: impl FnOnce(&mut Book) -> T) -> T {
    action(&mut book.lock().unwrap_or_else(PoisonError::into_inner))
}

fn route(book: &mut Book, request: &RecordedRequest) -> Reply {
    match request.path() {
        path if path.ends_with("/oauth/token") => book.refresh(request),
        path if path.ends_with("/responses") => book.call(request),
        path => Reply::error(404, &json!({"error": {"message": format!("no such path: {path}")}})),
    }
}
