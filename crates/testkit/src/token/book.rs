//! Which tokens are good, and what came.

use serde_json::{Value, json};

use super::{Pair, Tokens};
use crate::server::{RecordedRequest, Reply};

/// The state of a token server.
#[derive(Debug)]
pub(super) struct Book {
    tokens: Tokens,
    /// How many refreshes succeeded; the number of the current access token.
    pub(super) generation: usize,
    /// The number of the current refresh token.
    refresh: usize,
    pub(super) expired: bool,
    pub(super) sent: Vec<String>,
    pub(super) reused: Vec<String>,
    pub(super) answered: usize,
    pub(super) refused: usize,
}

impl Book {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            generation: 0,
            refresh: 0,
            expired: false,
            sent: Vec::new(),
            reused: Vec::new(),
            answered: 0,
            refused: 0,
        }
    }

    pub(super) fn pair(&self, number: usize) -> Pair {
        Pair { access: self.token("access", number), refresh: self.token("refresh", number) }
    }

    pub(super) fn current(&self) -> Pair {
        Pair {
            access: self.token("access", self.generation),
            refresh: self.token("refresh", self.refresh),
        }
    }

    fn token(&self, kind: &str, number: usize) -> String {
        format!("{}{kind}-{number}", self.tokens.prefix)
    }

    pub(super) fn refresh(&mut self, request: &RecordedRequest) -> Reply {
        let token = sent_token(request);
        self.sent.push(token.clone());
        let reply = match self.tokens.overrides.pop_front().flatten() {
            Some(reply) => reply,
            None => self.rotate(&token),
        };
        match &self.tokens.hold {
            Some(gate) => reply.hold_head(gate),
            None => reply,
        }
    }

    fn rotate(&mut self, token: &str) -> Reply {
        if token != self.token("refresh", self.refresh) {
            return self.refuse(token);
        }
        self.generation += 1;
        self.expired = false;
        let keeps = !self.tokens.rotates || self.tokens.leave_out.contains(&"refresh_token");
        if !keeps {
            self.refresh = self.generation;
        }
        Reply::json(&self.grant())
    }

    fn grant(&self) -> Value {
        let pair = self.current();
        let mut grant = json!({
            "access_token": pair.access,
            "refresh_token": pair.refresh,
            "token_type": "Bearer",
        });
        if let Value::Object(fields) = &mut grant {
            if let Some(seconds) = self.tokens.expires_in {
                fields.insert("expires_in".into(), seconds.into());
            }
            fields.extend(self.tokens.extra.clone());
            fields.retain(|field, _| !self.tokens.leave_out.contains(&field.as_str()));
        }
        grant
    }

    fn refuse(&mut self, token: &str) -> Reply {
        let was_good = (0..self.refresh).any(|number| token == self.token("refresh", number));
        if !was_good {
            return Reply::error(400, &json!({"error": "invalid_grant"}));
        }
        self.reused.push(token.to_owned());
        Reply::error(
            400,
            &json!({"error": {
                "message": "Your refresh token has already been used to generate a new access token.",
                "type": "invalid_request_error", "param": null, "code": "refresh_token_reused",
            }}),
        )
    }

    pub(super) fn call(&mut self, request: &RecordedRequest) -> Reply {
        let good = format!("Bearer {}", self.token("access", self.generation));
        if !self.expired && request.header("authorization") == Some(&good) {
            self.answered += 1;
            return Reply::text("hello");
        }
        self.refused += 1;
        let message = "Provided authentication token is expired.";
        Reply::error(401, &json!({"error": {"message": message, "code": "token_expired"}}))
    }
}

/// The refresh token of a JSON or form body; empty if there is none.
fn sent_token(request: &RecordedRequest) -> String {
    if let Value::String(token) = request.json()["refresh_token"].take() {
        return token;
    }
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let fields = body.split('&').filter_map(|field| field.split_once('='));
    let mut tokens = fields.filter(|(name, _)| *name == "refresh_token");
    tokens.next().map(|(_, token)| token.to_owned()).unwrap_or_default()
}
