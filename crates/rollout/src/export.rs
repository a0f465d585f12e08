//! A conversation as a log of the plain format, which other programs read.

use jiff::Timestamp;
use longhaul_history::turn_item::{TurnItemKind, UserPart};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::{ReadError, Record, RecordKind, Replay};

impl Replay {
    /// The lines of a log in the format of the Codex client's sessions: the session, before each turn
    /// its settings, each item with the events that tell of it, and what was used. It holds the
    /// conversation as it is, not how it came about, and no field that only this crate knows: items
    /// are [`unmarked`](longhaul_history::Item::unmarked), a bridge is a message of the user.
    ///
    /// Each item bears the time at which it [was recorded](Replay::times), and `now`
    /// where that is not known; what is told of it and the settings of its turn bear the same, what was
    /// used that of the last item, and the first line the time at which the session began.
    /// [`replay`](crate::replay()) reads the lines as a log of another program.
    ///
    /// # Errors
    ///
    /// [`ReadError::NoMeta`] if nothing names the session, as of a log that was salvaged without
    /// its first line; [`ReadError::Io`] if a value cannot be written as JSON, which none is.
    ///
    /// ```
    /// use longhaul_history::Item;
    /// use longhaul_rollout::{OnDamage, Replay, ReplayItem, SessionMeta, replay};
    ///
    /// # fn main() -> Result<(), longhaul_rollout::ReadError> {
    /// let now = jiff::Timestamp::UNIX_EPOCH;
    /// let mut session = Replay::default();
    /// session.meta = Some(SessionMeta::new("01a20298-0571-7a40-bd9c-36a08a0bd337", now));
    /// session.items.push(ReplayItem { item: Item::user("Say hello."), starts_turn: true });
    ///
    /// let log = session.export(now)?;
    /// let again = replay(&log, &(), OnDamage::Refuse)?;
    /// assert!(again.is_foreign);
    /// assert_eq!(again.items, session.items);
    /// # Ok(())
    /// # }
    /// ```
    pub fn export(&self, now: Timestamp) -> Result<Vec<u8>, ReadError> {
        let began = self.meta.as_ref().and_then(|meta| meta.timestamp).unwrap_or(now);
        let mut export = Export { replay: self, time: began, log: Vec::new() };
        export.write(now).map_err(std::io::Error::from)?;
        if self.meta.is_none() {
            Err(ReadError::NoMeta { torn: self.torn })
        } else {
            Ok(export.log)
        }
    }
}

/// A log that is being written.
struct Export<'a> {
    replay: &'a Replay,
    /// Of the lines that come now.
    time: Timestamp,
    log: Vec<u8>,
}

impl Export<'_> {
    fn write(&mut self, now: Timestamp) -> Result<(), serde_json::Error> {
        self.write_meta()?;
        for (index, it) in self.replay.items.iter().enumerate() {
            self.time = self.replay.times.get(index).copied().flatten().unwrap_or(now);
            if it.starts_turn {
                self.write_turn(index)?;
            }
            let item = it.item.unmarked();
            self.push(RecordKind::ResponseItem, RawValue::from_string(item.json().to_owned())?);
            // Of the item as it is: a bridge is not what the user said.
            for event in TurnItemKind::of(&it.item).iter().flat_map(events) {
                self.add(RecordKind::EventMsg, &event)?;
            }
        }
        self.write_token_count()
    }

    fn write_meta(&mut self) -> Result<(), serde_json::Error> {
        let Some(meta) = &self.replay.meta else { return Ok(()) };
        let timestamp = self.time;
        let mut payload = json!({
            "id": meta.id,
            "timestamp": format!("{timestamp:.3}"),
            // The readers of the format want all of these.
            "cwd": meta.cwd.as_deref().unwrap_or_default(),
            "originator": meta.originator.as_deref().unwrap_or("longhaul"),
            "cli_version": meta.cli_version.as_deref().unwrap_or_default(),
            "source": meta.source.as_deref().unwrap_or("unknown"),
        });
        if let Some(provider) = &meta.model_provider {
            payload["model_provider"] = json!(provider);
        }
        self.add(RecordKind::SessionMeta, &payload)
    }

    /// The settings of the turn that starts with the item at `index`, as far as the model was told; else
    /// the newest.
    fn write_turn(&mut self, index: usize) -> Result<(), serde_json::Error> {
        let told = self.replay.told.iter().rev().find(|(at, _)| *at <= index);
        let settings = told.map(|(_, settings)| settings).or(self.replay.settings.as_ref());
        let settings = settings.and_then(|json| serde_json::from_str(json.get()).ok());
        match settings.as_ref().and_then(turn_context) {
            Some(context) => self.add(RecordKind::TurnContext, &context),
            None => Ok(()),
        }
    }

    fn write_token_count(&mut self) -> Result<(), serde_json::Error> {
        let Some(count) = &self.replay.token_count else { return Ok(()) };
        let count: Map<String, Value> = serde_json::from_str(count.get()).unwrap_or_default();
        let field = |name: &str| count.get(name).cloned().unwrap_or_default();
        let event = json!({
            "type": "token_count", "info": field("info"), "rate_limits": field("rate_limits"),
        });
        self.add(RecordKind::EventMsg, &event)
    }

    fn add(&mut self, kind: RecordKind, payload: &Value) -> Result<(), serde_json::Error> {
        self.push(kind, to_raw_value(payload)?);
        Ok(())
    }

    fn push(&mut self, kind: RecordKind, payload: Box<RawValue>) {
        Record::new(self.time, kind, payload).encode(&mut self.log);
    }
}

/// Settings in the words of the format; `None` if they name no model.
fn turn_context(settings: &Map<String, Value>) -> Option<Value> {
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let approval_policy = match text("approval_policy") {
        Some("always") => "untrusted",
        Some("never") => "never",
        Some(other) if other != "on_request" => other,
        _ => "on-request",
    };
    // Nothing is shut in here. Earlier readers look for a mode, later ones for a type.
    let sandbox = "danger-full-access";
    let mut context = json!({
        "cwd": text("cwd").unwrap_or_default(),
        "approval_policy": approval_policy,
        "sandbox_policy": {"mode": sandbox, "type": sandbox},
        "model": text("model")?,
        "summary": text("summary").unwrap_or("none"),
    });
    if let Some(effort) = text("effort") {
        context["effort"] = json!(effort);
    }
    Some(context)
}

/// What clients are told of an item.
fn events(kind: &TurnItemKind) -> Vec<Value> {
    match kind {
        TurnItemKind::UserMessage { content } => {
            let message = kind.message_text().unwrap_or_default();
            let images: Vec<&str> = content.iter().filter_map(image).collect();
            let mut event = json!({"type": "user_message", "message": message});
            if !images.is_empty() {
                event["images"] = json!(images);
            }
            vec![event]
        }
        TurnItemKind::AgentMessage { .. } => {
            let message = kind.message_text().unwrap_or_default();
            vec![json!({"type": "agent_message", "message": message})]
        }
        TurnItemKind::Reasoning { summary_text, .. } => {
            let event = |text| json!({"type": "agent_reasoning", "text": text});
            summary_text.iter().map(event).collect()
        }
        _ => Vec::new(),
    }
}

fn image(part: &UserPart) -> Option<&str> {
    match part {
        UserPart::Image { image_url } => Some(image_url),
        _ => None,
    }
}
