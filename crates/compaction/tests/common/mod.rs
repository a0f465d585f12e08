//! What the tests of compaction share: conversations, a counter that can be told in the head, and a driver.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod rungs;

pub use rungs::{Asks, Installs, Says};

use std::sync::Arc;
use std::time::Duration;

use longhaul_compaction::{
    Action, Answer, Ask, Budget, Cause, Compacted, Config, Error, Fact, Keep, Ladder, Proposal,
    Refused, Report, Verdict, View,
};
use longhaul_history::tokens::{ImageDetail, ImageSize, TokenCounter};
use longhaul_history::{
    BridgeParts, CallOutput, ContentPart, History, HistoryConfig, Item, ReasoningFilter, Role,
};
use serde_json::Value;

/// A token is four bytes, an image is a thousand tokens.
pub struct Quarters;

impl TokenCounter for Quarters {
    fn count_text(&self, text: &str) -> u64 {
        text.len().div_ceil(4) as u64
    }

    fn count_image(&self, _: ImageDetail, _: Option<ImageSize>) -> u64 {
        IMAGE_TOKENS
    }
}

pub const IMAGE_TOKENS: u64 = 1_000;

/// A conversation of these items, whose outputs are not cut.
pub fn history(items: impl IntoIterator<Item = Item>) -> History {
    counted_by(Arc::new(Quarters), items)
}

pub fn counted_by(
    counter: Arc<dyn TokenCounter>,
    items: impl IntoIterator<Item = Item>,
) -> History {
    let mut config = HistoryConfig::default();
    (config.counter, config.output_limits) = (counter, None);
    let mut history = History::with_config(config);
    history.extend(items);
    history
}

pub fn view(items: impl IntoIterator<Item = Item>, keep: Keep, budget: &Budget) -> View {
    View::new(history(items), Vec::new(), keep, ReasoningFilter::default(), budget)
}

pub fn budget(cause: Cause, window: Option<u64>) -> Budget {
    let mut budget = Budget::new(cause);
    budget.window = window;
    budget
}

/// A budget of a conversation that the server says is at its limit.
pub fn at_limit(window: u64, used: u64) -> Budget {
    let mut budget = budget(Cause::Limit, Some(window));
    (budget.limit, budget.used) = (used, Some(used));
    budget
}

pub fn refused(counted: u64) -> Cause {
    Cause::Refused(Refused { counted, prompt: None, window: None })
}

pub const WINDOW: Cause = Cause::Window { is_certain: true };

pub fn keep(change: impl FnOnce(&mut Keep)) -> Keep {
    let mut keep = Keep::default();
    change(&mut keep);
    keep
}

pub fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// A text of so many tokens by [`Quarters`] that begins with `name`.
pub fn tokens(name: &str, count: usize) -> String {
    let mut text = name.to_owned();
    while text.len() < 4 * count {
        text.push_str(" and so on");
    }
    text.truncate(4 * count);
    text
}

pub fn user(text: &str) -> Item {
    Item::user(text)
}

pub fn assistant(text: &str) -> Item {
    Item::assistant(text)
}

pub fn developer(text: &str) -> Item {
    Item::message(Role::Developer, &[ContentPart::InputText { text: text.into() }])
}

pub fn environment(text: &str) -> Item {
    Item::user(format!("<environment_context>{text}</environment_context>"))
}

pub fn image_url(name: &str) -> String {
    format!("https://example.org/{name}.png")
}

/// A message of the user's with a text and an image.
pub fn picture(text: &str, name: &str) -> Item {
    let text = ContentPart::InputText { text: text.into() };
    Item::message(Role::User, &[text, ContentPart::InputImage { image_url: image_url(name) }])
}

pub fn call(id: &str, arguments: &str) -> Item {
    Item::function_call(id, "read", arguments)
}

pub fn output(id: &str, text: &str) -> Item {
    Item::function_call_output(id, CallOutput::text(text))
}

pub fn plan(id: &str, plan: &str) -> [Item; 2] {
    [Item::function_call(id, "update_plan", plan), output(id, "noted")]
}

pub fn ghost(id: &str) -> Item {
    let json =
        serde_json::json!({"type": "ghost_snapshot", "ghost_commit": {"id": id, "parent": null}});
    Item::from_json(&json.to_string()).unwrap()
}

pub fn reasoning() -> Item {
    Item::reasoning(&["hm"], None)
}

/// A bridge of an earlier compaction.
pub fn bridge(messages: &[&str], summary: &str) -> Item {
    let user_messages: Vec<String> = messages.iter().map(|&text| text.to_owned()).collect();
    let text = longhaul_compaction::Bridge { user_messages: &user_messages, summary };
    let content = [ContentPart::InputText { text: text.render().unwrap() }];
    Item::bridge(&content, &BridgeParts { user_messages, summary: summary.to_owned() })
}

pub fn items(history: &History) -> Vec<Item> {
    history.iter().cloned().collect()
}

/// The conversation as it is after the compaction.
pub fn applied(before: &History, compacted: &Compacted) -> History {
    let mut after = before.clone();
    after.replace_prefix(compacted.replaced, compacted.parts.iter().cloned()).unwrap();
    after
}

/// The one bridge of a conversation.
pub fn the_bridge(history: &History) -> BridgeParts {
    let bridges: Vec<_> = history.iter().filter(|item| item.is_bridge()).collect();
    assert_eq!(bridges.len(), 1, "{history:?}");
    bridges[0].bridge_parts().unwrap()
}

/// What a server would get.
pub fn sent(history: &History, filter: ReasoningFilter) -> Vec<Value> {
    serde_json::from_str(&history.prompt(filter).to_json()).unwrap()
}

/// A compaction that is over.
#[derive(Debug)]
pub struct Course {
    pub asked: Vec<Ask>,
    pub shown: Vec<Proposal>,
    pub end: Result<Compacted, Error>,
}

impl Course {
    pub fn installed(&self) -> &Compacted {
        self.end.as_ref().unwrap()
    }

    pub fn error(&self) -> String {
        self.end.as_ref().unwrap_err().to_string()
    }
}

/// Performs what a ladder asks for, until it ends; each step takes a second.
pub fn drive(
    mut ladder: Ladder,
    mut model: impl FnMut(&Ask) -> Answer,
    mut host: impl FnMut(&Proposal) -> Verdict,
) -> Course {
    let (mut asked, mut shown) = (Vec::new(), Vec::new());
    let mut fact = Fact::Started;
    for second in 0..100 {
        let end = match ladder.apply(fact, Duration::from_secs(second)) {
            Action::Ask(ask) => {
                fact = Fact::Answered(model(&ask));
                asked.push(ask);
                continue;
            }
            Action::Consult(proposal) => {
                fact = Fact::Judged(host(&proposal));
                shown.push(proposal);
                continue;
            }
            Action::Install(compacted) => Ok(compacted),
            Action::Fail(error) => Err(error),
        };
        return Course { asked, shown, end };
    }
    panic!("the ladder does not end");
}

/// The same without a host, and with a model that always says this.
pub fn says(config: &Config, view: View, budget: Budget, answer: &Answer) -> Course {
    let ladder = Ladder::new(config, view, budget, false);
    drive(ladder, |_| answer.clone(), |_| Verdict::Accept)
}

pub fn summed_up(view: View, budget: Budget) -> Course {
    says(&Config::default(), view, budget, &Answer::Text("So far so good.".into()))
}

/// The conversation after a compaction by hand with the summary `So far so good.`
pub fn compacted(items: Vec<Item>, keep: Keep) -> (History, Report) {
    compacted_in(items, keep, budget(Cause::Manual, None))
}

pub fn compacted_in(items: Vec<Item>, keep: Keep, budget: Budget) -> (History, Report) {
    let view = view(items, keep, &budget);
    let before = view.history().clone();
    let course = summed_up(view, budget);
    let compacted = course.installed();
    (applied(&before, compacted), compacted.report.clone())
}

/// An answer that is longer than the prose of a bridge.
pub fn done() -> Item {
    assistant(&tokens("done", 500))
}

/// A conversation with context, a pinned item and two messages.
pub fn talk() -> Vec<Item> {
    vec![
        developer("be brief"),
        assistant("a rule").pinned(),
        user("one"),
        assistant(&tokens("done", 3_000)),
        user("two"),
        assistant("done too"),
    ]
}

/// An answer.
pub fn text(text: &str) -> Answer {
    Answer::Text(text.into())
}

/// The same as it is when somebody asks for a compaction.
pub fn by_hand() -> (View, Budget) {
    let budget = budget(Cause::Manual, None);
    (view(talk(), Keep::default(), &budget), budget)
}

pub fn ladder_with(config: &Config, has_hook: bool) -> Ladder {
    let (view, budget) = by_hand();
    Ladder::new(config, view, budget, has_hook)
}

pub fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}
