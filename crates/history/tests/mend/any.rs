//! Any remedy, applied to any history.

use longhaul_history::remedy::{Images, Remedy, Target};
use longhaul_history::{
    History, HistoryConfig, Item, Prompt, ReasoningFilter, Repair, RepairKind, WireFormat,
};
use longhaul_testkit::{check, strategies};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

fn target() -> BoxedStrategy<Target> {
    let item_id = select(vec!["rs_1", "ws_1", "call_1", "c-d", "nobody"]);
    let sealed = select(vec![("gA", "=="), ("", ""), ("gAAAAA==", "gAAAAA=="), ("x", "y")]);
    prop_oneof![
        (0..30_usize).prop_map(Target::Index),
        strategies::call_id().prop_map(Target::CallId),
        item_id.prop_map(|id| Target::ItemId(id.to_owned())),
        sealed.prop_map(|(head, tail)| Target::Encrypted { head: head.into(), tail: tail.into() }),
        (0..30_usize).prop_map(Target::Alike),
        Just(Target::All),
    ]
    .boxed()
}

fn images() -> BoxedStrategy<Images> {
    prop_oneof![
        (0..30_usize, 0..3_usize).prop_map(|(item, part)| Images::Part { item, part }),
        (0..30_usize).prop_map(Images::OfItem),
        Just(Images::Linked),
        (0..4_usize).prop_map(|newest| Images::AllBut { newest }),
        Just(Images::All),
    ]
    .boxed()
}

/// Where fields are, and where none are.
fn path() -> BoxedStrategy<String> {
    let known = [
        "",
        "type",
        "role",
        "content",
        "content[0]",
        "content[0].text",
        "content[1].type",
        "id",
        "call_id",
        "name",
        "arguments",
        "input",
        "output",
        "output[0]",
        "output[0].text",
        "action",
        "action.env",
        "action.command[0]",
        "status",
        "summary",
        "summary[0].text",
        "depth",
        "encrypted_content",
        "content[0].image_url",
        "client_id",
        "nothing.here[7]",
        "[0]",
        "a b",
    ];
    select(known.map(str::to_owned).to_vec()).boxed()
}

/// Each variant, at any target.
fn remedy() -> BoxedStrategy<Remedy> {
    let longest = || select(vec![0_usize, 1, 2, 3, 8, 30, 64]);
    prop_oneof![
        target().prop_map(Remedy::AnswerCall),
        target().prop_map(Remedy::RemoveOutput),
        (target(), longest())
            .prop_map(|(target, max_bytes)| Remedy::RenameCalls { target, max_bytes }),
        target().prop_map(Remedy::RemoveReasoning),
        target().prop_map(Remedy::RemoveEncrypted),
        target().prop_map(Remedy::RemoveItemId),
        target().prop_map(Remedy::RemoveItem),
        Just(Remedy::RemoveUncommonItems),
        (target(), path()).prop_map(|(target, path)| Remedy::RemoveField { target, path }),
        (target(), path(), longest()).prop_map(|(target, path, max_bytes)| {
            Remedy::ShortenField { target, path, max_bytes }
        }),
        images().prop_map(Remedy::ReplaceImages),
    ]
    .boxed()
}

fn filter() -> impl Strategy<Value = ReasoningFilter> {
    select(vec![ReasoningFilter::CurrentTurn, ReasoningFilter::KeepAll, ReasoningFilter::DropAll])
}

/// A history of these items, in one of the formats, with a turn that begins somewhere in it.
fn history(items: BoxedStrategy<Vec<Item>>) -> BoxedStrategy<History> {
    let format = select(vec![
        WireFormat::default(),
        WireFormat::with_item_ids(),
        WireFormat::without_images(),
    ]);
    let max_item_bytes = select(vec![100, 300, 10_000]);
    (items, format, max_item_bytes, 0..40_usize)
        .prop_map(|(items, format, max_item_bytes, turn)| {
            let mut config = HistoryConfig::default();
            config.format = format;
            config.max_item_bytes = max_item_bytes;
            let mut history = History::with_config(config);
            for (index, item) in items.into_iter().enumerate() {
                if index == turn {
                    history.begin_turn();
                }
                history.record(item);
            }
            history
        })
        .boxed()
}

fn odd_items() -> BoxedStrategy<Vec<Item>> {
    let item = strategies::json_object_text().prop_map(|text| Item::from_json(&text).unwrap());
    vec(item, 0..10).boxed()
}

/// A position means another item or part once what stood there is gone.
fn goes_by_position(remedy: &Remedy) -> bool {
    match remedy {
        Remedy::AnswerCall(target)
        | Remedy::RemoveOutput(target)
        | Remedy::RenameCalls { target, .. }
        | Remedy::RemoveReasoning(target)
        | Remedy::RemoveEncrypted(target)
        | Remedy::RemoveItemId(target)
        | Remedy::RemoveItem(target)
        | Remedy::ShortenField { target, .. } => is_position(target),
        Remedy::RemoveField { target, path } => is_position(target) || path.contains('['),
        Remedy::ReplaceImages(images) => {
            matches!(images, Images::Part { .. } | Images::OfItem(_))
        }
        _ => false,
    }
}

fn is_position(target: &Target) -> bool {
    matches!(target, Target::Index(_) | Target::Alike(_))
}

fn refused(repairs: &[Repair]) -> usize {
    repairs.iter().filter(|repair| repair.kind == RepairKind::Refused).count()
}

fn check_pairing(history: &History, filter: ReasoningFilter) -> Result<(), TestCaseError> {
    let json = history.prompt(filter).to_json().replace("1e400", "1");
    let sent: Vec<Value> = serde_json::from_str(&json).unwrap();
    prop_assert_eq!(check::pairing(&sent), Ok(()), "{}", json);
    Ok(())
}

fn check_mending(
    mut history: History,
    remedy: &Remedy,
    filter: ReasoningFilter,
) -> Result<(), TestCaseError> {
    let refused_prompt = history.prompt(filter);
    let normalised = {
        let mut copy = history.clone();
        copy.normalise();
        copy
    };
    let mut again = history.clone();
    let first = again.normalise().len();

    let repairs = history.mend(remedy, filter);
    let mended = history.prompt(filter);
    prop_assert_eq!(again.mend(remedy, filter), &repairs[first..], "normalised before or not");
    prop_assert_eq!(again.prompt(filter), mended.clone(), "deterministic");

    check_pairing(&history, filter)?;
    prop_assert_eq!(history.normalise(), [], "well formed");
    prop_assert_eq!(history.prompt(filter), mended.clone());
    prop_assert_eq!(refused(&repairs) == 0, mended == refused_prompt, "reported if changed");

    // What is not reported stays as it is, in its order.
    let reported: Vec<usize> = repairs[first..].iter().map(|repair| repair.item_index).collect();
    prop_assert!(reported.is_sorted_by(|one, other| one < other), "once, in order: {reported:?}");
    for repair in &repairs[first..] {
        let item = normalised.get(repair.item_index).unwrap();
        prop_assert_eq!(item.call_id(), repair.call_id.as_deref());
    }
    let sent = refused_prompt.items().filter(|(index, _)| reported.binary_search(index).is_err());
    let mut now = mended.items();
    for (_, item) in sent {
        prop_assert!(now.any(|(_, other)| other == item), "lost: {item:?}");
    }

    // One that became too long with its remedy is answered in another place.
    let places = |prompt: &Prompt| -> Vec<_> {
        let place = |(_, item): (usize, &Item)| (item.kind(), item.call_id().map(str::to_owned));
        prompt.items().map(place).collect()
    };
    let stays = places(&mended) == places(&refused_prompt);
    let moves = match remedy {
        Remedy::RemoveField { path, .. } => path.contains('['),
        remedy => matches!(remedy, Remedy::AnswerCall(_)),
    };
    if !goes_by_position(remedy) || (stays && !moves) {
        prop_assert_eq!(history.mend(remedy, filter), [], "idempotent");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_items(
        history in history(strategies::items(0..30)), remedy in remedy(), filter in filter(),
    ) {
        check_mending(history, &remedy, filter)?;
    }

    #[test]
    fn conversations(
        history in history(strategies::conversation(0..20)), remedy in remedy(), filter in filter(),
    ) {
        check_mending(history, &remedy, filter)?;
    }

    #[test]
    fn damaged_conversations(
        history in history(strategies::damaged(1..20)), remedy in remedy(), filter in filter(),
    ) {
        check_mending(history, &remedy, filter)?;
    }

    #[test]
    fn objects_that_nobody_meant_as_items(
        history in history(odd_items()), remedy in remedy(), filter in filter(),
    ) {
        check_mending(history, &remedy, filter)?;
    }

    /// The items of a prompt are those that it writes.
    #[test]
    fn a_prompt_tells_its_items(
        history in history(strategies::items(0..30)), filter in filter(),
    ) {
        let prompt = history.prompt(filter);
        let mut normalised = history.clone();
        normalised.normalise();
        let mut wire = Vec::new();
        for (index, item) in prompt.items() {
            prop_assert_eq!(normalised.get(index), Some(item));
            prop_assert!(item.encode_wire(history.config().format, &mut wire));
            wire.push(b',');
        }
        wire.pop();
        prop_assert_eq!(format!("[{}]", String::from_utf8(wire).unwrap()), prompt.to_json());
    }
}
