//! One thing that was seen of a session.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that was seen. Ids and texts are as the session and the model gave them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// The session has taken an input. Note it in the order in which the inputs were taken.
    Accepted {
        /// Its id.
        input: String,
        /// What it says; no other input of the log says the same.
        text: String,
        /// It was meant for the turn that ran, and may overtake inputs that wait for a turn of their own.
        steers: bool,
    },
    /// The session has given an input back.
    Withdrawn {
        /// Its id.
        input: String,
    },
    /// The handle of an input has told its end.
    Settled {
        /// Its id.
        input: String,
        /// The end.
        end: InputEnd,
    },
    /// A request leaves; an attempt that is repeated leaves again.
    Request {
        /// What it is for.
        kind: RequestKind,
        /// The items of its `input`.
        items: Vec<Value>,
    },
    /// The terminal event of the response to the last request is handed to the session.
    ResponseCompleted {
        /// The calls of the response, in order.
        calls: Vec<Call>,
    },
    /// The error of the last request, or of its response, is handed to the session.
    ResponseFailed,
    /// Somebody is asked whether a call may run.
    Asked(Call),
    /// Somebody has decided; to be noted before the session hears it.
    Answered {
        /// The call.
        call_id: String,
        /// What the decision is about.
        arguments: String,
        /// It may run.
        yes: bool,
    },
    /// A tool begins; the first thing that it does.
    EffectStart(Call),
    /// A tool has ended; the last thing that it does, also when it is stopped, if it can.
    EffectEnd {
        /// The call.
        call_id: String,
    },
    /// A reader got an event. It may come late, but never before what it tells.
    Event {
        /// Its number in the session.
        number: u64,
        /// Its turn, empty if it belongs to none.
        turn_id: String,
        /// What it tells.
        event: EventKind,
    },
    /// An interrupt of the turn has returned.
    InterruptReturned {
        /// The turn.
        turn_id: String,
    },
    /// A measure with a bound: the length of a queue, open files, tasks, bytes.
    Sample {
        /// What was measured.
        name: String,
        /// How much it was.
        value: u64,
        /// How much it may be.
        cap: u64,
    },
    /// The session is at rest and its events are read to the end: no turn may be open now, and no input wait.
    End,
}

/// A call as the model made it, or as a tool got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its id. Other responses may use it again.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// The arguments, byte for byte; of a custom tool, its input as a JSON string.
    pub arguments: String,
}

impl Call {
    /// A call of the tool `name`.
    pub fn new(
        call_id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self { call_id: call_id.into(), name: name.into(), arguments: arguments.into() }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestKind {
    /// The conversation.
    Turn,
    /// A review beside it.
    Review,
    /// A summary of it.
    Compact,
}

/// How an input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputEnd {
    /// The turn that took it ended well.
    Completed,
    /// The turn that took it failed, or none could take it.
    Failed,
    /// The turn that took it was cut off.
    Aborted,
    /// It was given back.
    Withdrawn,
}

/// What an event tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The turn begins. Its id is that of the input that began it, if an input did.
    TurnStarted,
    /// The turn has ended by itself.
    TurnComplete {
        /// By an error.
        failed: bool,
    },
    /// The turn was cut off.
    TurnAborted,
    /// A piece of the model's message.
    TextDelta(String),
    /// An item is recorded.
    ItemCompleted {
        /// The text, if it is a message.
        text: Option<String>,
        /// The message is the user's.
        is_user: bool,
    },
    /// An attempt failed and will be repeated: what was streamed of it is void.
    StreamError,
    /// A tool starts.
    ToolBegin {
        /// Its call.
        call_id: String,
    },
    /// A tool has ended.
    ToolEnd {
        /// Its call.
        call_id: String,
    },
    /// The conversation was compacted.
    Compacted,
    /// The conversation was taken back to an earlier place, or edited by its owner.
    Undone,
    /// In place of the events that the reader was too slow for.
    Missed {
        /// The number of the first of them.
        first: u64,
        /// The number of the last of them.
        last: u64,
    },
    /// Anything else.
    Other(String),
}
