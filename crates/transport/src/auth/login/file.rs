//! The format of the stored login: one JSON object, as OpenAI's own command line tool keeps it.
//!
//! `OPENAI_API_KEY` (nullable) wins over `tokens` (`id_token`, `access_token`, `refresh_token`,
//! `account_id`); `last_refresh` is a time in UTC. Members that are not known survive.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::json::{Part, Text, parts, put, write};
use super::token::{Claims, claims, is_account_id, token};
use crate::Secret;

const KEY: &str = "OPENAI_API_KEY";

/// A stored login that is understood, and the bytes that it was read from.
pub(super) struct Stored {
    pub(super) grant: Grant,
    pub(super) last_refresh: Option<SystemTime>,
    document: Zeroizing<Vec<u8>>,
}

/// What the login proves itself with.
pub(super) enum Grant {
    Key(Secret),
    Tokens(Box<Tokens>),
}

/// What a sign-in gave.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) id: Option<Secret>,
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// As stored beside the tokens.
    account_id: Option<String>,
    id_claims: Claims,
    access_claims: Claims,
}

impl Tokens {
    /// The account that requests name.
    pub(super) fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref().or(self.id_claims.account_id.as_deref())
    }

    /// The accounts that the tokens themselves name.
    pub(super) fn claimed_accounts(&self) -> impl Iterator<Item = &str> {
        [&self.id_claims, &self.access_claims]
            .into_iter()
            .filter_map(|claims| claims.account_id.as_deref())
    }

    /// What the id token says.
    pub(super) fn id_claims(&self) -> &Claims {
        &self.id_claims
    }

    /// What the access token says.
    pub(super) fn access_claims(&self) -> &Claims {
        &self.access_claims
    }

    /// The same with what is given put in place.
    pub(super) fn with(
        &self,
        id: Option<Secret>,
        access: Option<Secret>,
        refresh: Option<Secret>,
    ) -> Self {
        Self::new(
            id.or_else(|| self.id.clone()),
            access.unwrap_or_else(|| self.access.clone()),
            refresh.or_else(|| self.refresh.clone()),
            self.account_id.clone(),
        )
    }

    fn new(
        id: Option<Secret>,
        access: Secret,
        refresh: Option<Secret>,
        account_id: Option<String>,
    ) -> Self {
        let said = |token: &Secret| claims(token.expose()).unwrap_or_default();
        let id_claims = id.as_ref().map(said).unwrap_or_default();
        let access_claims = said(&access);
        Self { id, access, refresh, account_id, id_claims, access_claims }
    }

    /// Whether both would be sent alike.
    fn is(&self, other: &Self) -> bool {
        let refresh = match (&self.refresh, &other.refresh) {
            (Some(one), Some(two)) => one.is(two),
            (None, None) => true,
            _ => false,
        };
        refresh && self.access.is(&other.access) && self.account_id() == other.account_id()
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [self.id.as_ref(), Some(&self.access), self.refresh.as_ref()].into_iter().flatten()
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "OPENAI_API_KEY", default)]
    key: Option<Text>,
    #[serde(default)]
    tokens: Option<TokenMembers>,
    #[serde(default)]
    last_refresh: Option<Text>,
}

#[derive(Deserialize)]
struct TokenMembers {
    #[serde(default)]
    id_token: Option<Text>,
    #[serde(default)]
    access_token: Option<Text>,
    #[serde(default)]
    refresh_token: Option<Text>,
    #[serde(default)]
    account_id: Option<Text>,
}

impl Stored {
    /// Reads a file. The problem is a sentence that shows nothing of it.
    ///
    /// An id token that is not understood is no problem: it is never sent, and only the account
    /// stays unknown then.
    pub(super) fn parse(document: Zeroizing<Vec<u8>>) -> Result<Self, String> {
        if document.iter().all(u8::is_ascii_whitespace) {
            return Err("it is empty; sign in again".into());
        }
        let read: Document = serde_json::from_slice(&document).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            // The error's own text would show what it stumbled over.
            format!("it is not the JSON of a login (line {line}, column {column}); sign in again")
        })?;
        let last_refresh = read.last_refresh.and_then(|text| text.0.parse::<Timestamp>().ok());
        let key = read.key.filter(|key| !key.0.trim().is_empty());
        let grant = match (key, read.tokens) {
            (Some(key), _) => Grant::Key(member("OPENAI_API_KEY", &key)?),
            (None, Some(tokens)) => Grant::Tokens(Box::new(tokens.read()?)),
            (None, None) => return Err("it holds neither a key nor tokens; sign in again".into()),
        };
        Ok(Self { grant, last_refresh: last_refresh.map(Into::into), document })
    }

    /// A file that holds a key and nothing else.
    pub(super) fn with_key(key: &Secret) -> Zeroizing<Vec<u8>> {
        let members = [(KEY.to_owned(), Part::Text(key.expose()))];
        write(&members, 2 * key.expose().len() + 64)
    }

    /// This file with `tokens` in it, and all else as it was.
    pub(super) fn with_tokens(
        &self,
        tokens: &Tokens,
        at: SystemTime,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let broken = |_| "it cannot be rewritten".to_owned();
        let mut members = parts(serde_json::from_slice(&self.document).map_err(broken)?);
        let inner = members.iter().find(|(name, _)| name == "tokens");
        let mut inner = match inner {
            Some((_, Part::Raw(raw))) => parts(serde_json::from_str(raw).map_err(broken)?),
            _ => Vec::new(),
        };
        if let Some(id) = &tokens.id {
            put(&mut inner, "id_token", Part::Text(id.expose()));
        }
        put(&mut inner, "access_token", Part::Text(tokens.access.expose()));
        if let Some(refresh) = &tokens.refresh {
            put(&mut inner, "refresh_token", Part::Text(refresh.expose()));
        }
        if !members.iter().any(|(name, _)| name == KEY) {
            members.insert(0, (KEY.into(), Part::Raw("null")));
        }
        put(&mut members, "tokens", Part::Object(inner));
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        put(&mut members, "last_refresh", Part::Text(&at));
        let secrets: usize = tokens.secrets().map(|secret| 2 * secret.expose().len()).sum();
        Ok(write(&members, 2 * self.document.len() + secrets + 1024))
    }

    /// The tokens, unless a key is used in their place.
    pub(super) fn tokens(&self) -> Option<&Tokens> {
        match &self.grant {
            Grant::Tokens(tokens) => Some(tokens),
            Grant::Key(_) => None,
        }
    }

    /// What is sent.
    pub(super) fn bearer(&self) -> &Secret {
        match &self.grant {
            Grant::Key(key) => key,
            Grant::Tokens(tokens) => &tokens.access,
        }
    }

    /// Whether both hold the same credentials.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.grant, &other.grant) {
            (Grant::Key(one), Grant::Key(two)) => one.is(two),
            (Grant::Tokens(one), Grant::Tokens(two)) => one.is(two),
            _ => false,
        }
    }

    /// `text` without any of the credentials.
    pub(super) fn redact(&self, text: &str) -> String {
        let tokens = self.tokens().into_iter().flat_map(Tokens::secrets);
        let all = std::iter::once(self.bearer()).chain(tokens);
        all.fold(text.to_owned(), |text, secret| secret.redact(&text))
    }
}

impl TokenMembers {
    fn read(self) -> Result<Tokens, String> {
        let full = |text: &Text| !text.0.is_empty();
        let access = self.access_token.ok_or("`access_token` is missing; sign in again")?;
        let access = member("access_token", &access)?;
        let refresh = self.refresh_token.filter(full);
        let refresh = refresh.map(|text| member("refresh_token", &text)).transpose()?;
        let id = self.id_token.and_then(|text| token(text.0).ok());
        let account_id = self.account_id.filter(full).map(|text| text.0.to_string());
        if account_id.as_deref().is_some_and(|id| !is_account_id(id)) {
            return Err("`account_id` holds what no account id has; sign in again".into());
        }
        Ok(Tokens::new(id, access, refresh, account_id))
    }
}

fn member(name: &str, text: &Text) -> Result<Secret, String> {
    // A key is often pasted with the end of its line.
    let text = if name == KEY { text.0.trim() } else { &text.0 };
    token(Zeroizing::new(text.to_owned())).map_err(|bad| format!("`{name}` {bad}; sign in again"))
}
