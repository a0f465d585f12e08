//! What the connections share: the script, and the log that tests wait on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{RecordedRequest, Reply, ReplyOutcome, Script};
use crate::check::{Violation, pairing};
use crate::watched::wait_for;

pub(super) struct Shared {
    script: Script,
    pub(super) log: watch::Sender<Log>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    /// Requests that the script covers, by order number.
    pub(super) requests: Vec<RecordedRequest>,
    pub(super) others: Vec<RecordedRequest>,
    pub(super) violations: Vec<(usize, Violation)>,
    /// Numbers of the connections that have ended.
    pub(super) closed: BTreeSet<usize>,
    /// How many connections were accepted.
    pub(super) connections: usize,
    /// Why connections never got as far as HTTP.
    pub(super) failed_handshakes: Vec<String>,
    /// Body bytes sent so far, by order number of the scripted request.
    pub(super) sent: Vec<Arc<AtomicUsize>>,
    faults: Vec<String>,
}

/// A request's place in the log, where the fate of its reply is written.
pub(super) struct Entry {
    shared: Arc<Shared>,
    order: usize,
    scripted: bool,
    /// Body bytes of the reply that were sent so far.
    pub(super) sent: Arc<AtomicUsize>,
}

impl Shared {
    pub(super) fn new(script: Script) -> Self {
        Self { script, log: watch::Sender::new(Log::default()) }
    }

    /// Waits until `look` finds something.
    pub(super) async fn wait_for<T>(&self, look: impl Fn(&Log) -> Option<T>) -> T {
        wait_for(&self.log, look).await
    }

    /// Notes a request and decides its reply.
    pub(super) fn take(self: &Arc<Self>, mut request: RecordedRequest) -> (Entry, Reply) {
        let scripted = self.script.covers(&request);
        let sent = Arc::new(AtomicUsize::new(0));
        self.log.send_modify(|log| {
            if scripted {
                log.sent.push(Arc::clone(&sent));
            }
            let list = log.list(scripted);
            request.order = list.len();
            list.push(request.clone());
        });
        let _watch = PanicWatch(self);
        self.script.notify(&request);
        let reply = if scripted { self.answer(&request) } else { not_found(&request) };
        (Entry { shared: Arc::clone(self), order: request.order, scripted, sent }, reply)
    }

    pub(super) fn fault(&self, sentence: String) {
        self.log.send_modify(|log| log.faults.push(sentence));
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let log = self.log.borrow();
        let (came, scripted) = (log.requests.len(), self.script.len());
        let mut problems = log.broken_pairing();
        problems.extend(log.faults.iter().cloned());
        if came < scripted {
            problems
                .push(format!("{} of {scripted} scripted replies were not used.", scripted - came));
        } else if came > 0 && self.script.is_exhausted_at(came - 1) {
            problems
                .push(format!("{came} requests came, but only {scripted} replies were scripted."));
        }
        problems
    }

    fn answer(&self, request: &RecordedRequest) -> Reply {
        if let Err(violations) = self.check(request) {
            let sentences: Vec<_> = violations.iter().map(ToString::to_string).collect();
            let found = violations.into_iter().map(|violation| (request.order, violation));
            self.log.send_modify(|log| log.violations.extend(found));
            return refusal(400, "invalid_request_error", &Value::Null, &sentences.join(" "));
        }
        self.script.answer(request).unwrap_or_else(|| {
            let (number, scripted) = (request.order + 1, self.script.len());
            let message = format!(
                "The script is exhausted: this is request {number}, it has {scripted} replies."
            );
            refusal(500, "server_error", &json!("script_exhausted"), &message)
        })
    }

    fn check(&self, request: &RecordedRequest) -> Result<(), Vec<Violation>> {
        if self.script.unchecked_pairing { Ok(()) } else { pairing(&request.input()) }
    }
}

impl Log {
    pub(super) fn broken_pairing(&self) -> Vec<String> {
        self.violations
            .iter()
            .map(|(order, violation)| format!("requests()[{order}]: {violation}"))
            .collect()
    }

    fn list(&mut self, scripted: bool) -> &mut Vec<RecordedRequest> {
        if scripted { &mut self.requests } else { &mut self.others }
    }
}

impl Entry {
    pub(super) fn set(&self, outcome: ReplyOutcome) {
        self.shared
            .log
            .send_modify(|log| log.list(self.scripted)[self.order].reply_outcome = outcome);
    }
}

/// Remembers a panic in the test's own functions, before the client can see the connection close.
struct PanicWatch<'a>(&'a Shared);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fault("A reply function or request hook panicked.".into());
        }
    }
}

pub(super) fn refusal(status: u16, kind: &str, code: &Value, message: &str) -> Reply {
    let param = if status == 400 { json!("input") } else { Value::Null };
    Reply::error(
        status,
        &json!({"error": {"type": kind, "message": message, "code": code, "param": param}}),
    )
}

fn not_found(request: &RecordedRequest) -> Reply {
    let message = format!("{} {} is not scripted.", request.method, request.path());
    refusal(404, "invalid_request_error", &json!("not_found"), &message)
}
