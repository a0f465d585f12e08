//! Calls that were approved for the session's length.

use super::{Change, Inner, SessionState};
use crate::protocol::{CallDigest, GrantScope, Settings};

/// A session remembers this many calls that were approved for its length. Whoever approves more is
/// asked again.
pub const MAX_GRANTS: usize = 4096;

impl SessionState {
    /// What an approval for the session's length is given for now.
    pub fn grant_scope(&self) -> GrantScope {
        self.lock().grant_scope
    }

    /// Calls of this digest need no further approval, unless what that was given for has changed.
    pub fn grant(&self, digest: CallDigest, scope: GrantScope) {
        self.change(|inner| {
            let is_now = inner.grant_scope == scope && inner.grants.len() < MAX_GRANTS;
            if is_now && inner.grants.insert(digest) {
                inner.note(|_| Change::Granted(digest));
            }
        });
    }

    /// What was approved for the session's length no longer is, also where the answer is still to
    /// come.
    pub fn clear_grants(&self) {
        self.change(Inner::clear_grants);
    }

    /// Whether calls of this digest were approved for the session's length, for just this.
    pub fn is_granted(&self, digest: CallDigest, scope: GrantScope) -> bool {
        let inner = self.lock();
        inner.grant_scope == scope && inner.grants.contains(&digest)
    }
}

impl Inner {
    /// The same command does something else in another folder.
    pub(super) fn leave_folder(&mut self, before: &Settings) {
        if self.settings.cwd != before.cwd {
            self.clear_grants();
        }
    }

    pub(super) fn clear_grants(&mut self) {
        self.grant_scope.end();
        if !self.grants.is_empty() {
            self.grants.clear();
            self.note(|_| Change::GrantsCleared);
        }
    }
}
