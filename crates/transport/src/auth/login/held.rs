//! What a process holds of a login.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::file::{Grant, Stored};
use super::platform::Seen;
use super::schedule::{Age, Standing, is_fresh, standing};
use crate::auth::Credential;

const ACCOUNT_HEADER: HeaderName = HeaderName::from_static("chatgpt-account-id");

/// The cool-down between refreshes of tokens that the server goes on refusing doubles so often, to
/// about an hour.
const MAX_DOUBLINGS: u32 = 6;

/// One version of the login. It never changes; the next one takes its place.
pub(super) struct Held {
    pub(super) stored: Arc<Stored>,
    /// The version of the file that was last read or written; `None` if that is not known.
    pub(super) seen: Option<Seen>,
    /// If this process obtained the tokens: when, and for how long they are good.
    pub(super) obtained: Option<(Instant, Option<Duration>)>,
    /// What is in the file as long as these tokens could not be stored.
    pub(super) unsaved_over: Option<Arc<Stored>>,
    /// Whether the tokens took the place of others while this process ran. The date of those that
    /// it began with says nothing: whoever signed in may have written any.
    pub(super) is_replacement: bool,
    /// Counts the bearers, from 1.
    pub(super) generation: u64,
    /// How many refreshes in a row were made because the server had refused new tokens.
    pub(super) strikes: u32,
}

impl Held {
    /// A login as it was read. Its generation is set when it takes the place of another.
    pub(super) fn read((stored, seen): (Stored, Seen)) -> Self {
        Self {
            stored: Arc::new(stored),
            seen: Some(seen),
            obtained: None,
            unsaved_over: None,
            is_replacement: true,
            generation: 1,
            strikes: 0,
        }
    }

    /// The same in the place of `before`.
    pub(super) fn after(mut self, before: &Self) -> Self {
        let same = self.stored.bearer().is(before.stored.bearer());
        self.generation = before.generation + u64::from(!same);
        if same {
            self.obtained = self.obtained.or(before.obtained);
            self.is_replacement = before.is_replacement;
        }
        self
    }

    /// The same once more.
    pub(super) fn copy(&self) -> Self {
        Self {
            stored: Arc::clone(&self.stored),
            seen: self.seen.clone(),
            obtained: self.obtained,
            unsaved_over: self.unsaved_over.clone(),
            is_replacement: self.is_replacement,
            generation: self.generation,
            strikes: self.strikes,
        }
    }

    /// What a request proves itself with.
    pub(super) fn credential(&self) -> Credential {
        let mut credential = Credential::new(self.stored.bearer().clone());
        credential.generation = self.generation;
        credential.plan = self.stored.tokens().and_then(|tokens| tokens.id_claims().plan.clone());
        let account = self.stored.tokens().and_then(|tokens| tokens.account_id());
        if let Some(Ok(mut value)) = account.map(HeaderValue::from_str) {
            value.set_sensitive(true);
            credential.headers.insert(ACCOUNT_HEADER, value);
        }
        credential
    }

    /// How the access token stands; a key is always good.
    pub(super) fn standing(&self) -> Standing {
        match &self.stored.grant {
            Grant::Key(_) => Standing::Good,
            Grant::Tokens(tokens) => {
                standing(tokens, self.stored.last_refresh, self.age(), SystemTime::now())
            }
        }
    }

    /// Whether it is so new that another refresh would not help.
    pub(super) fn is_fresh(&self, cool_down: Duration) -> bool {
        let stored = self.stored.last_refresh.filter(|_| self.is_replacement);
        is_fresh(self.age(), stored, SystemTime::now(), cool_down)
    }

    /// The strikes of the next refresh, if the server refuses these tokens; `None` if they are so
    /// new that another refresh would not help. The cool-down doubles with each strike.
    pub(super) fn next_strikes(&self, cool_down: Duration) -> Option<u32> {
        let wait = cool_down.saturating_mul(1 << self.strikes.min(MAX_DOUBLINGS));
        if self.is_fresh(wait) {
            return None;
        }
        let again = self.is_fresh(wait.saturating_mul(2));
        Some(if again { self.strikes.saturating_add(1) } else { 0 })
    }

    fn age(&self) -> Option<Age> {
        self.obtained.map(|(at, lifetime)| Age { elapsed: at.elapsed(), lifetime })
    }
}
