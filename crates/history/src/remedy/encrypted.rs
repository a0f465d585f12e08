//! Encrypted content that a server cannot read: of another account or server, or of an old key.

use super::words::{self, Words};
use super::{Refusal, Remedy, Target};

const CODES: [&str; 2] = ["invalid_encrypted_content", "invalid_compaction"];

/// Sentences that name no item.
const SENTENCES: [&str; 3] = [
    "could not decode the compaction blob",
    "could not decrypt the provided encrypted_content",
    "encrypted content item_id did not match the target item id",
];

pub(super) fn remedy(refusal: &Refusal<'_>, words: &Words<'_>) -> Option<Remedy> {
    let told = words.after("the encrypted content ").and_then(told_target);
    let is_coded = refusal.code.is_some_and(|code| CODES.contains(&code));
    let is_said = || SENTENCES.iter().any(|sentence| words.after(sentence).is_some());
    let target = told.or_else(|| (is_coded || is_said()).then_some(Target::All))?;
    Some(Remedy::RemoveEncrypted(target))
}

/// `for item rs_1 could not be verified.`, or `gAAA...Rg== could not be verified.`
fn told_target(rest: &str) -> Option<Target> {
    let (told, _) = rest.split_once("could not be verified")?;
    if told.trim().is_empty() {
        return Some(Target::All);
    }
    if let Some(id) = told.strip_prefix("for item ") {
        return Some(Target::ItemId(words::id(id)?));
    }
    let Some((head, tail)) = told.trim_end().split_once("...") else {
        return Some(Target::All);
    };
    let (head, tail) = (head.to_owned(), tail.to_owned());
    Some(if tail.is_empty() { Target::All } else { Target::Encrypted { head, tail } })
}
