//! The JSON form of a script; its documentation is [`Script`]'s.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Cut, Reply, Script};
use crate::sse::ResponseBuilder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptForm {
    replies: Vec<ReplyForm>,
    #[serde(default)]
    repeat_last: bool,
    #[serde(default)]
    allow_broken_pairing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyForm {
    text: Option<String>,
    calls: Option<Vec<CallForm>>,
    events: Option<Vec<Value>>,
    raw: Option<String>,
    json: Option<Value>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    splits: Option<Vec<usize>>,
    pause_ms: Option<u64>,
    cut: Option<CutForm>,
    #[serde(default)]
    keep_open: bool,
    repeat: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallForm {
    call_id: String,
    name: String,
    arguments: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutForm {
    after_bytes: Option<usize>,
    kind: CutKind,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CutKind {
    Fin,
    Rst,
    HalfClose,
}

impl TryFrom<ScriptForm> for Script {
    type Error = String;

    fn try_from(form: ScriptForm) -> Result<Self, String> {
        let mut script = Self::new();
        for (index, reply) in form.replies.into_iter().enumerate() {
            let times = reply.repeat.unwrap_or(1);
            let reply = reply.into_reply().map_err(|why| format!("replies[{index}] {why}"))?;
            script = script.repeat(times, reply);
        }
        if form.repeat_last {
            script = script.repeat_last();
        }
        Ok(if form.allow_broken_pairing { script.allow_broken_pairing() } else { script })
    }
}

impl ReplyForm {
    fn into_reply(mut self) -> Result<Reply, String> {
        let mut reply = self.body()?;
        if let Some(status) = self.status {
            reply = reply.status(status);
        }
        for (name, value) in self.headers {
            reply = reply.header(&name, value);
        }
        if let Some(offsets) = self.splits {
            reply = reply.split_at(&offsets);
        }
        if let Some(pause) = self.pause_ms {
            reply = reply.paced(Duration::from_millis(pause));
        }
        match (self.cut, self.keep_open) {
            (Some(_), true) => Err("has both cut and keep_open".into()),
            (Some(cut), false) => Ok(cut.apply(reply)),
            (None, true) => Ok(reply.keep_open()),
            (None, false) => Ok(reply),
        }
    }

    fn body(&mut self) -> Result<Reply, String> {
        let bodies: Vec<(&str, Reply)> = [
            self.text.take().map(|text| ("text", Reply::text(&text))),
            self.calls.take().map(|calls| ("calls", CallForm::reply(calls))),
            self.events.take().map(|events| ("events", Reply::sse().events(events))),
            self.raw.take().map(|raw| ("raw", Reply::sse().bytes(raw))),
            self.json.take().map(|json| ("json", Reply::json(&json))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if bodies.len() > 1 {
            let names: Vec<_> = bodies.iter().map(|(name, _)| *name).collect();
            return Err(format!("has more than one body: {}", names.join(", ")));
        }
        Ok(bodies.into_iter().next().map_or_else(Reply::sse, |(_, reply)| reply))
    }
}

impl CallForm {
    fn reply(calls: Vec<Self>) -> Reply {
        let add = |response: ResponseBuilder, call: Self| match call.arguments {
            Value::String(arguments) => response.call(&call.call_id, &call.name, arguments),
            arguments => response.call(&call.call_id, &call.name, arguments),
        };
        calls.into_iter().fold(ResponseBuilder::new(), add).into()
    }
}

impl CutForm {
    fn apply(self, reply: Reply) -> Reply {
        let kind = match self.kind {
            CutKind::Fin => Cut::Fin,
            CutKind::Rst => Cut::Rst,
            CutKind::HalfClose => Cut::HalfClose,
        };
        match self.after_bytes {
            Some(bytes) => reply.cut_after(bytes, kind),
            None => reply.cut(kind),
        }
    }
}
