//! Conversations with everything in them that a compaction has to tell apart.

use longhaul_history::{CallOutput, Item, OutputPart};
use longhaul_testkit::strategies::conversation;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{
    assistant, bridge, call, developer, environment, ghost, image_url, output, picture, plan,
    reasoning, tokens, user,
};

pub(crate) fn size() -> impl Strategy<Value = usize> {
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

pub(crate) fn talk() -> impl Strategy<Value = Vec<Item>> {
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
