//! A coding conversation of 200 turns in which 40 facts and constraints are planted, and those who sum
//! it up.

mod facts;
mod player;
pub mod seed;
mod words;

pub use facts::{CONSTRAINTS, DECISIONS, PINNED, TOOL_FACTS, count};
pub use player::{Player, TOOL};
use words::{Dice, listing, log, prose};

/// How many turns the conversation has.
pub const TURNS: usize = 200;

/// One turn of the conversation.
pub struct Turn {
    /// Pinned before it.
    pub pinned: Option<&'static str>,
    /// What the user says.
    pub message: String,
    /// What the tool says to each call.
    pub outputs: Vec<String>,
    /// What the assistant says in the end.
    pub answer: String,
}

/// The conversation. Of the user's messages half have 10 to 35 words, the longest have 400; every
/// sixteenth has a log of 8 to 16 KB behind it. Every other turn has one or two calls, with outputs of 1
/// to 10 KB.
pub fn conversation() -> Vec<Turn> {
    let mut dice = Dice::new(7);
    (0..TURNS).map(|turn| Turn::new(turn, &mut dice)).collect()
}

/// The phrase that is planted in turn `turn`, if the first is planted in `first` and the others every
/// `step` turns.
fn planted(
    phrases: &[&'static str],
    turn: usize,
    first: usize,
    step: usize,
) -> Option<&'static str> {
    let since = turn.checked_sub(first)?;
    phrases.get(since / step).copied().filter(|_| since.is_multiple_of(step))
}

impl Turn {
    fn new(turn: usize, dice: &mut Dice) -> Self {
        let words = message_words(dice);
        let mut message = prose(dice, words, planted(&CONSTRAINTS, turn, 3, 10));
        if turn % 16 == 3 {
            let bytes = 8_000 + dice.below(8_000);
            message.push_str("\n\n");
            message.push_str(&log(dice, bytes));
        }
        let words = 20 + dice.below(80);
        let answer = prose(dice, words, planted(&DECISIONS, turn, 15, 32));
        let outputs = outputs(turn, dice);
        Self { pinned: planted(&PINNED, turn, 1, 50), message, outputs, answer }
    }
}

/// Few messages are long.
fn message_words(dice: &mut Dice) -> usize {
    match dice.below(20) {
        0..10 => 10 + dice.below(25),
        10..16 => 35 + dice.below(60),
        16..19 => 100 + dice.below(100),
        _ => 200 + dice.below(200),
    }
}

fn outputs(turn: usize, dice: &mut Dice) -> Vec<String> {
    let fact = planted(&TOOL_FACTS, turn, 7, 20);
    let count = if fact.is_some() { 2 } else { dice.below(2) * (1 + dice.below(2)) };
    let mut outputs: Vec<_> = (0..count).map(|_| 1_000 + dice.below(9_000)).collect();
    if dice.below(6) > 0 {
        for bytes in &mut outputs {
            *bytes = 1_000 + *bytes / 4;
        }
    }
    let mut outputs: Vec<_> = outputs.into_iter().map(|bytes| listing(dice, bytes)).collect();
    if let (Some(fact), Some(output)) = (fact, outputs.first_mut()) {
        let middle = output[..output.len() / 2].rfind('\n').map_or(0, |newline| newline + 1);
        output.insert_str(middle, &format!("note: {fact}\n"));
    }
    outputs
}

/// Who sums the conversation up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summariser {
    /// Repeats every fact and every decision that it was shown.
    Ideal,
    /// Says one sentence.
    Lazy,
    /// Says nothing, and when it is asked again, something else.
    Hostile,
}

impl Summariser {
    /// What it says to the request number `asked`, counted from 0, when it is shown `shown`.
    pub fn summary(self, shown: &str, asked: usize) -> String {
        match self {
            Self::Ideal => {
                let mut summary = "What is known and decided so far:".to_owned();
                let phrases = TOOL_FACTS.iter().chain(&DECISIONS);
                for phrase in phrases.filter(|phrase| shown.contains(**phrase)) {
                    summary.push_str("\n- ");
                    summary.push_str(phrase);
                }
                summary
            }
            Self::Lazy => "Work on the project went on, and most of it is done.".to_owned(),
            Self::Hostile if asked.is_multiple_of(2) => String::new(),
            Self::Hostile => "The harvest was early that year. ".repeat(80),
        }
    }
}
