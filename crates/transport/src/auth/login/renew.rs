//! One refresh among all processes: under the lock, read again, send, store.
//!
//! The order is what keeps a refresh token from being sent twice: the lock, then the file as it is
//! now, then the note that the token is being sent, then the request, then the new file, then the
//! note that all is well.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::LoginOptions;
use super::endpoint::{Answer, Endpoint, permanent, transient};
use super::error::{LoginError, shown};
use super::file::{Stored, Tokens};
use super::held::Held;
use super::lock::Lock;
use super::mark::{Fate, MAX_SENDS, Mark};
use super::platform::Seen;
use super::reply::Reply;
use super::store::Store;
use crate::exchange::Exchange;
use crate::{ModelError, Secret};

/// What a refresh came to: perhaps another version of the login, and perhaps a failure.
pub(super) struct Renewed {
    pub(super) held: Option<Held>,
    pub(super) result: Result<(), ModelError>,
}

impl From<Held> for Renewed {
    fn from(held: Held) -> Self {
        Self { held: Some(held), result: Ok(()) }
    }
}

impl From<ModelError> for Renewed {
    fn from(error: ModelError) -> Self {
        Self { held: None, result: Err(error) }
    }
}

impl From<LoginError> for Renewed {
    fn from(error: LoginError) -> Self {
        error.refresh_failed().into()
    }
}

/// Refreshes `held`, or adopts what another process has put in its place.
pub(super) async fn renew(
    store: Store,
    exchange: Arc<dyn Exchange>,
    options: &LoginOptions,
    held: Arc<Held>,
) -> Renewed {
    let lock = match Lock::acquire(&store.lock_path(), options.lock_timeout).await {
        Ok(lock) => lock,
        Err(error) => return error.into(),
    };
    let sending = match blocking(move || prepare(lock, store, &held)).await {
        Ok(Prepared::Send(sending)) => sending,
        Ok(Prepared::Done(renewed)) => return renewed,
        Err(error) => return error.into(),
    };
    let endpoint = Endpoint {
        exchange: &*exchange,
        url: &options.token_endpoint,
        client_id: &options.client_id,
        limit: options.request_timeout,
    };
    let redact = |text: &str| sending.login.redact(text);
    let answer = endpoint.renew(&sending.refresh, redact).await;
    blocking(move || sending.settle(answer)).await.unwrap_or_else(Into::into)
}

/// Runs what may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ModelError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|_| transient("the refresh of the login was given up: its runtime ended".into()))
}

enum Prepared {
    Send(Box<Sending>),
    Done(Renewed),
}

impl From<LoginError> for Prepared {
    fn from(error: LoginError) -> Self {
        Self::Done(error.into())
    }
}

/// A refresh token that may be sent, under the lock.
struct Sending {
    lock: Lock,
    store: Store,
    /// The file as it is.
    disk: Arc<Stored>,
    /// The tokens to renew: those of the file, or newer ones that could not be stored.
    login: Arc<Stored>,
    tokens: Tokens,
    refresh: Secret,
    /// What was known of the refresh token before.
    before: Fate,
}

/// Reads the file again under the lock, and notes what is about to be sent.
fn prepare(mut lock: Lock, store: Store, held: &Held) -> Prepared {
    let found = match store.read() {
        Ok(found) => found,
        Err(error) => return error.into(),
    };
    let base = held.unsaved_over.as_ref().unwrap_or(&held.stored);
    if !found.0.is(base) {
        return Prepared::Done(Held::read(found).into());
    }
    let disk = Arc::new(found.0);
    let login =
        if held.unsaved_over.is_some() { Arc::clone(&held.stored) } else { Arc::clone(&disk) };
    let Some(tokens) = login.tokens().cloned() else {
        return Prepared::Done(permanent("an API key cannot be refreshed").into());
    };
    let Some(refresh) = tokens.refresh.clone() else {
        let message = "the stored login holds no refresh token; sign in again";
        return Prepared::Done(permanent(message).into());
    };
    let before = match lock.mark() {
        Ok(mark) => Mark::fate_of(mark.as_ref(), &refresh),
        Err(error) => return error.into(),
    };
    let sends = match may_send(before) {
        Ok(sends) => sends,
        Err(error) => return Prepared::Done(error.into()),
    };
    if let Err(error) = lock.set_mark(&Mark::new(&refresh, Fate::Sent(sends))) {
        return error.into();
    }
    Prepared::Send(Box::new(Sending { lock, store, disk, login, tokens, refresh, before }))
}

/// Whether a token of this fate may be sent, and how often it will have been sent then.
fn may_send(fate: Fate) -> Result<u8, ModelError> {
    match fate {
        Fate::Sent(times) if times < MAX_SENDS => Ok(times + 1),
        Fate::Sent(_) => Err(permanent(
            "the answers to the refresh of the stored login were lost, and its refresh token is \
             not sent again; sign in again",
        )),
        Fate::Spent => Err(permanent(
            "the refresh token of the stored login was used, but what it gave could not be stored; \
             sign in again",
        )),
        Fate::Refused => {
            Err(permanent("the token endpoint has refused the stored login; sign in again"))
        }
    }
}

impl Sending {
    /// Stores what the answer brought.
    fn settle(mut self: Box<Self>, answer: Answer) -> Renewed {
        match answer {
            Answer::Renewed(reply) => self.renewed(reply),
            Answer::Unused(error) => {
                self.note(self.before);
                error.into()
            }
            Answer::Lost(error) => match may_send(Fate::Sent(self.sends())) {
                Ok(_) => error.into(),
                Err(last) => last.with_source(error).into(),
            },
            Answer::Refused { error, is_final } => {
                self.note(if is_final { Fate::Refused } else { self.before });
                // Another program may have signed in meanwhile, or refreshed without the lock.
                match self.store.read() {
                    Ok(found) if !found.0.is(&self.disk) => Held::read(found).into(),
                    _ => error.into(),
                }
            }
        }
    }

    fn sends(&self) -> u8 {
        match self.before {
            Fate::Sent(times) => times + 1,
            Fate::Spent | Fate::Refused => MAX_SENDS,
        }
    }

    /// What cannot be noted makes the next holder of the lock more careful than it need be.
    fn note(&mut self, fate: Fate) {
        if let Err(error) = self.lock.set_mark(&Mark::new(&self.refresh, fate)) {
            tracing::warn!(%error, "the state of the login's refresh could not be noted");
        }
    }

    fn renewed(&mut self, reply: Reply) -> Renewed {
        let rotated = reply.refresh.as_ref().is_some_and(|new| !new.is(&self.refresh));
        let tokens = self.tokens.with(reply.id, reply.access.clone(), reply.refresh);
        if let Some(error) = other_account(&self.tokens, &tokens) {
            self.note(Fate::Spent);
            return error.into();
        }
        // From here on the old token is spent, whatever becomes of the new ones.
        self.note(if rotated { Fate::Spent } else { Fate::Sent(0) });
        let held = match self.store(&tokens) {
            Ok(Found::Other(held)) => return held.into(),
            Ok(Found::Ours(stored, seen)) => (stored, seen, None),
            Err(error @ LoginError::NotSignedIn { .. }) => return error.into(),
            Err(error) => match self.keep(&tokens, &error) {
                Ok(stored) => (stored, self.store.seen(), Some(Arc::clone(&self.disk))),
                Err(error) => return error.into(),
            },
        };
        let (stored, seen, unsaved_over) = held;
        // An access token that stays is as old as it was: then only the server knows.
        let renewed = reply.access.is_some();
        let lifetime = reply.lifetime.or_else(|| lifetime_of(&tokens)).filter(|_| renewed);
        let obtained = Some((Instant::now(), lifetime));
        let held = Held {
            stored: Arc::new(stored),
            seen,
            obtained,
            unsaved_over,
            is_replacement: true,
            generation: 1,
            strikes: 0,
        };
        let result = match reply.bad_access {
            None => Ok(()),
            Some(bad) => Err(transient(format!("the token endpoint's access token {bad}"))),
        };
        Renewed { held: Some(held), result }
    }

    /// Puts the tokens into the file, unless that has changed meanwhile.
    fn store(&self, tokens: &Tokens) -> Result<Found, LoginError> {
        let (disk, seen) = self.store.read()?;
        if !disk.is(&self.disk) {
            return Ok(Found::Other(Held::read((disk, seen))));
        }
        store_over(&self.store, &disk, tokens, SystemTime::now())
    }

    /// The tokens, in memory alone.
    fn keep(&self, tokens: &Tokens, error: &LoginError) -> Result<Stored, LoginError> {
        tracing::error!(
            path = %shown(self.store.path()), %error,
            "the refreshed login could not be stored, and is lost when this process ends"
        );
        renewed_file(&self.store, &self.disk, tokens, SystemTime::now()).map(|(stored, _)| stored)
    }
}

/// What is in the file after an attempt to store tokens.
pub(super) enum Found {
    Ours(Stored, Option<Seen>),
    Other(Held),
}

/// Writes `disk` with `tokens` in it. The caller holds the lock.
pub(super) fn store_over(
    store: &Store,
    disk: &Stored,
    tokens: &Tokens,
    at: SystemTime,
) -> Result<Found, LoginError> {
    let (stored, document) = renewed_file(store, disk, tokens, at)?;
    let seen = store.replace(&document)?;
    Ok(Found::Ours(stored, Some(seen)))
}

type Document = zeroize::Zeroizing<Vec<u8>>;

fn renewed_file(
    store: &Store,
    disk: &Stored,
    tokens: &Tokens,
    at: SystemTime,
) -> Result<(Stored, Document), LoginError> {
    let refuse = |problem| LoginError::file(store.path(), problem);
    let document = disk.with_tokens(tokens, at).map_err(refuse)?;
    let stored = Stored::parse(document.clone()).map_err(refuse)?;
    Ok((stored, document))
}

/// The error if new tokens are for another account than the old ones.
fn other_account(old: &Tokens, new: &Tokens) -> Option<ModelError> {
    let known: Vec<&str> = old.claimed_accounts().chain(old.account_id()).collect();
    let crossed = new.claimed_accounts().any(|account| !known.contains(&account));
    (crossed && !known.is_empty()).then(|| {
        permanent(
            "the token endpoint answered with the tokens of another account, which are not used; \
             sign in again",
        )
    })
}

/// How long new tokens are good, by themselves.
fn lifetime_of(tokens: &Tokens) -> Option<Duration> {
    let claims = tokens.access_claims();
    let by_clock = || claims.expires?.duration_since(SystemTime::now()).ok();
    claims.lifetime.or_else(by_clock)
}
