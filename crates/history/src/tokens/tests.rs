use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{CallKind, CallOutput, ContentPart, Role};

const ESTIMATOR: Estimator = Estimator::with_images(ImageRule::DEFAULT);

/// Counts characters, so that what is counted can be told from the sum.
struct Chars;

impl TokenCounter for Chars {
    fn count_text(&self, text: &str) -> u64 {
        text.chars().count() as u64
    }

    fn count_image(&self, detail: ImageDetail, size: Option<ImageSize>) -> u64 {
        let known = size.map_or(0, |size| u64::from(size.width) * u64::from(size.height));
        1_000_000 * (detail as u64 + 1) + known
    }
}

fn item(value: &serde_json::Value) -> Item {
    Item::from_json(&value.to_string()).unwrap()
}

/// Texts of mixed classes, with everything that JSON must escape.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,12}",
        "[A-Za-z0-9+/]{1,40}",
        "[ \n\t\r]{1,5}",
        "[\"\\\\/{}\\[\\],:=-]{1,6}",
        "[0-9]{1,9}",
        "[а-яα-ωא-ת]{1,8}",
        "[一-龥ぁ-んァ-ヶ가-힣ก-ฮअ-ह]{1,6}",
        "\\PC{1,4}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The same JSON, all that is not ASCII as `\u` escapes.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => ascii.push(char::from(byte)),
            _ => write!(ascii, "\\u{unit:04x}").unwrap(),
        }
    }
    ascii
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn only_the_empty_text_has_no_tokens(text in text()) {
        prop_assert_eq!(ESTIMATOR.count_text(&text) == 0, text.is_empty());
    }

    /// At a seam, only the run that goes over it is weighed otherwise.
    #[test]
    fn parts_add_up_to_the_whole(a in text(), b in text()) {
        let whole = ESTIMATOR.count_text(&format!("{a}{b}"));
        let parts = ESTIMATOR.count_text(&a) + ESTIMATOR.count_text(&b);
        prop_assert!(whole.abs_diff(parts) <= 5, "{} and {}", whole, parts);
    }

    #[test]
    fn a_longer_text_has_more_tokens_or_as_many(a in text(), b in text()) {
        let (start, whole) = (ESTIMATOR.count_text(&a), ESTIMATOR.count_text(&format!("{a}{b}")));
        prop_assert!(start <= whole);
    }

    #[test]
    fn a_text_again_and_again_costs_the_same_each_time(text in text(), times in 1_usize..200) {
        let one = ESTIMATOR.count_text(&text);
        let all = ESTIMATOR.count_text(&text.repeat(times));
        let times = times as u64;
        prop_assert!(all <= (one + 5) * times, "{} times {} is {}", times, one, all);
        prop_assert!((all + 5) * 2 + 10 * times >= one * times);
    }

    #[test]
    fn escapes_change_nothing(text in text()) {
        let json = serde_json::to_string(&text).unwrap();
        let count = ESTIMATOR.count_text(&text);
        prop_assert_eq!(ESTIMATOR.count_json_string(&json), count);
        prop_assert_eq!(ESTIMATOR.count_json_string(&in_ascii(&json)), count);
        prop_assert_eq!(Chars.count_json_string(&in_ascii(&json)), Chars.count_text(&text));
    }

    #[test]
    fn anything_is_counted_without_a_panic(
        json in "\\PC{0,40}|\"(\\\\u?[0-9a-f\"]{0,5}){0,5}",
        item in longhaul_testkit::strategies::json_object_text(),
    ) {
        ESTIMATOR.count_json_string(&json);
        Chars.count_json_string(&json);
        let item = Item::from_json(&item).unwrap();
        ESTIMATOR.count_item(&item);
        Chars.count_item(&item);
    }

    #[test]
    fn what_a_view_shows_is_what_is_counted(texts in proptest::collection::vec(text(), 0..4)) {
        let parts: Vec<_> =
            texts.iter().map(|text| ContentPart::InputText { text: text.clone() }).collect();
        let sum: u64 = texts.iter().map(|text| Chars.count_text(text)).sum();
        prop_assert_eq!(Chars.count_item(&Item::message(Role::User, &parts)), 4 + sum);
    }

    #[test]
    fn no_header_makes_an_image_larger_than_its_budget(
        width in any::<u32>(), height in any::<u32>(), detail in 0..4_usize,
    ) {
        let details =
            [ImageDetail::Low, ImageDetail::High, ImageDetail::Original, ImageDetail::Auto];
        let budget = [256, 2_500, 10_000, 2_500][detail];
        let tokens = ImageRule::default().tokens(details[detail], Some(ImageSize { width, height }));
        prop_assert!((1..=budget).contains(&tokens), "{}", tokens);
    }
}

#[test]
fn half_a_surrogate_pair_is_one_character() {
    assert_eq!(Chars.count_json_string(r#""\ud83d \ud83d\ude00\n""#), 4);
    assert_eq!(Chars.count_json_string("no string"), 9);
}

#[test]
fn what_counts_in_an_item() {
    let text = |text: &str| json!({"type": "output_text", "text": text});
    let table = [
        (json!({"type": "message", "role": "user", "content": "12345"}), 4 + 5),
        (
            json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [text("12345"), {"type": "refusal", "refusal": "no"}]}),
            4 + 5 + 2,
        ),
        (
            json!({"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "annotations": [{"title": "long", "deep": ["x", {"y": "z"}]}],
                    "logprobs": "abc", "text": "12345"}, text("6")]}),
            4 + 6,
        ),
        (
            json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "shell",
                "arguments": "{\"a\":\"b\\n\"}", "status": "completed"}),
            10 + 5 + 11,
        ),
        (json!({"type": "function_call_output", "call_id": "c", "output": "é\n\"\\"}), 8 + 4),
        (
            json!({"type": "function_call_output", "call_id": "c", "output": [
                {"type": "input_text", "text": "123"}]}),
            8 + 3,
        ),
        (
            json!({"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "123"}),
            10 + 8,
        ),
        (
            json!({"type": "local_shell_call", "call_id": "c", "status": "completed", "action": {
                "type": "exec", "command": ["ls", "-l"], "timeout_ms": 1000, "env": {"A": "b"}}}),
            10 + 5,
        ),
        (json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "123"}]}), 4 + 3),
        (json!({"type": "ghost_snapshot", "ghost_commit": {"id": "abc"}}), 0),
    ];
    for (value, tokens) in table {
        assert_eq!(Chars.count_item(&item(&value)), tokens, "{value}");
    }
}

#[test]
fn encrypted_content_counts_by_its_length_alone() {
    // 4,000 of base64 are 3,000 bytes, 2,350 without the envelope, at four bytes a token.
    let encrypted = "gAAAAB0x".repeat(500);
    let reasoning = Item::reasoning(&["a summary that the server does not read"], Some(&encrypted));
    assert_eq!(ESTIMATOR.count_item(&reasoning), 4 + 588);
    let compaction = item(&json!({"type": "compaction", "encrypted_content": encrypted}));
    assert_eq!(ESTIMATOR.count_item(&compaction), 4 + 588);
    let unknown = json!({"type": "context_compaction", "encrypted_content": encrypted});
    let (rest, unknown) = (r#"{"type":"context_compaction","encrypted_content":}"#, item(&unknown));
    assert_eq!(Chars.count_item(&unknown), rest.len() as u64 + 588);
    // Without any, the summary is what there is.
    assert_eq!(Chars.count_item(&Item::reasoning(&["123"], Some(""))), 4 + 3);
}

#[test]
fn images_are_counted_by_detail_and_size_and_never_as_text() {
    let png = format!("data:image/png;base64,{}", png(3, 7) + &"AAAA".repeat(10_000));
    let image = |extra: serde_json::Value| {
        let mut part = json!({"type": "input_image", "image_url": png});
        part.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        item(&json!({"type": "message", "role": "user", "content": [part, {"type": "input_text",
            "text": "1"}]}))
    };
    let (low, auto) = (ImageDetail::Low as u64 + 1, ImageDetail::Auto as u64 + 1);
    assert_eq!(Chars.count_item(&image(json!({}))), 4 + auto * 1_000_000 + 21 + 1);
    assert_eq!(Chars.count_item(&image(json!({"detail": "low"}))), 4 + low * 1_000_000 + 21 + 1);
    // The order of the fields does not matter, and a part's detail is its own.
    let detail_first = Item::from_json(
        r#"{"type":"function_call_output","call_id":"c","output":[
            {"type":"input_image","detail":"low","image_url":"https://example.com/1.png"},
            {"type":"input_image","image_url":"https://example.com/2.png"}]}"#,
    );
    assert_eq!(Chars.count_item(&detail_first.unwrap()), 8 + (low + auto) * 1_000_000);
    // What a server drew, in an item that this crate does not know.
    let drawn = item(&json!({"type": "image_generation_call", "id": "ig_1",
        "result": png.strip_prefix("data:image/png;base64,").unwrap()}));
    let rest = r#"{"type":"image_generation_call","id":"ig_1","result":}"#;
    assert_eq!(Chars.count_item(&drawn), rest.len() as u64 + auto * 1_000_000 + 21);
}

#[test]
fn items_of_unknown_type_count_their_json_text() {
    let unknown = item(&json!({"type": "hologram", "depth": 12, "note": "x\ny"}));
    assert_eq!(Chars.count_item(&unknown), unknown.json().chars().count() as u64);
    assert_eq!(ESTIMATOR.count_item(&unknown), ESTIMATOR.count_text(unknown.json()));
}

#[test]
fn files_are_bounded() {
    let file = |data: String| {
        item(&json!({"type": "message", "role": "user", "content": [
            {"type": "input_file", "filename": "a", "file_data": data}]}))
    };
    assert_eq!(Chars.count_item(&file("AAAA".repeat(16))), 4 + 1 + 3);
    assert_eq!(Chars.count_item(&file("AAAA".repeat(1_000_000))), 4 + 1 + 50_000);
}

/// Base64 of a PNG's first 24 bytes.
fn png(width: u32, height: u32) -> String {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> String {
    let digits: Vec<char> =
        ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(|n| digits[bits >> (18 - 6 * n) & 63]).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn headers_show_the_size() {
    let webp =
        |form: &[u8], rest: &[u8]| [b"RIFF\0\0\0\0WEBPVP8", form, b"\0\0\0\0", rest].concat();
    let jpeg_head = b"\xff\xd8\xff\xe1\x00\x06Exif\xff\xff\xc4\x00\x03\0".to_vec();
    let frame = b"\xff\xc2\x00\x11\x08\x01\x02\x03\x04".to_vec();
    let lossless = (640_u32 - 1) | (480 - 1) << 14;
    let table = [
        (b"GIF89a\x80\x02\xe0\x01".to_vec(), Some((640, 480))),
        (b"GIF87a\0\0\xe0\x01".to_vec(), None),
        ([jpeg_head.clone(), frame.clone()].concat(), Some((0x304, 0x102))),
        ([jpeg_head.clone(), vec![0xFF, 0xD8]].concat(), None),
        ([b"\xff\xd8".to_vec(), b"\xff\xe2\0\0".repeat(100), frame].concat(), None),
        (webp(b" ", b"\0\0\0\x9d\x01\x2a\x80\x42\xe0\xc1"), Some((640, 480))),
        (webp(b"L", &[b"\x2f".as_slice(), &lossless.to_le_bytes()].concat()), Some((640, 480))),
        (webp(b"X", b"\0\0\0\0\x7f\x02\0\xdf\x01\0"), Some((640, 480))),
        (b"\x89PNG\r\n\x1a\n".to_vec(), None),
        (b"BM".to_vec(), None),
        (Vec::new(), None),
    ];
    for (bytes, size) in table {
        let url = format!("data:image/any;base64,{}", base64(&bytes));
        let size = size.map(|(width, height)| ImageSize { width, height });
        assert_eq!(ImageSize::from_data_url(&url), size, "{bytes:?}");
    }
    let url = format!("data:image/png;base64,{}", png(70_000, 5));
    assert_eq!(ImageSize::from_data_url(&url), Some(ImageSize { width: 70_000, height: 5 }));
    assert_eq!(ImageSize::from_data_url(&url.replace(";base64", "")), None);
}

#[test]
fn images_follow_the_rule_of_their_model() {
    let size = |width, height| Some(ImageSize { width, height });
    let rule = ImageRule::default();
    let table = [
        (ImageDetail::High, size(1, 1), 1),
        (ImageDetail::High, size(1024, 1024), 1_024),
        (ImageDetail::Auto, size(4_096, 4_096), 2_500),
        (ImageDetail::High, size(4_096, 256), 64 * 4),
        (ImageDetail::Original, size(4_096, 256), 128 * 8),
        (ImageDetail::Original, size(20_000, 20_000), 10_000),
        (ImageDetail::Low, size(4_096, 4_096), 256),
        (ImageDetail::High, None, 1_536),
        (ImageDetail::Low, None, 256),
    ];
    for (detail, size, tokens) in table {
        assert_eq!(rule.tokens(detail, size), tokens, "{detail:?} {size:?}");
    }
    let small = ImageRule {
        auto: ImageDetail::Original,
        tokens_per_100_patches: 162,
        ..ImageRule::default()
    };
    assert_eq!(small.tokens(ImageDetail::Auto, size(20_000, 20_000)), 16_200);
    assert_eq!(Estimator::with_images(small).count_image(ImageDetail::Low, None), 415);
}

#[test]
fn an_output_is_framed_by_its_kind() {
    for kind in [CallKind::Function, CallKind::Custom, CallKind::LocalShell] {
        assert_eq!(Chars.count_item(&Item::output(kind, "c", CallOutput::text("12"))), 8 + 2);
    }
}

/// What a million are, after each of so many observations that a million are `ratio_ppm`.
fn observed(ratio_ppm: u64, times: usize) -> Vec<u64> {
    let mut calibration = Calibration::default();
    let mut observe = || {
        calibration.observe(1_000_000, ratio_ppm);
        calibration.apply(1_000_000)
    };
    std::iter::repeat_with(&mut observe).take(times).collect()
}

proptest! {
    #[test]
    fn calibration_comes_near_within_16_observations(ratio_ppm in 500_000..=2_000_000_u64) {
        let ratios = observed(ratio_ppm, 16);
        prop_assert!(ratios[15].abs_diff(ratio_ppm) < 5_000, "{:?}", ratios);
        let mut distance = ratio_ppm.abs_diff(1_000_000);
        for after in ratios {
            let closer = after.abs_diff(ratio_ppm);
            prop_assert!(closer <= distance.saturating_sub(100_000).max(distance / 2));
            distance = closer;
        }
    }

    #[test]
    fn one_observation_moves_it_by_a_tenth_at_most(
        before in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..20),
        outlier in (any::<u64>(), any::<u64>()),
    ) {
        let mut calibration = Calibration::default();
        for (estimated, reported) in before {
            calibration.observe(estimated, reported);
        }
        let first = calibration.apply(1_000_000);
        calibration.observe(outlier.0, outlier.1);
        let second = calibration.apply(1_000_000);
        prop_assert!(first.abs_diff(second) <= 100_000);
        prop_assert!((500_000..=2_000_000).contains(&second));
        let json = serde_json::to_string(&calibration).unwrap();
        prop_assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), calibration);
    }
}

#[test]
fn calibration_passes_over_what_says_nothing() {
    let mut calibration = Calibration::default();
    for (estimated, reported) in [(10_000, 0), (0, 10_000), (255, 10_000), (10_000, 255), (0, 0)] {
        calibration.observe(estimated, reported);
    }
    assert_eq!(calibration, Calibration::default());
    calibration.observe(256, 512);
    assert_eq!((calibration.observations(), calibration.apply(1_000)), (1, 1_100));
    assert_eq!(calibration.apply(u64::MAX), u64::MAX);
    // A log may hold anything.
    let odd: Calibration = serde_json::from_str(r#"{"ratio_ppm":0}"#).unwrap();
    assert_eq!(odd.apply(1_000), 500);
}
