//! Plans of sessions, made at random.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Agent,
    Reasoning,
    Search,
    Compaction,
}

/// An item of a response: its own text, and what is streamed of it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) pieces: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) parts: Vec<Part>,
    /// Whether the server says that an item begins.
    pub(super) is_announced: bool,
    /// Whether it says so of all before it streams any.
    pub(super) is_announced_first: bool,
    /// Whether one more begins that the response turns out not to have.
    pub(super) has_orphan: bool,
    /// How the server gives ids: new ones, the same in each response, one for all.
    pub(super) ids: u8,
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) is_asked: bool,
    pub(super) is_denied: bool,
    pub(super) progress: Option<String>,
    pub(super) success: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Before {
    Nothing,
    Steer(String),
    /// Whether a model is asked; what comes of it: 0 and 1 a new conversation, with or without a
    /// bridge, 2 an error, 3 nothing.
    Compaction(bool, u8),
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) before: Before,
    /// Responses that break after so many events.
    pub(super) broken: Vec<(Response, usize)>,
    pub(super) response: Response,
    pub(super) calls: Vec<Call>,
    pub(super) is_parallel: bool,
}

#[derive(Debug, Clone)]
pub(super) enum End {
    Complete,
    Failed,
    /// Cut off after so many events of the last response.
    InResponse(usize),
    /// Cut off after so many events of the last calls; whether it is told how those ended that ran.
    InCalls(usize, bool),
}

#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) id: u8,
    pub(super) text: String,
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    /// Whether it is a review, and then whether that finds something.
    pub(super) review: Option<bool>,
}

impl Turn {
    pub(super) fn is_review(&self) -> bool {
        self.review.is_some()
    }
}

fn words() -> impl Strategy<Value = String> {
    "[a-z ]{0,6}"
}

fn part() -> impl Strategy<Value = Part> {
    let kind = prop_oneof![
        6 => Just(Kind::Agent),
        4 => Just(Kind::Reasoning),
        2 => Just(Kind::Search),
        1 => Just(Kind::Compaction),
    ];
    (kind, words(), vec(words(), 1..4)).prop_map(|(kind, text, pieces)| Part { kind, text, pieces })
}

fn response() -> impl Strategy<Value = Response> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (vec(part(), 0..4), flags, 0..3_u8).prop_map(|(mut parts, flags, ids)| {
        let (is_announced, is_announced_first, has_orphan) = flags;
        if !is_announced {
            // All that is streamed of a kind looks like one item then.
            let mut seen = Vec::new();
            parts.retain(|part| {
                let is_new = !seen.contains(&part.kind);
                seen.push(part.kind);
                is_new && matches!(part.kind, Kind::Agent | Kind::Reasoning)
            });
        }
        let has_orphan = has_orphan && is_announced && !parts.is_empty();
        Response { parts, is_announced, is_announced_first, has_orphan, ids }
    })
}

fn call() -> impl Strategy<Value = Call> {
    (any::<bool>(), any::<bool>(), option::of(words()), any::<bool>()).prop_map(
        |(is_asked, is_denied, progress, success)| Call { is_asked, is_denied, progress, success },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let before = prop_oneof![
        4 => Just(Before::Nothing),
        2 => words().prop_map(Before::Steer),
        2 => (any::<bool>(), 0..4_u8).prop_map(|(asks, end)| Before::Compaction(asks, end)),
    ];
    let broken = vec((response(), 0..8_usize), 0..3);
    (before, broken, response(), vec(call(), 0..4), any::<bool>()).prop_map(
        |(before, mut broken, mut response, calls, is_parallel)| {
            if matches!(before, Before::Compaction(true, 3)) {
                // What comes next has to tell that it came to nothing: that is no compaction again.
                broken.clear();
                let agent = Part { kind: Kind::Agent, text: "so".into(), pieces: vec![] };
                response.parts = vec![agent];
            }
            Step { before, broken, response, calls, is_parallel }
        },
    )
}

pub(super) fn turn() -> impl Strategy<Value = Turn> {
    let end = prop_oneof![
        3 => Just(End::Complete),
        1 => Just(End::Failed),
        2 => (0..10_usize).prop_map(End::InResponse),
        2 => (0..10_usize, any::<bool>()).prop_map(|(at, told)| End::InCalls(at, told)),
    ];
    let review = prop_oneof![5 => Just(None), 1 => any::<bool>().prop_map(Some)];
    (0..2_u8, words(), vec(step(), 1..4), end, review)
        .prop_map(|(id, text, steps, end, review)| Turn { id, text, steps, end, review })
}
