//! Everything that a compaction depends on: the conversation, the settings, the model, the host.

use longhaul_compaction::{
    Answer, Budget, Cause, Config, Keep, LastRung, Refused, Tail, Verdict, View,
};
use longhaul_history::tokens::Calibration;
use longhaul_history::{History, Item, Part, ReasoningFilter};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{assistant, call, developer, environment, history, tokens};
use crate::talk::talk;

/// Everything that a compaction depends on.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) talk: Vec<Item>,
    pub(crate) context: Vec<Item>,
    pub(crate) window: Option<u64>,
    pub(crate) overhead: u64,
    pub(crate) percent: u64,
    pub(crate) cause: How,
    pub(crate) tail: Tail,
    pub(crate) message_tokens: u64,
    pub(crate) filter: ReasoningFilter,
    pub(crate) is_refusing: bool,
    pub(crate) answers: Vec<Says>,
    pub(crate) host: Host,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Manual,
    Limit,
    Window {
        is_certain: bool,
    },
    /// The server counts so many percent of the local count, and has this window.
    Refused {
        percent: Option<u64>,
        window: Option<u64>,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Says {
    Failed,
    Empty,
    Text(usize),
    /// More than it was shown.
    TooMuch,
    TooLong(Option<u64>, Option<u64>),
}

#[derive(Debug, Clone)]
pub(crate) enum Host {
    None,
    Accepts,
    Vetoes,
    AddsNote,
    AddsTooMuch,
    AddsCall,
    Empties,
    KeepsAll,
}

fn says() -> impl Strategy<Value = Says> {
    let count = || option::of(prop_oneof![0..30_000_u64, Just(u64::MAX)]);
    prop_oneof![
        Just(Says::Failed),
        Just(Says::Empty),
        (1..2_000_usize).prop_map(Says::Text),
        Just(Says::TooMuch),
        (count(), count()).prop_map(|(prompt, window)| Says::TooLong(prompt, window)),
        Just(Says::TooLong(None, None)),
    ]
}

fn cause() -> impl Strategy<Value = How> {
    let refused = (option::of(40..300_u64), option::of(4_096..40_000_u64));
    prop_oneof![
        1 => Just(How::Manual),
        1 => Just(How::Limit),
        3 => any::<bool>().prop_map(|is_certain| How::Window { is_certain }),
        3 => refused.prop_map(|(percent, window)| How::Refused { percent, window }),
    ]
}

fn host() -> impl Strategy<Value = Host> {
    let others = select(vec![
        Host::Accepts,
        Host::Vetoes,
        Host::AddsNote,
        Host::AddsTooMuch,
        Host::AddsCall,
        Host::Empties,
        Host::KeepsAll,
    ]);
    prop_oneof![2 => Just(Host::None), 1 => others]
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let window = option::of(select(vec![3_891, 4_500, 6_000, 8_000, 12_000, 20_000, 60_000]));
    let context = prop_oneof![2 => Just(vec![]), 1 => (1..400_usize).prop_map(|size| vec![environment(&tokens("today", size))])];
    let tail = prop_oneof![
        2 => Just(Tail::None),
        1 => (0..5_usize).prop_map(Tail::Turns),
        1 => (0..4_000_u64).prop_map(Tail::Tokens),
    ];
    let filter = select(vec![
        ReasoningFilter::CurrentTurn,
        ReasoningFilter::KeepAll,
        ReasoningFilter::DropAll,
    ]);
    let budget = (window, select(vec![0, 50, 700]), select(vec![70, 100, 150]), cause());
    let keep = (tail, select(vec![200, 20_000]), filter, prop::bool::weighted(0.2));
    (talk(), context, budget, keep, vec(says(), 3), host()).prop_map(
        |(
            talk,
            context,
            (window, overhead, percent, cause),
            (tail, message_tokens, filter, is_refusing),
            answers,
            host,
        )| {
            Case {
                talk,
                context,
                window,
                overhead,
                percent,
                cause,
                tail,
                message_tokens,
                filter,
                is_refusing,
                answers,
                host,
            }
        },
    )
}

impl Case {
    pub(crate) fn budget(&self, sent_tokens: u64) -> Budget {
        let counted = self.overhead + sent_tokens;
        let cause = match self.cause {
            How::Manual => Cause::Manual,
            How::Limit => Cause::Limit,
            How::Window { is_certain } => {
                Cause::Window { is_certain: is_certain && self.window.is_some() }
            }
            How::Refused { percent, window } => Cause::Refused(Refused {
                counted,
                prompt: percent.map(|percent| counted * percent / 100),
                window,
            }),
        };
        let mut budget = Budget::new(cause);
        (budget.window, budget.overhead) = (self.window, self.overhead);
        budget.limit = self.window.map_or(u64::MAX, |window| window / 10 * 9);
        budget.used = Some(budget.limit.min(1_000_000));
        let mut calibration = Calibration::default();
        for _ in 0..16 {
            calibration.observe(1_000, 10 * self.percent);
        }
        budget.calibration = calibration;
        budget
    }

    pub(crate) fn view(&self, history: History, budget: &Budget) -> View {
        let mut keep = Keep::default();
        (keep.tail, keep.user_message_tokens) = (self.tail, self.message_tokens);
        View::new(history, self.context.clone(), keep, self.filter, budget)
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        config.last_rung = if self.is_refusing { LastRung::Refuse } else { LastRung::Extract };
        config
    }

    pub(crate) fn answer(&self, request: usize, shown: u64) -> Answer {
        match self.answers[request % self.answers.len()] {
            Says::Failed => Answer::Failed,
            Says::Empty => Answer::Text(" \n".into()),
            Says::Text(size) => Answer::Text(tokens("in sum", size)),
            Says::TooMuch => {
                Answer::Text(tokens("in sum", usize::try_from(shown).unwrap() + 3_000))
            }
            Says::TooLong(prompt, window) => Answer::TooLong { prompt, window },
        }
    }

    pub(crate) fn verdict(&self, len: usize) -> Verdict {
        match self.host {
            Host::None | Host::Accepts => Verdict::Accept,
            Host::Vetoes => Verdict::Veto("no".into()),
            Host::AddsNote => Verdict::Amend(vec![developer("note")]),
            Host::AddsTooMuch => Verdict::Amend(vec![assistant(&tokens("x", 50_000))]),
            Host::AddsCall => Verdict::Amend(vec![call("z", "1")]),
            Host::Empties => Verdict::Replace(vec![]),
            Host::KeepsAll => Verdict::Replace(vec![Part::Keep(0..len)]),
        }
    }
}

/// Kinds and tokens.
pub(crate) fn outline(history: &History) -> Vec<String> {
    let measured = history.measured(0..history.len()).map(|(item, tokens)| {
        let marks = [(item.is_bridge(), "bridge"), (item.is_pinned(), "pinned")];
        let mark = marks.iter().find(|(is_so, _)| *is_so).map_or("", |(_, mark)| mark);
        format!("{:?} {mark} {tokens}", item.kind())
    });
    measured.collect()
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { window, overhead, percent, cause, tail, message_tokens, filter, .. } = self;
        let numbers = (window, overhead, percent, cause, tail, message_tokens, filter);
        let context = outline(&history(self.context.clone()));
        let talk = outline(&history(self.talk.clone()));
        write!(
            f,
            "{numbers:?} {:?} {:?} {} {context:?} {talk:#?}",
            self.answers, self.host, self.is_refusing
        )
    }
}
