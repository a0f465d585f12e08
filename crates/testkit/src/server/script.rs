//! What to answer, request by request.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::{RecordedRequest, Reply};

/// The replies in order: the n-th request gets the n-th reply.
///
/// Requests are counted over all connections, and only if they are `POST`s whose path ends in `/responses`; all
/// others get a 404. A request after the last reply gets a 500 that says so, and fails
/// [`Server::assert_complete`](super::Server::assert_complete).
///
/// ```
/// use longhaul_testkit::server::{Reply, Script};
///
/// let script = Script::new()
///     .repeat(2, Reply::error(503, &serde_json::json!({"error": {"message": "overloaded"}})))
///     .reply_with(|request| Reply::text(&format!("{} items", request.input().len())));
/// ```
///
/// # JSON form
///
/// A script without functions and gates can be read from JSON, as the program `longhaul-testkit-server` does.
/// Unknown keys are refused.
///
/// ```
/// use longhaul_testkit::server::Script;
///
/// let script: Script = serde_json::from_str(r#"{
///     "replies": [
///         {"text": "hello", "repeat": 2},
///         {"calls": [{"call_id": "c1", "name": "shell", "arguments": {"cmd": "ls"}}]},
///         {"status": 429, "headers": {"retry-after": "1"}, "json": {"error": {"code": "rate_limit_exceeded"}}},
///         {"events": [{"type": "response.created", "response": {"id": "r"}}], "splits": [1, 9],
///          "cut": {"after_bytes": 40, "kind": "rst"}},
///         {"raw": "data: {\"type\":\"respon", "pause_ms": 5, "keep_open": true}
///     ],
///     "repeat_last": true,
///     "allow_broken_pairing": false
/// }"#)?;
/// # let wrong = serde_json::from_str::<Script>(r#"{"replies": [{"text": "a", "raw": "b"}]}"#);
/// # assert!(wrong.unwrap_err().to_string().contains("replies[0] has more than one body: text, raw"));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// * A reply has at most one body: `text` (a whole response), `calls` (likewise; `arguments` is JSON, or a string
///   that is sent as it is), `events` (a list of SSE events), `raw` (body text as it is), `json` (with its content
///   type and length).
/// * `status` (200), `headers` (added; `content-type` replaces), `splits` (body offsets between writes), `pause_ms`
///   (milliseconds before each write), `cut` (`kind`: `fin`, `rst`, `half_close`), `keep_open` (false), `repeat`
///   (how often in all; 1).
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "super::form::ScriptForm")]
#[must_use]
pub struct Script {
    answers: Vec<Answer>,
    repeat_last: bool,
    pub(super) unchecked_pairing: bool,
    path_suffix: Option<String>,
    on_request: Option<Function<()>>,
}

type Function<T> = Arc<dyn Fn(&RecordedRequest) -> T + Send + Sync>;

#[derive(Clone)]
enum Answer {
    Fixed(Reply),
    Computed(Function<Reply>),
}

impl Script {
    /// A script without replies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the next request with `reply`.
    pub fn reply(self, reply: impl Into<Reply>) -> Self {
        self.push(Answer::Fixed(reply.into()))
    }

    /// Answers the next request with what `answer` makes of it. `answer` must not block.
    pub fn reply_with(
        self,
        answer: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.push(Answer::Computed(Arc::new(answer)))
    }

    /// Answers the next `times` requests with `reply`.
    pub fn repeat(mut self, times: usize, reply: impl Into<Reply>) -> Self {
        let reply = reply.into();
        self.answers.extend(std::iter::repeat_n(Answer::Fixed(reply), times));
        self
    }

    /// Answers all further requests like the last one, so that the script is never exhausted.
    pub fn repeat_last(mut self) -> Self {
        self.repeat_last = true;
        self
    }

    /// Does not check the pairing of calls and outputs.
    pub fn allow_broken_pairing(mut self) -> Self {
        self.unchecked_pairing = true;
        self
    }

    /// Scripts the `POST`s whose path ends in `suffix` instead of `/responses`, say `/oauth/token`.
    pub fn for_path(mut self, suffix: impl Into<String>) -> Self {
        self.path_suffix = Some(suffix.into());
        self
    }

    /// Calls `hook` with every request, scripted or not, before its reply begins. `hook` must not block for long.
    pub fn on_request(mut self, hook: impl Fn(&RecordedRequest) + Send + Sync + 'static) -> Self {
        self.on_request = Some(Arc::new(hook));
        self
    }

    /// How many replies are scripted.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    pub(super) fn covers(&self, request: &RecordedRequest) -> bool {
        let suffix = self.path_suffix.as_deref().unwrap_or("/responses");
        request.method == "POST" && request.path().ends_with(suffix)
    }

    /// Whether request `order` (from 0) comes after the last reply.
    pub(super) fn is_exhausted_at(&self, order: usize) -> bool {
        order >= self.answers.len() && (!self.repeat_last || self.answers.is_empty())
    }

    /// The reply to a request; `None` if the script is exhausted.
    pub(super) fn answer(&self, request: &RecordedRequest) -> Option<Reply> {
        if self.is_exhausted_at(request.order) {
            return None;
        }
        match self.answers.get(request.order).or(self.answers.last())? {
            Answer::Fixed(reply) => Some(reply.clone()),
            Answer::Computed(answer) => Some(answer(request)),
        }
    }

    pub(super) fn notify(&self, request: &RecordedRequest) {
        if let Some(hook) = &self.on_request {
            hook(request);
        }
    }

    fn push(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }
}

impl<R: Into<Reply>> FromIterator<R> for Script {
    fn from_iter<I: IntoIterator<Item = R>>(replies: I) -> Self {
        replies.into_iter().fold(Self::new(), Self::reply)
    }
}

impl From<Reply> for Script {
    fn from(reply: Reply) -> Self {
        Self::new().reply(reply)
    }
}

impl<const N: usize> From<[Reply; N]> for Script {
    fn from(replies: [Reply; N]) -> Self {
        replies.into_iter().collect()
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("replies", &self.answers.len())
            .field("repeat_last", &self.repeat_last)
            .field("unchecked_pairing", &self.unchecked_pairing)
            .finish_non_exhaustive()
    }
}
