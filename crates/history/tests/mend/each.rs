//! Each remedy, with all that is sent before and after.

use longhaul_history::remedy::{Images, Remedy, Target};
use longhaul_history::turn_item::TurnItem;
use longhaul_history::{
    CallOutput, History, HistoryConfig, Item, ReasoningFilter, Repair, RepairKind, WireFormat,
};

const USER: &str =
    r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"u"}]}"#;
const ANSWER: &str =
    r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]}"#;
const THOUGHT: &str =
    r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAAAzz=="}"#;
const CALL_A: &str =
    r#"{"type":"function_call","id":"fc_1","call_id":"a","name":"ls","arguments":"{\"p\":1}"}"#;
const CALL_B: &str = r#"{"type":"custom_tool_call","call_id":"b","name":"patch","input":"text"}"#;
const OUT_A: &str = r#"{"type":"function_call_output","call_id":"a","output":"files"}"#;
const OUT_B: &str = r#"{"type":"custom_tool_call_output","call_id":"b","output":"done"}"#;
const SEARCH: &str = r#"{"type":"web_search_call","id":"ws_1","status":"completed"}"#;
const SNAPSHOT: &str = r#"{"type":"ghost_snapshot","ghost_commit":{"id":"c"}}"#;
const IMAGES: &str = r#"{"type":"message","role":"user","content":[{"type":"input_image","image_url":"https://e.org/1.png"},{"type":"input_text","text":"u"},{"type":"input_image","image_url":"data:image/png;base64,AA=="}]}"#;
const REFUSED_IMAGE: &str =
    r#"{"type":"input_text","text":"[image left out: the server refused it]"}"#;

/// A turn with all that is common in it.
const TURN: [&str; 7] = [USER, THOUGHT, CALL_A, CALL_B, OUT_A, OUT_B, ANSWER];

fn item(json: &str) -> Item {
    Item::from_json(json).unwrap()
}

/// Items are sent as they are written here: ids too.
fn history<'a>(items: impl IntoIterator<Item = &'a str>) -> History {
    let mut history = History::new(WireFormat::with_item_ids());
    history.extend(items.into_iter().map(item));
    history
}

fn index(index: usize) -> Target {
    Target::Index(index)
}

fn call(id: &str) -> Target {
    Target::CallId(id.into())
}

fn sent(history: &History) -> String {
    history.prompt(ReasoningFilter::KeepAll).to_json()
}

/// Which items `remedy` reports, and all that is sent before and after.
#[track_caller]
fn assert_mends<'a>(
    items: impl IntoIterator<Item = &'a str>,
    remedy: &Remedy,
    reported: &[usize],
    expected: &[&str],
) {
    let mut history = history(items);
    let repairs = history.mend(remedy, ReasoningFilter::KeepAll);
    assert_eq!(sent(&history), format!("[{}]", expected.join(",")));
    let indexes: Vec<usize> = repairs.iter().map(|repair| repair.item_index).collect();
    assert_eq!(indexes, reported);
    let is_caused =
        |r: &Repair| matches!(r.kind, RepairKind::Refused | RepairKind::UnfollowedReasoning);
    assert!(repairs.iter().all(is_caused), "{repairs:?}");
}

#[test]
fn a_call_whose_output_is_elsewhere_gets_it_directly_behind() {
    let expected = [USER, THOUGHT, CALL_A, OUT_A, CALL_B, OUT_B, ANSWER];
    assert_mends(TURN, &Remedy::AnswerCall(call("a")), &[4], &expected);
    assert_mends(TURN, &Remedy::AnswerCall(index(2)), &[4], &expected);
    assert_mends(TURN, &Remedy::AnswerCall(Target::All), &[4, 5], &expected);
    let b = [USER, THOUGHT, CALL_A, CALL_B, OUT_B, OUT_A, ANSWER];
    assert_mends(TURN, &Remedy::AnswerCall(call("b")), &[5], &b);
    assert_mends(expected, &Remedy::AnswerCall(Target::All), &[], &expected);
    // What is not sent stands between nothing.
    assert_mends([CALL_A, SNAPSHOT, OUT_A], &Remedy::AnswerCall(call("a")), &[], &[CALL_A, OUT_A]);
}

#[test]
fn what_a_prompt_repairs_is_repaired_first_and_is_no_refusal() {
    let mut history = history([USER, OUT_B, CALL_A, ANSWER, THOUGHT]);
    let before = sent(&history);
    let aborted = Item::function_call_output("a", CallOutput::text("aborted"));
    assert_eq!(before, format!("[{USER},{CALL_A},{},{ANSWER}]", aborted.json()));
    let repair = |kind, call_id: Option<&str>, item_index| Repair {
        call_id: call_id.map(str::to_owned),
        ..Repair { kind, call_id: None, item_index }
    };
    let first = [
        repair(RepairKind::OrphanOutput, Some("b"), 1),
        repair(RepairKind::MissingOutput, Some("a"), 2),
        repair(RepairKind::UnfollowedReasoning, None, 4),
    ];
    let mut other = history.clone();
    let all = ReasoningFilter::KeepAll;
    assert_eq!(history.mend(&Remedy::AnswerCall(call("a")), all), first);
    assert_eq!(sent(&history), before);
    // Positions are those of what was sent.
    let refused =
        [repair(RepairKind::Refused, Some("a"), 1), repair(RepairKind::Refused, Some("a"), 2)];
    assert_eq!(other.mend(&Remedy::RemoveItem(index(2)), all), [&first[..], &refused].concat());
    assert_eq!(sent(&other), format!("[{USER},{ANSWER}]"));
}

#[test]
fn an_output_goes_with_its_call_and_a_call_with_its_output() {
    let without_a = [USER, THOUGHT, CALL_B, OUT_B, ANSWER];
    assert_mends(TURN, &Remedy::RemoveOutput(call("a")), &[2, 4], &without_a);
    assert_mends(TURN, &Remedy::RemoveOutput(index(4)), &[2, 4], &without_a);
    assert_mends(TURN, &Remedy::RemoveOutput(index(2)), &[], &TURN);
    assert_mends(TURN, &Remedy::RemoveItem(index(2)), &[2, 4], &without_a);
    assert_mends(TURN, &Remedy::RemoveItem(call("a")), &[2, 4], &without_a);
    let none = [USER, THOUGHT, ANSWER];
    assert_mends(TURN, &Remedy::RemoveOutput(Target::All), &[2, 3, 4, 5], &none);
}

#[test]
fn reasoning_goes_with_what_it_led_to() {
    let expected = [USER, CALL_A, CALL_B, OUT_A, OUT_B, ANSWER];
    assert_mends(TURN, &Remedy::RemoveReasoning(Target::ItemId("rs_1".into())), &[1], &expected);
    assert_mends(TURN, &Remedy::RemoveReasoning(index(2)), &[], &TURN);
    // Nothing of the model's follows it any more.
    let items = [USER, THOUGHT, ANSWER, USER];
    assert_mends(items, &Remedy::RemoveItem(index(2)), &[1, 2], &[USER, USER]);
    let mut history = history(items);
    let repairs = history.mend(&Remedy::RemoveItem(index(2)), ReasoningFilter::KeepAll);
    let kinds: Vec<RepairKind> = repairs.iter().map(|repair| repair.kind).collect();
    assert_eq!(kinds, [RepairKind::UnfollowedReasoning, RepairKind::Refused]);
}

#[test]
fn positions_count_what_is_sent() {
    let items = || [USER, THOUGHT, SNAPSHOT, ANSWER, USER, THOUGHT, CALL_A, OUT_A].map(item);
    let mut history = History::new(WireFormat::with_item_ids());
    history.extend(items());
    let filter = ReasoningFilter::CurrentTurn;
    let prompt = history.prompt(filter);
    let indexes: Vec<usize> = prompt.items().map(|(index, _)| index).collect();
    assert_eq!(indexes, [0, 3, 4, 5, 6, 7]);
    // A position behind the last is that of an item that was pushed.
    assert_eq!(history.mend(&Remedy::RemoveItem(index(6)), filter), []);
    assert_eq!(history.mend(&Remedy::RemoveReasoning(index(1)), filter), []);
    let refused = Repair { kind: RepairKind::Refused, call_id: None, item_index: 5 };
    assert_eq!(history.mend(&Remedy::RemoveReasoning(index(3)), filter), [refused]);
    assert_eq!(history.len(), 7);
    // The first message of the turn goes; what is left is still the turn.
    assert_eq!(history.turn_start(), Some(4));
    assert_eq!(history.mend(&Remedy::RemoveItem(index(2)), filter).len(), 1);
    assert_eq!(history.turn_start(), Some(4));
    assert_eq!(history.get(4), Some(&item(CALL_A)));
}

#[test]
fn call_ids_that_are_not_taken_get_others() {
    let renamed = |json: &str, old: &str, new: &str| {
        json.replace(&format!(r#""call_id":"{old}""#), &format!(r#""call_id":"{new}""#))
    };
    let rename = |target, max_bytes| Remedy::RenameCalls { target, max_bytes };
    let second = [renamed(CALL_A, "a", "a_2"), renamed(OUT_A, "a", "a_2")];
    let third = [renamed(CALL_A, "a", "a_3"), renamed(OUT_A, "a", "a_3")];
    let thrice = [CALL_A, OUT_A, USER, CALL_A, OUT_A, CALL_A, OUT_A];
    let all = [CALL_A, OUT_A, USER, &second[0], &second[1], &third[0], &third[1]];
    assert_mends(thrice, &rename(call("a"), 64), &[3, 4, 5, 6], &all);
    assert_mends(thrice, &rename(Target::All, 64), &[3, 4, 5, 6], &all);
    // By the place of its output alone.
    let one = [CALL_A, OUT_A, USER, &second[0], &second[1], CALL_A, OUT_A];
    assert_mends(thrice, &rename(index(4), 64), &[3, 4], &one);
    assert_mends(thrice, &rename(index(0), 64), &[], &thrice);
    // An id that another call has is not given again.
    let mut taken = thrice.to_vec();
    taken.extend([&*second[0], &second[1]]);
    let fourth = [renamed(CALL_A, "a", "a_4"), renamed(OUT_A, "a", "a_4")];
    let expected =
        [&[CALL_A, OUT_A, USER, &third[0], &third[1], &fourth[0], &fourth[1]], &taken[7..]];
    assert_mends(taken.clone(), &rename(call("a"), 64), &[3, 4, 5, 6], &expected.concat());
    // Characters and lengths that a server does not take.
    for (odd, max_bytes, new) in
        [("f.x:3é", 64, "f_x_3_"), ("call-long", 6, "call-l"), ("é", 2, "_")]
    {
        let items = [renamed(CALL_A, "a", odd), renamed(OUT_A, "a", odd)];
        let expected = [renamed(CALL_A, "a", new), renamed(OUT_A, "a", new)];
        let (items, expected) = (items.each_ref(), expected.each_ref().map(|s| &**s));
        assert_mends(items.map(|s| &**s), &rename(index(1), max_bytes), &[0, 1], &expected);
    }
    // No other id is so short.
    assert_mends(thrice, &rename(Target::All, 1), &[3, 4, 5, 6], &[CALL_A, OUT_A, USER]);
}

#[test]
fn a_local_shell_call_is_renamed_where_it_goes_by_its_own_id() {
    let [call, out] = [
        r#"{"type":"local_shell_call","id":"x.1","status":"completed","action":{}}"#,
        r#"{"type":"local_shell_call_output","id":"x.1","output":"files"}"#,
    ];
    let remedy = Remedy::RenameCalls { target: Target::All, max_bytes: 64 };
    let expected = [
        r#"{"type":"local_shell_call","id":"x.1","status":"completed","action":{},"call_id":"x_1"}"#,
        r#"{"type":"local_shell_call_output","id":"x_1","output":"files"}"#,
    ];
    assert_mends([call, out], &remedy, &[0, 1], &expected);
    let anonymous = [
        r#"{"type":"local_shell_call","status":"completed","action":{},"call_id":"x.1"}"#,
        r#"{"type":"local_shell_call_output","output":"files","call_id":"x.1"}"#,
    ];
    assert_mends([call, out], &Remedy::RemoveItemId(Target::All), &[0, 1], &anonymous);
}

#[test]
fn encrypted_content_goes_and_a_compaction_says_what_it_says() {
    let at = |head: &str, tail: &str| {
        Remedy::RemoveEncrypted(Target::Encrypted { head: head.into(), tail: tail.into() })
    };
    let expected = [USER, CALL_A, CALL_B, OUT_A, OUT_B, ANSWER];
    assert_mends(TURN, &at("gAAAAA", "z=="), &[1], &expected);
    assert_mends(TURN, &at("gBBB", "z=="), &[], &TURN);
    assert_mends(TURN, &Remedy::RemoveEncrypted(Target::All), &[1], &expected);
    assert_mends(TURN, &Remedy::RemoveEncrypted(index(0)), &[], &TURN);
    for clear in ["", r#","encrypted_content":"""#, r#","encrypted_content":null"#] {
        let thought = format!(r#"{{"type":"reasoning","summary":[]{clear}}}"#);
        let items = [&*thought, ANSWER];
        let before = sent(&history(items));
        let mut history = history(items);
        let remedy = Remedy::RemoveEncrypted(Target::All);
        assert_eq!(history.mend(&remedy, ReasoningFilter::KeepAll), []);
        assert_eq!(sent(&history), before);
    }
    let compaction = |rest: &str| {
        format!(r#"{{"type":"compaction","id":"cmp_1","encrypted_content":"gAAA"{rest}}}"#)
    };
    let text = ANSWER.replace(r#""text":"a""#, r#""text":"we\nwent""#);
    let table = [
        ("", None),
        (r#","summary":"""#, None),
        (r#","summary":"we\nwent""#, Some(&*text)),
        (r#","content":[{"type":"text","text":"we"},{"type":"text","text":"went"}]"#, Some(&text)),
    ];
    for (rest, said) in table {
        let items = [compaction(rest), USER.to_owned()];
        let expected: Vec<&str> = said.into_iter().chain([USER]).collect();
        let remedy = Remedy::RemoveEncrypted(Target::All);
        assert_mends(items.iter().map(|s| &**s), &remedy, &[0], &expected);
    }
}

#[test]
fn an_id_is_not_sent_and_stays_for_who_watches() {
    let answer = ANSWER.replace(r#""role""#, r#""id":"msg_1","role""#);
    let hologram = r#"{"type":"hologram","id":"h_1"}"#;
    let items = [USER, THOUGHT, &answer, hologram];
    let mut mended = history(items);
    let shown: Vec<Option<TurnItem>> = mended.iter().map(TurnItem::of).collect();
    let remedy = Remedy::RemoveItemId(Target::All);
    let refused = |item_index| Repair { kind: RepairKind::Refused, call_id: None, item_index };
    let repairs = mended.mend(&remedy, ReasoningFilter::KeepAll);
    assert_eq!(repairs, [refused(1), refused(2), refused(3)]);
    let thought = THOUGHT.replace(r#""id":"rs_1","#, "");
    assert_eq!(sent(&mended), format!(r#"[{USER},{thought},{ANSWER},{{"type":"hologram"}}]"#));
    assert_eq!(mended.iter().map(TurnItem::of).collect::<Vec<_>>(), shown);
    // Where ids are not sent, there is nothing to do.
    let mut without = History::default();
    without.extend([USER, THOUGHT, &answer].map(item));
    assert_eq!(without.mend(&remedy, ReasoningFilter::KeepAll), []);
    // Nor where there are none, however an item is written.
    let mut odd = history([r#"{"type":"hologram","\u0064epth":1}"#]);
    assert_eq!(odd.mend(&remedy, ReasoningFilter::KeepAll), []);
}

#[test]
fn uncommon_items_go() {
    let hologram = r#"{"type":"hologram"}"#;
    let shell = r#"{"type":"local_shell_call","call_id":"s","action":{}}"#;
    let shell_out = OUT_A.replace(r#""a""#, r#""s""#);
    let mut items = [SEARCH, hologram, shell, &shell_out].to_vec();
    items.extend(TURN);
    let expected = [USER, THOUGHT, CALL_A, OUT_A, ANSWER];
    assert_mends(items, &Remedy::RemoveUncommonItems, &[0, 1, 2, 3, 7, 9], &expected);
    let alike = Remedy::RemoveItem(Target::Alike(1));
    assert_mends([SEARCH, hologram, USER, hologram], &alike, &[1, 3], &[SEARCH, USER]);
}

#[test]
fn a_field_or_part_goes_and_the_item_if_it_cannot_be_without() {
    let remove = |target, path: &str| Remedy::RemoveField { target, path: path.into() };
    let shell = r#"{"type":"local_shell_call","call_id":"s","action":{"env":{"A":"1"},"command":["ls","-l"]},"x":7}"#;
    let out = r#"{"type":"function_call_output","call_id":"s","output":[{"type":"input_text","text":"1","d":2},{"type":"input_text","text":"3"}]}"#;
    let edited = |path: &str, from: &str, to: &str| {
        let expected = [shell, out].map(|json| json.replace(from, to));
        let changed = usize::from(out.contains(from));
        let expected = expected.each_ref().map(|json| &**json);
        assert_mends([shell, out], &remove(Target::All, path), &[changed], &expected);
    };
    edited("x", r#","x":7"#, "");
    edited("action.env", r#""env":{"A":"1"},"#, "");
    edited("action.env.A", r#""A":"1""#, "");
    edited("action.command[1]", r#","-l""#, "");
    edited("output[0].d", r#","d":2"#, "");
    edited("output[1]", r#",{"type":"input_text","text":"3"}"#, "");
    for nothing in ["y", "action.command[2]", "x.y", "output[2]", "output.d", "a b", "x[0]"] {
        assert_mends([shell, out], &remove(Target::All, nothing), &[], &[shell, out]);
    }
    for whole in ["", "call_id", "type"] {
        assert_mends([shell, out, USER], &remove(index(0), whole), &[0, 1], &[USER]);
    }
    assert_mends([shell, out, USER], &remove(index(1), "output"), &[0, 1], &[USER]);
    assert_mends([CALL_A, OUT_A, USER], &remove(index(0), "name"), &[0, 1], &[USER]);
    // What goes with its counterpart goes, though it could be without the field itself.
    let [call_with_output, named_out] = [(CALL_A, r#"{"output":1,"#), (OUT_A, r#"{"name":"n","#)]
        .map(|(json, more)| json.replacen('{', more, 1));
    assert_mends([CALL_A, &named_out, USER], &remove(Target::All, "name"), &[0, 1], &[USER]);
    let items = [&*call_with_output, OUT_A, USER];
    assert_mends(items, &remove(Target::All, "output"), &[0, 1], &[USER]);
    // A message that has no parts left is none; an output still answers its call.
    assert_mends([USER, ANSWER], &remove(index(0), "content[0]"), &[0], &[ANSWER]);
    let [one, none] = [r#"[{"type":"input_text","text":"3"}]"#, r#""[left out]""#]
        .map(|output| OUT_A.replace(r#""files""#, output));
    assert_mends([CALL_A, &one], &remove(index(1), "output[0]"), &[1], &[CALL_A, &none]);
    // A type that nobody knows is all that such an item is known by.
    let hologram = r#"{"type":"hologram","depth":1}"#;
    assert_mends([hologram, USER], &remove(index(0), "type"), &[0], &[USER]);
    let flat = r#"{"type":"hologram"}"#;
    assert_mends([hologram, USER], &remove(index(0), "depth"), &[0], &[flat, USER]);
}

#[test]
fn a_text_is_cut_in_its_middle_and_arguments_stay_json() {
    let shorten = |target, path: &str, max_bytes| Remedy::ShortenField {
        target,
        path: path.into(),
        max_bytes,
    };
    let long = "a".repeat(60) + &"z".repeat(60);
    let cut = "aaaaaaa…27 tokens truncated…\\nzzzzzzz";
    let [output, short] = [&*long, cut].map(|text| OUT_A.replace("files", text));
    let items = [CALL_A, &output];
    assert_mends(items, &shorten(index(1), "output", 40), &[1], &[CALL_A, &short]);
    assert_mends(items, &shorten(index(1), "output", 120), &[], &items);
    assert_mends(items, &shorten(index(0), "output", 40), &[], &items);
    let [user, short] = [&*long, cut].map(|text| USER.replace(r#""u""#, &format!("\"{text}\"")));
    let remedy = shorten(Target::Alike(0), "content[0].text", 40);
    assert_mends([&*user, ANSWER, &user], &remedy, &[0, 2], &[&short, ANSWER, &short]);
    let [emptied, named] =
        [CALL_A.replace(r#"{\"p\":1}"#, "{}"), CALL_A.replace(r#""name":"ls""#, r#""name":"l""#)];
    assert_mends([CALL_A, OUT_A], &shorten(call("a"), "arguments", 5), &[0], &[&emptied, OUT_A]);
    assert_mends([CALL_A, OUT_A], &shorten(call("a"), "arguments", 7), &[], &[CALL_A, OUT_A]);
    assert_mends([CALL_A, OUT_A], &shorten(call("a"), "name", 1), &[0], &[&named, OUT_A]);
    let [long_name, head] = [120, 40].map(|len| CALL_A.replace("ls", &long[..len]));
    assert_mends([&*long_name, OUT_A], &shorten(index(0), "name", 40), &[0], &[&head, OUT_A]);
    // Calls and outputs do not come apart.
    let [long_call, long_out] =
        [CALL_A, OUT_A].map(|json| json.replace(r#""call_id":"a""#, r#""call_id":"abc""#));
    let remedy = shorten(index(0), "call_id", 2);
    assert_mends([&*long_call, &long_out, USER], &remedy, &[0, 1], &[USER]);
}

#[test]
fn images_are_replaced_where_they_stand() {
    let linked = r#"{"type":"input_image","image_url":"https://e.org/1.png"}"#;
    let inline = r#"{"type":"input_image","image_url":"data:image/png;base64,AA=="}"#;
    let without = |json: &str, images: &[&str]| {
        images.iter().fold(json.to_owned(), |json, image| json.replace(image, REFUSED_IMAGE))
    };
    let output = OUT_A.replace(r#""files""#, &format!("[{inline}]"));
    let items = [IMAGES, CALL_A, &output];
    let first = without(IMAGES, &[linked]);
    let last = without(IMAGES, &[inline]);
    let both = without(IMAGES, &[linked, inline]);
    let no_output = without(&output, &[inline]);
    let table: [(Images, &[usize], [&str; 3]); 10] = [
        (Images::Part { item: 0, part: 0 }, &[0], [&first, CALL_A, &output]),
        (Images::Part { item: 0, part: 2 }, &[0], [&last, CALL_A, &output]),
        (Images::Part { item: 0, part: 1 }, &[], items),
        (Images::Part { item: 2, part: 0 }, &[2], [IMAGES, CALL_A, &no_output]),
        (Images::OfItem(0), &[0], [&both, CALL_A, &output]),
        (Images::OfItem(1), &[], items),
        (Images::Linked, &[0], [&first, CALL_A, &output]),
        (Images::AllBut { newest: 3 }, &[], items),
        (Images::AllBut { newest: 1 }, &[0], [&both, CALL_A, &output]),
        (Images::All, &[0, 2], [&both, CALL_A, &no_output]),
    ];
    for (images, reported, expected) in table {
        assert_mends(items, &Remedy::ReplaceImages(images), reported, &expected);
    }
    // Where images are not sent, none can be refused, and they stay for a model that takes them.
    let mut history = History::new(WireFormat::without_images());
    history.extend(items.map(item));
    let left_out = history.normalise();
    assert_eq!(left_out.len(), 2);
    let remedy = Remedy::ReplaceImages(Images::All);
    assert_eq!(history.mend(&remedy, ReasoningFilter::KeepAll), []);
    // Nor are they reported a second time when something else is mended.
    let remedy = Remedy::RemoveItem(call("a"));
    let repairs = history.mend(&remedy, ReasoningFilter::KeepAll);
    assert!(repairs.iter().all(|repair| repair.kind == RepairKind::Refused), "{repairs:?}");
    assert_eq!(history.get(0), Some(&item(IMAGES)));
}

#[test]
fn an_image_in_the_item_is_no_link_in_whatever_case_its_scheme_is() {
    let inline =
        IMAGES.replace("data:", "DATA:").replace("https://e.org/1.png", "Data:image/gif,x");
    let linked = Remedy::ReplaceImages(Images::Linked);
    assert_mends([&*inline], &linked, &[], &[&*inline]);
}

#[test]
fn what_grows_too_long_is_cut_and_reported_once() {
    const FLAT_SEARCH: &str = r#"{"type":"web_search_call"}"#;
    let mut config = HistoryConfig::default();
    config.format = WireFormat::with_item_ids();
    config.max_item_bytes = THOUGHT.len() + 3;
    let mut history = History::with_config(config);
    history.extend([THOUGHT, FLAT_SEARCH].map(item));
    let repairs = history.mend(&Remedy::RemoveItemId(index(0)), ReasoningFilter::KeepAll);
    let refused = Repair { kind: RepairKind::Refused, call_id: None, item_index: 0 };
    assert_eq!(repairs, [refused], "it went, for reasoning cannot be cut");
    assert_eq!(sent(&history), format!("[{FLAT_SEARCH}]"));
}
