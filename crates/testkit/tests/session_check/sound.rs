//! Sound logs: a session played step by step, and what an observer would note of it.

use std::collections::{BTreeSet, VecDeque};

use longhaul_testkit::check::session::{Call, Entry, EventKind, InputEnd, Log, RequestKind, Rules};
use serde_json::{Value, json};

use super::plan::{CallPlan, Cut, Fate, Plan, Round, Step};

/// The tool whose calls need a yes.
pub(crate) const RISKY: &str = "risky";

pub(crate) fn rules() -> Rules {
    Rules { asks: BTreeSet::from([RISKY.to_owned()]) }
}

/// Plays the plan.
pub(crate) fn log(plan: &Plan) -> Log {
    let mut session = Session { reuses_ids: plan.reuses_ids, ..Session::default() };
    for step in &plan.steps {
        session.step(step);
    }
    session.drain();
    let mut entries = late(session.entries, &plan.lags);
    entries.push(Entry::End);
    Log { entries }
}

/// Events come later than they happened, by as many entries as the reader sleeps through.
fn late(entries: Vec<Entry>, lags: &[bool]) -> Vec<Entry> {
    let (mut seen, mut held) = (Vec::new(), Vec::new());
    let mut sleeps = lags.iter().copied().cycle();
    for entry in entries {
        if matches!(entry, Entry::Event { .. }) {
            held.push(entry);
        } else {
            if !sleeps.next().unwrap_or(false) {
                seen.append(&mut held);
            }
            seen.push(entry);
        }
    }
    seen.append(&mut held);
    seen
}

#[derive(Default)]
struct Session {
    entries: Vec<Entry>,
    history: Vec<Value>,
    reuses_ids: bool,
    /// Numbers for ids and texts.
    count: usize,
    events: u64,
    turn: String,
    /// Inputs that wait for a turn of their own.
    waiting: VecDeque<String>,
    /// Steers that wait for the next request.
    steers: Vec<String>,
    /// Inputs that the turn has taken.
    taken: Vec<String>,
}

impl Session {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Turn { rounds, cut, ahead } => {
                for _ in 0..*ahead {
                    let input = self.accept(false);
                    self.waiting.push_back(input);
                }
                self.turn(rounds, *cut);
            }
            Step::Compact { asks } => self.command("compact", |session| session.compact(*asks)),
            Step::Review => self.command("review", Self::review),
            Step::Undo => self.command("undo", Self::undo),
            Step::Withdraw { steers } => {
                let input = self.accept(*steers);
                self.note(Entry::Withdrawn { input: input.clone() });
                self.settle(input, InputEnd::Withdrawn);
            }
        }
        self.note(Entry::Sample {
            name: "queue".to_owned(),
            value: self.waiting.len() as u64,
            cap: 64,
        });
    }

    /// What still waits gets its turn.
    fn drain(&mut self) {
        while !self.waiting.is_empty() || !self.steers.is_empty() {
            self.turn(&[], None);
        }
    }

    fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn note(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    fn event(&mut self, event: EventKind) {
        self.events += 1;
        self.note(Entry::Event { number: self.events, turn_id: self.turn.clone(), event });
    }

    fn accept(&mut self, steers: bool) -> String {
        let input = format!("i{}", self.next());
        self.note(Entry::Accepted { input: input.clone(), text: format!("do {input}"), steers });
        input
    }

    fn settle(&mut self, input: String, end: InputEnd) {
        self.note(Entry::Settled { input, end });
    }

    fn take(&mut self, input: String) {
        let text = format!("do {input}");
        self.history.push(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}));
        self.event(EventKind::ItemCompleted { text: Some(text), is_user: true });
        self.taken.push(input);
    }

    fn request(&mut self, kind: RequestKind) {
        self.note(Entry::Request { kind, items: self.history.clone() });
    }

    fn completed(&mut self, calls: Vec<Call>) {
        self.note(Entry::ResponseCompleted { calls });
    }
}

/// Turns.
impl Session {
    fn turn(&mut self, rounds: &[Round], cut: Option<Cut>) {
        let input = self.waiting.pop_front().unwrap_or_else(|| self.accept(false));
        self.turn.clone_from(&input);
        self.event(EventKind::TurnStarted);
        for steer in std::mem::take(&mut self.steers) {
            self.take(steer);
        }
        self.take(input);
        if cut == Some(Cut::Early) {
            return self.abort();
        }
        for round in rounds {
            self.round(round);
        }
        match cut {
            None => self.last_answer(),
            Some(Cut::Fails) => self.fail(),
            Some(Cut::Early | Cut::Streaming) => {
                self.request(RequestKind::Turn);
                self.stream(false);
                // A steer that comes too late waits for the next turn.
                let steer = self.accept(true);
                self.steers.push(steer);
                self.abort();
            }
            Some(Cut::Tools) => self.cut_tools(),
        }
    }

    fn round(&mut self, round: &Round) {
        for _ in 0..round.failures {
            self.request(RequestKind::Turn);
            self.stream(false);
            self.note(Entry::ResponseFailed);
            self.event(EventKind::StreamError);
        }
        self.request(RequestKind::Turn);
        if round.steered {
            let steer = self.accept(true);
            self.steers.push(steer);
        }
        let calls: Vec<Call> =
            round.calls.iter().enumerate().map(|(n, call)| self.call(n, call)).collect();
        self.respond(&calls, round.speaks);
        self.run(round, &calls);
        for (call, plan) in calls.iter().zip(&round.calls) {
            let denied = plan.fate == Fate::Denied;
            self.output(call, if denied { "denied: no" } else { "done" });
        }
        for steer in std::mem::take(&mut self.steers) {
            self.take(steer);
        }
        if round.compacts {
            self.compact(true);
        }
    }

    fn call(&mut self, place: usize, plan: &CallPlan) -> Call {
        let number = self.next();
        let id = if self.reuses_ids { place } else { number };
        let name = if plan.fate == Fate::Free { "free" } else { RISKY };
        Call::new(format!("c{id}"), name, format!("{{\"n\":{number}}}"))
    }

    /// Text and calls of a response are recorded as it completes.
    fn respond(&mut self, calls: &[Call], speaks: bool) {
        let text = speaks.then(|| self.stream(true));
        self.completed(calls.to_vec());
        self.history.push(json!({"type": "reasoning", "summary": [], "encrypted_content": "x"}));
        if let Some(text) = text {
            self.history.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}));
            self.event(EventKind::ItemCompleted { text: Some(text), is_user: false });
        }
        for Call { call_id, name, arguments } in calls {
            self.history.push(json!({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}));
            self.event(EventKind::ItemCompleted { text: None, is_user: false });
        }
    }

    /// Streams a message, or only its beginning.
    fn stream(&mut self, whole: bool) -> String {
        let text = format!("text {}", self.next());
        self.event(EventKind::TextDelta(text.clone()));
        if whole {
            self.event(EventKind::TextDelta(", all of it".to_owned()));
        }
        text + ", all of it"
    }

    fn run(&mut self, round: &Round, calls: &[Call]) {
        let mut running = Vec::new();
        for (call, plan) in calls.iter().zip(&round.calls) {
            if plan.fate != Fate::Free {
                self.ask(call, plan.fate == Fate::Approved);
            }
            if plan.fate == Fate::Denied {
                continue;
            }
            self.start(call);
            if round.parallel {
                running.push(call);
            } else {
                self.end(call);
            }
        }
        while let Some(call) = running.pop() {
            self.end(call);
        }
    }

    fn ask(&mut self, call: &Call, yes: bool) {
        self.note(Entry::Asked(call.clone()));
        let Call { call_id, arguments, .. } = call.clone();
        self.note(Entry::Answered { call_id, arguments, yes });
    }

    fn start(&mut self, call: &Call) {
        self.event(EventKind::ToolBegin { call_id: call.call_id.clone() });
        self.note(Entry::EffectStart(call.clone()));
    }

    fn end(&mut self, call: &Call) {
        self.note(Entry::EffectEnd { call_id: call.call_id.clone() });
        self.event(EventKind::ToolEnd { call_id: call.call_id.clone() });
    }

    fn output(&mut self, call: &Call, output: &str) {
        self.history.push(
            json!({"type": "function_call_output", "call_id": call.call_id, "output": output}),
        );
    }

    fn last_answer(&mut self) {
        self.request(RequestKind::Turn);
        self.respond(&[], true);
        self.over(&EventKind::TurnComplete { failed: false }, InputEnd::Completed);
    }

    fn fail(&mut self) {
        self.request(RequestKind::Turn);
        self.stream(false);
        self.note(Entry::ResponseFailed);
        self.event(EventKind::Other("error".to_owned()));
        self.over(&EventKind::TurnComplete { failed: true }, InputEnd::Failed);
    }

    /// One call has ended, one runs, one has not started.
    fn cut_tools(&mut self) {
        self.request(RequestKind::Turn);
        let free = CallPlan { fate: Fate::Free };
        let calls: Vec<Call> = (0..3).map(|n| self.call(n, &free)).collect();
        self.respond(&calls, false);
        self.start(&calls[0]);
        self.start(&calls[1]);
        self.end(&calls[0]);
        self.output(&calls[0], "done");
        self.output(&calls[1], "aborted: had started, effect unknown");
        self.output(&calls[2], "aborted: not started");
        self.abort();
    }

    fn abort(&mut self) {
        let turn_id = self.turn.clone();
        self.over(&EventKind::TurnAborted, InputEnd::Aborted);
        self.note(Entry::InterruptReturned { turn_id });
    }

    fn over(&mut self, event: &EventKind, end: InputEnd) {
        self.event(event.clone());
        for input in std::mem::take(&mut self.taken) {
            self.settle(input, end);
        }
        // The next turn may leave reasoning out.
        self.history.retain(|item| item["type"] != "reasoning");
    }
}

/// What is no turn of the model, and changes the conversation.
impl Session {
    fn command(&mut self, name: &str, does: impl FnOnce(&mut Self)) {
        self.turn = format!("{name}{}", self.next());
        self.event(EventKind::TurnStarted);
        does(self);
        self.event(EventKind::TurnComplete { failed: false });
    }

    /// The user's words stay, all else becomes one message.
    fn compact(&mut self, asks: bool) {
        if asks {
            self.request(RequestKind::Compact);
            self.completed(Vec::new());
        }
        // A model may say the same again.
        let bridge = if asks { "bridge".to_owned() } else { format!("bridge {}", self.next()) };
        self.history.retain(|item| item["role"] == "user" && item["content"].is_array());
        self.history.insert(0, json!({"type": "message", "role": "user", "content": bridge}));
        self.event(EventKind::Compacted);
    }

    fn review(&mut self) {
        let items = vec![json!({"role": "user", "content": "review it"})];
        self.note(Entry::Request { kind: RequestKind::Review, items });
        self.completed(Vec::new());
        self.history.push(json!({"role": "assistant", "content": "reviewed"}));
    }

    fn undo(&mut self) {
        if let Some(place) = self.history.iter().position(|item| item["role"] == "assistant") {
            self.history.remove(place);
        }
        self.event(EventKind::Undone);
    }
}
