//! What the server remembers of a request.

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

/// Headers whose values are secrets, shown by their length only.
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"];

/// One request as it came. `Debug` shows secret headers by their length only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// Its position in [`Server::requests`](super::Server::requests), from 0.
    pub order: usize,
    /// The connection that it came on, from 0 in order of acceptance.
    pub connection: usize,
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names and values in the order and case sent; bytes that are not UTF-8 are replaced. Over HTTP/2 the order is
    /// not kept, and `:authority` is among them.
    pub headers: Vec<(String, String)>,
    /// The body, without its chunked encoding.
    pub body: Bytes,
    /// How far the reply got, when this copy was made.
    pub reply_outcome: ReplyOutcome,
}

/// How far a reply got. Written means handed to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyOutcome {
    /// It is being written.
    Pending,
    /// It waits: at a gate, or after its last byte because it keeps the connection open.
    Held,
    /// Over HTTP/2: it waits for room in the client's flow-control window.
    Blocked,
    /// It was written to its end.
    Complete,
    /// The client closed the connection, or its sending half, before the end.
    ClientClosed {
        /// Body bytes of the writes that were through when this was noticed.
        after_bytes: usize,
    },
    /// The script cut it.
    Cut,
}

impl ReplyOutcome {
    /// Whether nothing more will happen to the reply.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Held | Self::Blocked)
    }
}

impl RecordedRequest {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The body as JSON; `Null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The items of the body's `input`; empty if it is not a list.
    pub fn input(&self) -> Vec<Value> {
        match self.json().get_mut("input").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    /// The header `codex-task-type`, by which clients name the kind of task.
    pub fn task_kind(&self) -> Option<&str> {
        self.header("codex-task-type")
    }

    /// The request as one JSON object for a log: `order`, `connection`, `method`, `target`, `headers` as a list of
    /// name and value, and `body` as JSON, or as a string if it is not JSON. Secret headers show their length only.
    pub fn to_json(&self) -> Value {
        let body = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()));
        json!({
            "order": self.order,
            "connection": self.connection,
            "method": self.method,
            "target": self.target,
            "headers": self.redacted_headers(),
            "body": body,
        })
    }

    fn redacted_headers(&self) -> Vec<(&str, String)> {
        let show = |name: &str, value: &str| {
            let secret = SECRET_HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name));
            if secret { format!("[{} bytes]", value.len()) } else { value.to_owned() }
        };
        self.headers.iter().map(|(name, value)| (name.as_str(), show(name, value))).collect()
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("order", &self.order)
            .field("connection", &self.connection)
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &self.redacted_headers())
            .field("body", &self.body)
            .field("reply_outcome", &self.reply_outcome)
            .finish()
    }
}
