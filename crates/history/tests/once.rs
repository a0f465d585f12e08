//! G12 (nothing twice): tokens are counted once, items are encoded once for each format, and copies share.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul_history::tokens::TokenCounter;
use longhaul_history::{
    CallOutput, ContentPart, History, HistoryConfig, ImageEdit, Item, OutputPart, Part,
    ReasoningFilter, RepairKind, Role, WireFormat,
};

/// Counts how often it is asked.
#[derive(Default)]
struct Asked(AtomicUsize);

impl Asked {
    fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl TokenCounter for Asked {
    fn count_text(&self, text: &str) -> u64 {
        text.len() as u64
    }

    fn count_item(&self, item: &Item) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        item.json().len() as u64
    }
}

fn counted() -> (History, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let mut config = HistoryConfig::default();
    config.counter = Arc::clone(&asked) as Arc<dyn TokenCounter>;
    (History::with_config(config), asked)
}

fn turn(number: usize) -> [Item; 5] {
    let id = format!("call_{number}");
    [
        Item::user(format!("question {number}")),
        Item::reasoning(&["hm"], Some("gAAAA")),
        Item::function_call(&id, "tool", "{}"),
        Item::function_call_output(&id, CallOutput::text("x".repeat(300))),
        Item::assistant("answer"),
    ]
}

fn image() -> ContentPart {
    ContentPart::InputImage { image_url: "data:image/png;base64,AA==".into() }
}

#[test]
fn the_tokens_of_an_item_are_counted_when_it_is_recorded_and_never_again() {
    let (mut history, asked) = counted();
    history.extend((0..400).flat_map(turn));
    assert_eq!(asked.times(), 2_000);
    let mut fork = history.clone();
    for filter in [ReasoningFilter::CurrentTurn, ReasoningFilter::KeepAll] {
        assert!(history.prompt(filter).tokens() > 0);
    }
    assert_eq!(fork.normalise(), []);
    fork.remove_oldest(555);
    fork.drop_last_turns(100).unwrap();
    fork.cut_before_user_message(50).unwrap();
    fork.set_format(WireFormat::with_item_ids());
    assert!(fork.tokens() > 0);
    assert_eq!(asked.times(), 2_000, "forks, prompts, edits and formats ask nothing");
    fork.replace_prefix(7, [Item::user("summary")]).unwrap();
    assert_eq!(asked.times(), 2_001, "only what is new");
    fork.record(Item::function_call("open", "tool", "{}"));
    assert_eq!(fork.normalise().len(), 1);
    assert_eq!(asked.times(), 2_003, "and what is made up");
}

#[test]
fn what_a_prefix_keeps_is_not_counted_again_and_nothing_is_for_a_question() {
    let (mut history, asked) = counted();
    history.extend((0..400).flat_map(turn));
    let before = history.clone();
    let parts = [
        Part::New(Item::user("first")),
        Part::Keep(3..4),
        Part::New(Item::user("second")),
        Part::Keep(7..1_200),
        Part::Keep(1_300..1_301),
    ];
    let composed = history.composed(parts.clone()).unwrap();
    assert_eq!(asked.times(), 2_002, "only what is new");
    history.replace_prefix(1_500, parts).unwrap();
    assert_eq!(asked.times(), 2_004, "only what is new");
    assert!(history.starts_with(&composed) && !history.starts_with(&before));
    let tokens: u64 = history.measured(0..1_000).map(|(_, tokens)| tokens).sum();
    assert_eq!(tokens, history.tokens_before(1_000));
    assert_eq!((composed.len(), history.len()), (1_197, 1_697));
    let kept = |index| history.get(index).unwrap().json().as_ptr();
    let old = |index| before.get(index).unwrap().json().as_ptr();
    assert_eq!([1, 3, 1_195, 1_196, 1_197].map(kept), [3, 7, 1_199, 1_300, 1_500].map(old));
    assert_eq!(asked.times(), 2_004, "and questions ask nothing");
}

#[test]
fn an_item_whose_images_are_left_out_is_counted_for_what_it_shows() {
    let (mut history, asked) = counted();
    history.record(Item::message(Role::User, &[image(), image()]));
    history.record(Item::user("text"));
    let with_images = history.tokens();
    history.set_format(WireFormat::without_images());
    assert_eq!(asked.times(), 3, "the text is not counted again");
    let sent = history.prompt(ReasoningFilter::KeepAll);
    assert_ne!(history.tokens(), with_images);
    assert_eq!(sent.to_json().matches("[image left out: this model takes no images]").count(), 2);
    let repairs = history.normalise();
    let kinds: Vec<_> = repairs.iter().map(|repair| (repair.kind, repair.item_index)).collect();
    assert_eq!(kinds, [(RepairKind::ImageLeftOut, 0)]);
    assert_eq!(history.normalise(), []);
    history.set_format(WireFormat::default());
    assert_eq!((history.tokens(), asked.times()), (with_images, 3), "remembered");
    assert_eq!(history.get(0).unwrap(), &Item::message(Role::User, &[image(), image()]));
}

#[test]
fn images_are_replaced_or_stripped_in_messages_and_outputs() {
    let text = ContentPart::InputText { text: "look".into() };
    let output =
        CallOutput::Parts(vec![OutputPart::InputImage { image_url: "https://x/y.png".into() }]);
    let mut history = History::default();
    history.extend([
        Item::message(Role::User, &[text.clone(), image(), image()]),
        Item::message(Role::User, &[image()]),
        Item::function_call("c", "screenshot", "{}"),
        Item::function_call_output("c", output),
    ]);
    let mut stripped = history.clone();
    assert_eq!(stripped.edit_images(0..4, &ImageEdit::Strip), 4);
    let left_out = ContentPart::InputText { text: "[image left out]".into() };
    let expected = Item::message(Role::User, std::slice::from_ref(&text));
    assert_eq!(stripped.get(0), Some(&expected));
    assert_eq!(stripped.get(1), Some(&Item::message(Role::User, &[left_out])));
    let placeholder = OutputPart::InputText { text: "[image left out]".into() };
    let expected = Item::function_call_output("c", CallOutput::Parts(vec![placeholder]));
    assert_eq!(stripped.get(3), Some(&expected));
    assert_eq!(stripped.edit_images(0..4, &ImageEdit::Strip), 0);

    let mut replaced = history.clone();
    assert_eq!(replaced.edit_images(1..99, &ImageEdit::replace("gone")), 2);
    assert_eq!(replaced.get(0), history.get(0), "outside of the range");
    let gone = ContentPart::InputText { text: "gone".into() };
    assert_eq!(replaced.get(1), Some(&Item::message(Role::User, &[gone])));
    assert_eq!(replaced.normalise(), []);
}

#[test]
fn an_output_is_cut_when_it_is_recorded_and_the_one_given_stays_whole() {
    let long = "a line of output\n".repeat(2_500);
    let full = Item::function_call_output("c", CallOutput::text(&long));
    let mut history = History::default();
    history.record(Item::function_call("c", "tool", "{}"));
    history.record_output(full.clone());
    let kept = history.get(1).unwrap().clone();
    assert!(kept.json().len() < 11_000 && full.json().len() > long.len());
    assert!(kept.json().contains("Total output lines: 2500"));
    let mut again = History::default();
    again.extend(history.iter().cloned());
    assert_eq!(again, history, "recording what was recorded changes nothing");

    let mut config = HistoryConfig::default();
    config.output_limits = None;
    let mut whole = History::with_config(config);
    whole.extend([Item::function_call("c", "tool", "{}"), full.clone()]);
    assert_eq!(whole.get(1), Some(&full));
}

#[test]
fn threads_may_share_it() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<History>();
    is_shared::<longhaul_history::Prompt>();
    is_shared::<Item>();
}
