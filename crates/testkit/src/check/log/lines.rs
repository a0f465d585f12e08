//! I15 and I16: the log is whole records, numbered.

use std::collections::BTreeMap;

use longhaul_rollout::{Record, blob_digest};
use serde_json::Value;

use super::{Evidence, Found};

/// One record.
pub(super) struct Line {
    pub(super) epoch: u64,
    pub(super) kind: String,
    pub(super) payload: Value,
    /// Where the line ends in the log.
    pub(super) end: u64,
}

impl Line {
    /// The call that this is an output of.
    pub(super) fn output_of(&self) -> Option<&str> {
        let kind = self.payload["type"].as_str()?;
        kind.ends_with("_output").then_some(())?;
        self.payload["call_id"].as_str()
    }

    /// What the output says.
    pub(super) fn output_text(&self) -> String {
        texts(&self.payload["output"])
    }

    /// The role and the text of a message.
    pub(super) fn message(&self) -> Option<(&str, String)> {
        let is_message = self.kind == "response_item" && self.payload["type"] == "message";
        is_message.then_some(())?;
        Some((self.payload["role"].as_str()?, texts(&self.payload["content"])))
    }
}

fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// Checks both logs, and gives the records of the one at the end.
pub(super) fn check(evidence: &Evidence, found: &mut Found) -> Vec<Line> {
    let whole = evidence.crashed.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let crashed = &evidence.crashed[..whole];
    if !evidence.log.starts_with(crashed) {
        found.add("I15", "Lines that were whole when it crashed are not as they were.");
        read(crashed, evidence, found);
    }
    if !evidence.log.is_empty() && !evidence.log.ends_with(b"\n") {
        found.add("I15", "The log that was opened again has a torn tail.");
    }
    let lines = read(&evidence.log, evidence, found);
    let before = lines.iter().rev().find(|line| line.end <= whole as u64);
    let behind = lines.iter().find(|line| line.end > whole as u64);
    if behind.is_some_and(|behind| before.is_some_and(|before| before.epoch >= behind.epoch)) {
        found.add("I16", "The log was opened again, and its epoch is the one of before.");
    }
    lines
}

fn read(log: &[u8], evidence: &Evidence, found: &mut Found) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut end, mut next) = (0, 0);
    let mut inputs = BTreeMap::new();
    for bytes in log.split_inclusive(|&byte| byte == b'\n') {
        end += bytes.len() as u64;
        let sealed = match Record::open(bytes) {
            Ok(sealed) => sealed,
            Err(error) => {
                found.add("I15", format!("The line that ends at byte {end} is no record: {error}"));
                continue;
            }
        };
        if sealed.ordinal < next {
            found.add("I16", format!("The ordinal {} comes twice.", sealed.ordinal));
        } else if sealed.ordinal > next {
            found.add("I15", format!("The ordinal {next} is missing."));
        }
        next = sealed.ordinal + 1;
        if lines.last().is_some_and(|last| last.epoch > sealed.epoch) {
            found.add("I16", format!("The epoch goes back at ordinal {}.", sealed.ordinal));
        }
        let kind = sealed.record.kind.as_str().to_owned();
        let Some(mut payload) = payload(&sealed.record, &evidence.blobs) else {
            found.add("I15", format!("The record {} lacks a blob.", sealed.ordinal));
            continue;
        };
        if kind == "input" && payload["state"] == "accepted" {
            inputs.insert(payload["id"].as_str().map(str::to_owned), payload["item"].clone());
        }
        if let Some(id) = sealed.record.input() {
            let ordinal = sealed.ordinal;
            match inputs.remove(&Some(id)) {
                Some(item) => payload = item,
                None => found.add("I15", format!("The input of record {ordinal} does not wait.")),
            }
        }
        lines.push(Line { epoch: sealed.epoch, kind, payload, end });
    }
    lines
}

/// The payload with its long strings in their places.
fn payload(record: &Record, blobs: &BTreeMap<String, Vec<u8>>) -> Option<Value> {
    let mut text = record.payload.get().as_bytes().to_vec();
    for at in record.blobs().into_iter().rev() {
        let from = at + "\"blob:".len();
        let name = std::str::from_utf8(text.get(from..from + 64)?).ok()?.to_owned();
        let bytes = blobs.get(&name).filter(|bytes| blob_digest(bytes) == name)?;
        text.splice(at + 1..from + 64, bytes.iter().copied());
    }
    serde_json::from_slice(&text).ok()
}
