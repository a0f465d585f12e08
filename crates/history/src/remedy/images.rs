//! Images that a server does not take.

use super::path::Path;
use super::words::{self, Words};
use super::{Images, Refusal, Remedy};

/// Codes for an image that is broken, too large, or not allowed (the `ResponseErrorCode`s of
/// OpenAI's API reference).
const CODES: [&str; 11] = [
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
];

/// Codes for an image that the server could not fetch.
const LINK_CODES: [&str; 3] =
    ["invalid_image_url", "failed_to_download_image", "image_file_not_found"];

/// Beginnings of sentences about an image that is broken, or too large.
const BROKEN: [&str; 6] = [
    "the image data you provided does not represent a valid image",
    "you uploaded an unsupported image",
    "failed to load image or audio file",
    "invalid image in your last message",
    "image exceeds ",
    "an image in the conversation exceeds ",
];

/// Beginnings of sentences about an image that could not be fetched.
const UNREACHABLE: [&str; 4] = [
    "timeout while downloading ",
    "error while downloading ",
    "failed to download image",
    "failed to download multimodal content",
];

/// What models and servers say that take no images.
const NO_IMAGES: [&str; 9] = [
    "image input is not supported",
    "does not support image",
    "no endpoints found that support image input",
    "image_url is only supported by certain models",
    "images are not supported",
    "vision is not supported",
    "is not a multimodal model",
    "at most 0 image",
    "output of tool call should be 'input text'",
];

/// Before the number of images that a server takes.
const LIMITS: [&str; 2] = ["at most ", "too many images and documents: "];

pub(super) fn remedy(refusal: &Refusal<'_>, words: &Words<'_>) -> Option<Remedy> {
    let images = none(words)
        .or_else(|| too_many(words))
        .or_else(|| unreachable(refusal, words))
        .or_else(|| broken(refusal, words))?;
    Some(Remedy::ReplaceImages(images))
}

fn none(words: &Words<'_>) -> Option<Images> {
    NO_IMAGES.iter().any(|phrase| words.say(phrase)).then_some(Images::All)
}

/// `At most 5 image(s) may be provided`, `too many images and documents: 120 + 0 > 100`
fn too_many(words: &Words<'_>) -> Option<Images> {
    let rest = LIMITS.iter().find_map(|start| words.after(start))?;
    let newest = match rest.split_once('>') {
        Some((_, limit)) => words::number_after(limit, "")?,
        None if words::contains(rest, " image(s)") => words::number_after(rest, "")?,
        None => return None,
    };
    Some(if newest == 0 { Images::All } else { Images::AllBut { newest } })
}

fn unreachable(refusal: &Refusal<'_>, words: &Words<'_>) -> Option<Images> {
    let is_coded = refusal.code.is_some_and(|code| LINK_CODES.contains(&code));
    let is_said = || UNREACHABLE.iter().any(|start| words.after(start).is_some());
    (is_coded || is_said()).then(|| located(refusal.param, Images::Linked))
}

fn broken(refusal: &Refusal<'_>, words: &Words<'_>) -> Option<Images> {
    let is_coded = refusal.code.is_some_and(|code| CODES.contains(&code));
    let is_said = || BROKEN.iter().any(|start| words.after(start).is_some());
    (is_coded || is_said()).then(|| located(refusal.param, Images::All))
}

/// The image that `param` names; `otherwise` if it names none.
fn located(param: Option<&str>, otherwise: Images) -> Images {
    param.and_then(Path::read).map_or(otherwise, |path| at(&path))
}

/// The image that a path leads into.
pub(super) fn at(path: &Path) -> Images {
    match path.part() {
        Some(part) => Images::Part { item: path.index, part },
        None => Images::OfItem(path.index),
    }
}
