//! Fields of items that a server does not take: too long, missing, null, unknown.

use super::path::Path;
use super::words::{self, Words};
use super::{Refusal, Remedy, Target, images, pairs};

/// What a server says is wrong with a field.
#[derive(Clone, Copy)]
enum Complaint {
    Unknown,
    Missing,
    WrongType,
    WrongValue,
    TooLong,
    ArrayTooLong,
    Empty,
    Malformed,
}

/// How sentences begin that name a field, and what they say of it.
const SENTENCES: [(&str, Complaint); 5] = [
    ("unknown parameter: ", Complaint::Unknown),
    ("missing required parameter: ", Complaint::Missing),
    ("invalid type for ", Complaint::WrongType),
    ("invalid value: ", Complaint::WrongValue),
    ("invalid ", Complaint::Malformed),
];

/// Codes that say as much as a sentence, if `param` names the field.
const CODES: [(&str, Complaint); 6] = [
    ("unknown_parameter", Complaint::Unknown),
    ("missing_required_parameter", Complaint::Missing),
    ("invalid_type", Complaint::WrongType),
    ("string_above_max_length", Complaint::TooLong),
    ("array_above_max_length", Complaint::ArrayTooLong),
    ("empty_string", Complaint::Empty),
];

/// What llama.cpp says of an item whose type it does not know.
const UNKNOWN_TYPE: &str = "cannot determine type of 'item'";

/// What it says of reasoning that is not in clear.
const SEALED_REASONING: [&str; 3] = [
    "item['content'] is not an array",
    "item['content'] is empty",
    "item['content']['text'] is not a string",
];

pub(super) fn remedy(refusal: &Refusal<'_>, words: &Words<'_>) -> Option<Remedy> {
    if words.after(UNKNOWN_TYPE).is_some() {
        return Some(Remedy::RemoveUncommonItems);
    }
    if SEALED_REASONING.iter().any(|sentence| words.after(sentence).is_some()) {
        return Some(Remedy::RemoveReasoning(Target::All));
    }
    let param = refusal.param.and_then(Path::read);
    let (complaint, path, rest) = said(words, param.as_ref()).or_else(|| {
        let complaint = CODES.iter().find(|(code, _)| refusal.code == Some(code))?.1;
        Some((complaint, param.clone()?, refusal.message))
    })?;
    judge(complaint, &path, rest)
}

/// What the message complains of, where, and the rest of the sentence.
fn said<'a>(words: &Words<'a>, param: Option<&Path>) -> Option<(Complaint, Path, &'a str)> {
    let sentence = SENTENCES.iter().find_map(|(start, complaint)| {
        let (named, rest) = words::quoted(words.after(start)?)?;
        let path = match complaint {
            // It quotes the value; where that is, only `param` tells.
            Complaint::WrongValue => param.cloned(),
            _ => Path::read(named),
        };
        Some((refine(*complaint, rest), path?, rest))
    });
    sentence.or_else(|| {
        // `input[5].call_id` The length of the value must be `<= 64`.
        let rest = words.after("`input[")?;
        let (named, rest) = rest.split_once('`')?;
        let path = Path::read(&format!("input[{named}"))?;
        words::contains(rest, "length of the value must be").then_some((
            Complaint::TooLong,
            path,
            rest,
        ))
    })
}

fn refine(complaint: Complaint, rest: &str) -> Complaint {
    let says = |start| words::starts_with(rest, start);
    match complaint {
        Complaint::Malformed if says(": string too long") => Complaint::TooLong,
        Complaint::Malformed if says(": array too long") => Complaint::ArrayTooLong,
        Complaint::Malformed if says(": empty ") => Complaint::Empty,
        complaint => complaint,
    }
}

/// The repair of the field at `path`; `rest` is what the server says of it.
fn judge(complaint: Complaint, path: &Path, rest: &str) -> Option<Remedy> {
    use Complaint::{
        ArrayTooLong, Empty, Malformed, Missing, TooLong, Unknown, WrongType, WrongValue,
    };
    let target = Target::Index(path.index);
    Some(match (complaint, path.name()) {
        (_, Some("image_url")) => Remedy::ReplaceImages(images::at(path)),
        (TooLong | Malformed, Some("call_id")) => {
            let longest = pairs::MAX_CALL_ID_BYTES;
            Remedy::RenameCalls { target, max_bytes: max(rest).unwrap_or(longest).min(longest) }
        }
        (Unknown | TooLong | Empty | Malformed, Some("id")) if path.steps.len() == 1 => {
            Remedy::RemoveItemId(target)
        }
        (TooLong, Some("encrypted_content")) => Remedy::RemoveEncrypted(target),
        (TooLong, _) => {
            Remedy::ShortenField { target, path: path.within_item(), max_bytes: max(rest)? }
        }
        (ArrayTooLong, _) if max(rest) != Some(0) => return None,
        (WrongType, _) if words::contains(rest, "got null") => remove(path),
        // What is wrong with these, their item or part cannot do without.
        (WrongValue, Some("type" | "role" | "name"))
        | (Missing | WrongType | Empty | Malformed, _) => remove(&path.enclosing()),
        (Unknown | ArrayTooLong | WrongValue, _) => remove(path),
    })
}

/// Removes what is at the path: a field, a part, or the item.
fn remove(path: &Path) -> Remedy {
    let target = Target::Index(path.index);
    if path.steps.is_empty() {
        return Remedy::RemoveItem(target);
    }
    Remedy::RemoveField { target, path: path.within_item() }
}

/// The largest length that the server takes.
fn max(rest: &str) -> Option<usize> {
    let before = ["maximum length", "length of the value must be"];
    before.iter().find_map(|before| words::number_after(rest, before))
}
