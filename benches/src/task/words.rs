//! Varied text, the same at every run.

const SUBJECTS: [&str; 12] = [
    "the loader",
    "our retry loop",
    "the block cache",
    "the scheduler",
    "that old adapter",
    "the session store",
    "the wire decoder",
    "the nightly job",
    "the snapshot writer",
    "the admin page",
    "the rate limiter",
    "the command line",
];
const VERBS: [&str; 10] = [
    "drops", "keeps", "copies", "reorders", "hides", "blocks", "rewrites", "forgets", "merges",
    "repeats",
];
const OBJECTS: [&str; 12] = [
    "the last batch",
    "half of the headers",
    "stale entries",
    "a lock that nobody needs",
    "the first error",
    "whole directories",
    "the caller's buffer",
    "its own progress",
    "small writes",
    "the order of events",
    "names with spaces",
    "what was already sent",
];
const TIMES: [&str; 10] = [
    "when the queue is full",
    "after a restart",
    "on slow disks",
    "if two clients race",
    "once the window closes",
    "under memory pressure",
    "whenever a peer goes away",
    "at midnight",
    "in the release build",
    "since last week",
];

/// Chance that is none: each seed gives one sequence.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// Sentences of so many words or a few more, with `planted` as one in their middle.
pub(super) fn prose(dice: &mut Dice, words: usize, planted: Option<&str>) -> String {
    let (mut sentences, mut count) = (Vec::new(), 0);
    while count < words {
        let sentence = sentence(dice);
        count += sentence.split(' ').count();
        sentences.push(sentence);
    }
    if let Some(planted) = planted {
        sentences.insert(sentences.len() / 2, format!("Mind you: {planted}."));
    }
    sentences.join(" ")
}

fn sentence(dice: &mut Dice) -> String {
    let (subject, other) = (dice.of(&SUBJECTS), dice.of(&SUBJECTS));
    let (verb, object, time) = (dice.of(&VERBS), dice.of(&OBJECTS), dice.of(&TIMES));
    let number = dice.below(900) + 100;
    match dice.below(6) {
        0 => format!("I saw that {subject} {verb} {object} {time}."),
        1 => format!("Could you find out why {subject} {verb} {object} {time}?"),
        2 => {
            format!("As far as I know {subject} {verb} {object}, and {other} waits for it {time}.")
        }
        3 => format!("In ticket {number} somebody says {subject} {verb} {object} {time}."),
        4 => format!("Look at {subject} first, then at {other}, it {verb} {object}."),
        _ => format!("My guess is line {number}: there {subject} {verb} {object} {time}."),
    }
}

/// Lines of a log, `bytes` or a few more.
pub(super) fn log(dice: &mut Dice, bytes: usize) -> String {
    let line = |dice: &mut Dice| {
        let (minute, second, worker) = (dice.below(60), dice.below(60), dice.below(16));
        let (subject, verb, object) = (dice.of(&SUBJECTS), dice.of(&VERBS), dice.of(&OBJECTS));
        let (segment, took) = (dice.below(65_536), dice.below(2_000));
        format!(
            "03:{minute:02}:{second:02} WARN worker-{worker} segment {segment:#06x} {subject} {verb} \
             {object} took_ms={took}\n"
        )
    };
    lines(bytes, || line(dice))
}

/// Lines of a listing, `bytes` or a few more.
pub(super) fn listing(dice: &mut Dice, bytes: usize) -> String {
    let line = |dice: &mut Dice| {
        let (line, from) = (dice.below(900), dice.below(64));
        let word = dice.of(&OBJECTS).rsplit(' ').next().unwrap_or_default();
        format!("{line:4}:    let {word}_{from} = self.{word}.get({from})?.checked_add({line})?;\n")
    };
    lines(bytes, || line(dice))
}

fn lines(bytes: usize, mut line: impl FnMut() -> String) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(&line());
    }
    text
}
