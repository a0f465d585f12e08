//! Any conversation, any window, and a model that does what it should not: what holds all the same.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    IMAGE_TOKENS, applied, assistant, bridge, call, developer, drive, environment, ghost, history,
    image_url, items, output, picture, plan, reasoning, sent, tokens, user,
};
use longhaul_compaction::{
    Answer, Budget, Cause, Compacted, Config, Error, Keep, Ladder, LastRung, Refused,
    SUMMARIZATION_PROMPT, Tail, Verdict, View,
};
use longhaul_history::tokens::Calibration;
use longhaul_history::turn_item::is_context;
use longhaul_history::{
    CallOutput, ContentPart, History, Item, ItemKind, OutputPart, Part, ReasoningFilter, Role,
};
use longhaul_testkit::check::pairing;
use longhaul_testkit::strategies::conversation;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Everything that a compaction depends on.
#[derive(Clone)]
struct Case {
    talk: Vec<Item>,
    context: Vec<Item>,
    window: Option<u64>,
    overhead: u64,
    percent: u64,
    cause: How,
    tail: Tail,
    message_tokens: u64,
    filter: ReasoningFilter,
    is_refusing: bool,
    answers: Vec<Says>,
    host: Host,
}

#[derive(Debug, Clone, Copy)]
enum How {
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
enum Says {
    Failed,
    Empty,
    Text(usize),
    /// More than it was shown.
    TooMuch,
    TooLong(Option<u64>, Option<u64>),
}

#[derive(Debug, Clone)]
enum Host {
    None,
    Accepts,
    Vetoes,
    AddsNote,
    AddsTooMuch,
    AddsCall,
    Empties,
    KeepsAll,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1..40_usize, 3 => 100..900_usize, 1 => 1_500..6_000_usize]
}

fn step() -> impl Strategy<Value = Vec<Item>> {
    let shown = || OutputPart::InputImage { image_url: image_url("screen") };
    let one = (0..16_u8, size(), any::<bool>()).prop_map(move |(kind, size, is_marked)| {
        let text = |name: &str| tokens(name, size);
        let pinned = |item: Item| if is_marked { item.pinned() } else { item };
        let failed = |item: Item| if is_marked { item.failed() } else { item };
        match kind {
            0..=2 => vec![user(&text("user"))],
            3 | 4 => vec![assistant(&text("assistant"))],
            5 | 6 => vec![reasoning(), call("a", "1"), failed(output("a", &text("out")))],
            7 => vec![
                call("a", "1"),
                call("b", "2"),
                output("b", "B"),
                pinned(output("a", &text("out"))),
            ],
            8 => vec![
                pinned(call("a", "1")),
                reasoning(),
                ghost("g"),
                call("b", "2"),
                output("a", "A"),
                output("b", "B"),
            ],
            9 => vec![picture(&text("look"), "p"), assistant("seen")],
            10 => vec![
                call("s", "1"),
                Item::function_call_output("s", CallOutput::Parts(vec![shown(), shown()])),
            ],
            11 => vec![pinned(assistant(&tokens("rule", size % 300)))],
            12 => vec![bridge(&["old", &text("older")], &text("summary")), ghost("g")],
            13 => plan("p", &text("plan")).to_vec(),
            14 => vec![pinned(reasoning()), assistant(&text("thought"))],
            _ => vec![environment("later"), developer(&text("developer"))],
        }
    });
    prop_oneof![8 => one, 1 => conversation(1..3)]
}

fn talk() -> impl Strategy<Value = Vec<Item>> {
    let context = prop_oneof![
        Just(vec![]),
        Just(vec![developer("be brief")]),
        Just(vec![developer("be brief"), environment("cwd"), environment("more").pinned()]),
        (1..900_usize).prop_map(|size| vec![environment(&tokens("cwd", size))]),
    ];
    let steps = prop_oneof![3 => vec(step(), 0..12), 1 => vec(step(), 12..40)];
    let pending = prop_oneof![2 => Just(vec![]), 1 => vec(size().prop_map(|size| user(&tokens("pending", size))), 1..4)];
    (context, steps, pending).prop_map(|(context, steps, pending)| {
        let answer = if pending.is_empty() { vec![] } else { vec![assistant("and now?")] };
        [context, steps.concat(), answer, pending].concat()
    })
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

fn case() -> impl Strategy<Value = Case> {
    let window = option::of(select(vec![4_096, 4_500, 6_000, 8_000, 12_000, 20_000, 60_000]));
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

/// Kinds and tokens.
fn outline(history: &History) -> Vec<String> {
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

impl Case {
    fn budget(&self, sent_tokens: u64) -> Budget {
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

    fn view(&self, history: History, budget: &Budget) -> View {
        let mut keep = Keep::default();
        (keep.tail, keep.user_message_tokens) = (self.tail, self.message_tokens);
        View::new(history, self.context.clone(), keep, self.filter, budget)
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.last_rung = if self.is_refusing { LastRung::Refuse } else { LastRung::Extract };
        config
    }

    fn answer(&self, request: usize, shown: u64) -> Answer {
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

    fn verdict(&self, len: usize) -> Verdict {
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

    /// The whole property.
    fn check(&self) {
        let mut before = history(self.talk.clone());
        before.normalise();
        let budget = self.budget(before.prompt(self.filter).tokens());
        let view = self.view(before.clone(), &budget);
        let has_hook = !matches!(self.host, Host::None);
        let ladder = Ladder::new(&self.config(), view.clone(), budget, has_hook);
        let mut request = 0;
        let course = drive(
            ladder,
            |ask| {
                let input = before.composed(ask.input.iter().cloned()).unwrap();
                self.check_request(&before, &input, &budget, ask.trimmed_items);
                assert!(ask.tokens <= before.tokens() + self.overhead + prompt_tokens());
                request += 1;
                self.answer(request - 1, before.tokens())
            },
            |_| self.verdict(view.prefix_len()),
        );
        assert!(course.asked.len() <= 3);
        let counts: Vec<usize> = course.asked.iter().map(|ask| ask.trimmed_items).collect();
        assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
        match &course.end {
            Ok(compacted) => {
                assert_eq!(compacted.report.requests as usize, course.asked.len());
                self.check_result(&before, &view, &budget, compacted);
            }
            Err(error) => self.check_failure(&before, &view, &budget, error),
        }
    }

    fn check_request(&self, before: &History, input: &History, budget: &Budget, trimmed: usize) {
        assert_eq!(pairing(&sent(input, self.filter)), Ok(()));
        assert_eq!(input.clone().normalise(), vec![]);
        let seen = |history: &History| {
            history.iter().filter(|item| item.kind() != ItemKind::GhostSnapshot).count()
        };
        assert_eq!(trimmed, seen(before) - seen(input));
        let stays: Vec<&Item> = before.iter().take(context_len(before)).collect();
        assert!(input.iter().take(stays.len()).eq(stays));
        assert!(holds_in_order(input, before.iter().filter(|item| item.is_pinned())));
        if let Some(last) = last_user(before) {
            assert!(input.iter().any(|item| item == last));
        }
        if let Some(ceiling) = ceiling(budget) {
            let mut prompt = input.prompt(self.filter);
            prompt.push(&user(SUMMARIZATION_PROMPT));
            // The frame of the prompt's own message is not counted beforehand.
            let request = budget.request(prompt.tokens() - 4);
            assert!(request <= ceiling, "{request} of {ceiling}");
        }
    }

    fn check_result(&self, before: &History, view: &View, budget: &Budget, compacted: &Compacted) {
        let json = serde_json::to_string(compacted).unwrap();
        let read: Compacted = serde_json::from_str(&json).unwrap();
        let after = applied(before, compacted);
        assert_eq!(applied(before, &read), after);
        assert_ne!(after, *before);

        // It can be sent.
        assert_eq!(pairing(&sent(&after, self.filter)), Ok(()));
        assert_eq!(after.clone().normalise(), vec![]);
        let (old, new) = (before.prompt(self.filter).tokens(), after.prompt(self.filter).tokens());
        assert_eq!(compacted.report.tokens_before, budget.request(old));
        assert_eq!(compacted.report.tokens_after, budget.request(new));
        if let Some(ceiling) = ceiling(budget) {
            assert!(budget.request(new) <= ceiling);
        }
        assert!(new <= 2_000 || budget.request(new) <= budget.request(old));

        // It holds what was promised.
        self.check_context(before, &after);
        assert!(holds_in_order(&after, before.iter().filter(|item| item.is_pinned())));
        self.check_last_message(before, &after, budget, compacted.report.cut_tokens);
        let is_edited =
            compacted.report.strategy != "summarise" && compacted.report.strategy != "extract";
        if !is_edited {
            assert_eq!(after.iter().filter(|item| item.is_bridge()).count(), 1);
            let ghosts = |history: &History| {
                history.iter().filter(|item| item.kind() == ItemKind::GhostSnapshot).count()
            };
            assert_eq!(ghosts(&after), ghosts(before));
            self.check_quotes(before, &after, budget);
            let has_added = matches!(self.host, Host::AddsNote);
            if compacted.report.strategy == "summarise" && !has_added {
                self.check_again(&after, budget);
            }
        }
        let pending = before.len() - view.prefix_len();
        assert!(after.iter().rev().take(pending).eq(before.iter().rev().take(pending)));
    }

    fn check_context(&self, before: &History, after: &History) {
        let old: Vec<&Item> = before.iter().take(context_len(before)).collect();
        if self.context.is_empty() {
            assert!(after.iter().take(old.len()).eq(old));
        } else {
            let developers =
                old.iter().copied().filter(|item| item.kind() != ItemKind::Message(Role::User));
            assert!(holds_in_order(after, developers));
            assert!(holds_in_order(after, &self.context));
        }
    }

    fn check_last_message(&self, before: &History, after: &History, budget: &Budget, cut: u64) {
        let Some(last) = last_user(before) else { return };
        if after.iter().any(|item| item == last) {
            return;
        }
        let bridge = after.iter().rfind(|item| item.is_bridge()).unwrap();
        let quoted = bridge.bridge_parts().unwrap().user_messages;
        let text = without_numbers(&text_of(last));
        let most = self.message_tokens.min(quarter(budget));
        if text.is_empty() {
            return;
        }
        let Some(quote) = quoted.last().map(|quote| without_numbers(quote)) else {
            panic!("nothing is quoted")
        };
        if text.len().div_ceil(4) as u64 + 4 <= most {
            assert_eq!((quote, cut), (text, 0));
        } else if quote != text {
            assert!(quote.len().div_ceil(4) as u64 <= most && cut > 0);
            let (start, end) = quote.split_once('…').unwrap_or((&quote, "…\n"));
            assert!(text.starts_with(start));
            assert!(text.ends_with(end.split_once("…\n").unwrap().1));
        }
    }

    /// The user's messages are quoted in order, the newest first in the budget.
    fn check_quotes(&self, before: &History, after: &History, budget: &Budget) {
        let bridge = after.iter().find(|item| item.is_bridge()).unwrap();
        let quoted = bridge.bridge_parts().unwrap().user_messages;
        let most = self.message_tokens.min(quarter(budget));
        let total: usize = quoted.iter().map(|quote| quote.len().div_ceil(4)).sum();
        assert!(total as u64 <= most, "{total} of {most}");
        let carried =
            before.iter().filter_map(Item::bridge_parts).flat_map(|parts| parts.user_messages);
        let own = before.iter().filter(|item| is_users(item)).map(text_of);
        let said: Vec<String> = carried.chain(own).map(|text| without_numbers(&text)).collect();
        let mut said = said.iter();
        for quote in quoted.iter().map(|quote| without_numbers(quote)) {
            let start = quote.split('…').next().unwrap();
            assert!(said.any(|text| *text == quote || text.starts_with(start)), "{quote}");
        }
        assert!(bridge.json().matches("https://").count() as u64 <= 6_000 / IMAGE_TOKENS);
    }

    /// Running it again changes nothing: it fits now, so nobody but the user can want it. An extract may
    /// keep a tail that a model could sum up.
    fn check_again(&self, after: &History, budget: &Budget) {
        let mut budget = *budget;
        budget.cause = Cause::Manual;
        let view = self.view(after.clone(), &budget);
        let ladder = Ladder::new(&self.config(), view, budget, false);
        let course = drive(ladder, |_| Answer::Text("again".into()), |_| Verdict::Accept);
        let is_over = matches!(course.end, Err(Error::NothingToDo));
        let again = course.end.as_ref().map(|compacted| outline(&applied(after, compacted)));
        assert!(is_over, "{again:?} of {:?}", outline(after));
        assert_eq!(course.asked, []);
    }

    /// It may fail, but not where the last rung can help.
    fn check_failure(&self, before: &History, view: &View, budget: &Budget, error: &Error) {
        let is_left_alone = matches!(self.host, Host::None | Host::Accepts) && !self.is_refusing;
        let Some(room) = ceiling(budget).map(|ceiling| budget.items_within(ceiling)) else {
            return;
        };
        if !budget.is_required() || !is_left_alone || before.prompt(self.filter).tokens() <= room {
            return;
        }
        let count = |items: &[&Item]| history(items.iter().copied().cloned()).tokens();
        let stays: Vec<&Item> = view.history().iter().skip(view.prefix_len()).collect();
        let kept = with_counterparts(before);
        let context: Vec<&Item> =
            before.iter().take(context_len(before)).chain(&self.context).collect();
        let quarter = self.message_tokens.min(quarter(budget));
        let least = count(&stays) + count(&kept) + count(&context) + quarter + 150;
        assert!(least > room, "{error}: {least} of {room}");
    }
}

/// Pinned items behind the context and what is kept with them.
fn with_counterparts(history: &History) -> Vec<&Item> {
    let items: Vec<&Item> = history.iter().collect();
    let mut kept: Vec<bool> = items.iter().map(|item| item.is_pinned()).collect();
    for index in 0..items.len() {
        if kept[index] && items[index].kind() == ItemKind::Reasoning {
            let mut behind = index + 1..items.len();
            let next = behind.find(|next| items[*next].kind() != ItemKind::GhostSnapshot);
            kept[next.unwrap()] = true;
        }
    }
    let mut open: Vec<usize> = Vec::new();
    for index in 0..items.len() {
        if items[index].kind().call().is_some() {
            open.push(index);
        } else if items[index].kind().is_output() {
            let answers = |call: &usize| items[*call].call_id() == items[index].call_id();
            let call = open.iter().rposition(answers).unwrap();
            let call = open.remove(call);
            (kept[call], kept[index]) = (kept[call] || kept[index], kept[call] || kept[index]);
        }
    }
    items.into_iter().zip(kept).filter_map(|(item, is_kept)| is_kept.then_some(item)).collect()
}

/// A quarter of what the window is at most.
fn quarter(budget: &Budget) -> u64 {
    let refused = match budget.cause {
        Cause::Refused(refused) => refused.window.unwrap_or(refused.counted),
        _ => u64::MAX,
    };
    budget.window.unwrap_or(u64::MAX).min(refused) / 4
}

fn ceiling(budget: &Budget) -> Option<u64> {
    let window = budget.window?;
    (window >= 4_096).then(|| window - (window / 10).min(8_192))
}

fn prompt_tokens() -> u64 {
    SUMMARIZATION_PROMPT.len().div_ceil(4) as u64
}

fn is_users(item: &Item) -> bool {
    item.kind() == ItemKind::Message(Role::User) && !is_context(item) && !item.is_pinned()
}

fn last_user(history: &History) -> Option<&Item> {
    history.iter().rfind(|item| is_users(item))
}

fn context_len(history: &History) -> usize {
    let is_initial = |item: &&Item| match item.kind() {
        ItemKind::Message(Role::Developer | Role::System) => true,
        ItemKind::Message(Role::User) => is_context(item) && !item.is_bridge(),
        _ => false,
    };
    history.iter().take_while(is_initial).count()
}

fn holds_in_order<'a>(history: &History, items: impl IntoIterator<Item = &'a Item>) -> bool {
    let mut rest = history.iter();
    items.into_iter().all(|item| rest.any(|other| other == item))
}

fn text_of(item: &Item) -> String {
    let longhaul_history::ItemView::Message { content, .. } = item.view() else {
        return String::new();
    };
    let texts = content.iter().filter_map(|part| match part {
        ContentPart::InputImage { .. } => Some("[image 0]".to_owned()),
        part => part.text().filter(|text| !text.is_empty()).map(str::to_owned),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The text with the number of each image taken out.
fn without_numbers(text: &str) -> String {
    let lines = text.split('\n').map(|line| match line.strip_prefix("[image ") {
        Some(number)
            if number.trim_end_matches(|c: char| c.is_ascii_digit() || c == ']').is_empty() =>
        {
            "[image]"
        }
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn a_session_can_go_on_or_is_told_why_not(case in case()) {
        case.check();
    }
}

/// The same again and again: a long session with a model that never sums up well, whose compactions
/// are each of the one before.
#[test]
fn a_long_session_with_a_hostile_model_stays_below_its_window() {
    let window = 6_000;
    let config = Arc::new(Config::default());
    let answers = [
        Answer::Failed,
        Answer::Text(String::new()),
        Answer::TooLong { prompt: None, window: None },
        Answer::Text(tokens("too much", 9_000)),
        Answer::Text("a summary".into()),
    ];
    let mut history = history([developer("be brief"), assistant("a rule").pinned()]);
    for round in 0..60_usize {
        history.record(user(&tokens(&format!("message {round}"), 30 + round * 37 % 400)));
        history.extend([
            call("a", &round.to_string()),
            output("a", &tokens("out", round * 211 % 2_500)),
        ]);
        history.record(assistant("done"));
        if history.tokens() <= window {
            continue;
        }
        let mut budget = common::budget(common::WINDOW, Some(window));
        budget.limit = window;
        let view = View::new(
            history.clone(),
            Vec::new(),
            Keep::default(),
            ReasoningFilter::default(),
            &budget,
        );
        let course = common::says(&config, view, budget, &answers[round % answers.len()]);
        assert!(course.asked.len() <= 3);
        history = applied(&history, course.installed());
        assert!(history.tokens() <= window - window / 10);
        assert_eq!(items(&history)[..2], [developer("be brief"), assistant("a rule").pinned()]);
        assert!(history.iter().filter(|item| item.is_bridge()).count() <= 1);
    }
}
