//! The images in an item, and items without them.

use std::borrow::Cow;

use memchr::memmem;

use super::{Item, ItemKind};
use crate::json::{self, RawObject};

/// What comes in the place of images.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageEdit {
    /// Nothing. Where only images were, a text says that they are gone: no server takes an empty
    /// message.
    Strip,
    /// A text for each image.
    Replace(String),
}

impl ImageEdit {
    /// A text for each image.
    pub fn replace(text: impl Into<String>) -> Self {
        Self::Replace(text.into())
    }
}

/// The type of a part that holds an image.
const IMAGE: &str = "input_image";

/// Where images were and nothing else.
const STRIPPED: &str = "[image left out]";

/// The field that holds the parts of an item of `kind`.
fn parts_field(kind: ItemKind) -> Option<&'static str> {
    match kind {
        ItemKind::Message(_) => Some("content"),
        kind if kind.is_output() => Some("output"),
        _ => None,
    }
}

pub(super) fn has_images(kind: ItemKind, json: &str) -> bool {
    let Some(field) = parts_field(kind) else {
        return false;
    };
    // The name may be written with escapes.
    let holds = |word: &[u8]| memmem::find(json.as_bytes(), word).is_some();
    let is_possible = holds(IMAGE.as_bytes()) || holds(b"\\u");
    is_possible && images(json, field).next().is_some()
}

/// A part that holds an image.
pub(crate) struct Image<'a> {
    /// Its position among all parts.
    pub(crate) position: usize,
    json: &'a str,
}

impl<'a> Image<'a> {
    /// `None` if the part holds none.
    fn read(position: usize, json: &'a str) -> Option<Self> {
        let is_image = part_field(json, "type").is_some_and(|name| name == IMAGE);
        is_image.then_some(Self { position, json })
    }

    /// Whether it is elsewhere, not in the item.
    pub(crate) fn is_linked(&self) -> bool {
        part_field(self.json, "image_url").is_some_and(|url| inline_data(&url).is_none())
    }
}

/// The images of an item.
fn images<'a>(json: &'a str, field: &str) -> impl Iterator<Item = Image<'a>> {
    let parts = RawObject::parse(json).and_then(|item| item.field(field));
    let parts = parts.and_then(json::elements).into_iter().flatten().enumerate();
    parts.filter_map(|(position, part)| Image::read(position, part))
}

fn part_field<'a>(part: &'a str, key: &str) -> Option<Cow<'a, str>> {
    RawObject::parse(part)?.field(key).and_then(json::string)
}

/// The parts of a message or an output with a text in the place of each image that `is_wanted`.
pub(super) fn encode_without_images(
    parts: &str,
    edit: &ImageEdit,
    is_wanted: impl Fn(&Image<'_>) -> bool,
) -> Option<String> {
    let mut kept: Vec<Cow<'_, str>> = Vec::new();
    for (position, part) in json::elements(parts)?.enumerate() {
        match (Image::read(position, part).filter(&is_wanted), edit) {
            (None, _) => kept.push(Cow::Borrowed(part)),
            (_, ImageEdit::Strip) => {}
            (_, ImageEdit::Replace(text)) => kept.push(Cow::Owned(text_part(text))),
        }
    }
    if kept.is_empty() {
        kept.push(Cow::Owned(text_part(STRIPPED)));
    }
    Some(format!("[{}]", kept.join(",")))
}

fn text_part(text: &str) -> String {
    format!(r#"{{"type":"input_text","text":{}}}"#, json::quoted(text))
}

impl Item {
    /// The item without its images, and how many there were; `None` if it shows none.
    pub fn edit_images(&self, edit: &ImageEdit) -> Option<(Self, usize)> {
        self.edit_images_where(edit, |_| true)
    }

    /// The same for the images that no model takes: inline data of a type that none reads.
    pub(crate) fn without_unreadable_images(&self) -> Option<(Self, usize)> {
        self.edit_images_where(&ImageEdit::replace(UNREADABLE), |image| is_unreadable(image.json))
    }

    /// The length of its JSON, images left aside.
    pub(crate) fn bytes_without_images(&self) -> usize {
        let image_bytes = self.images(|image| image.json.len()).iter().sum();
        self.json().len().saturating_sub(image_bytes)
    }

    /// Whether one of its images is of a type that no model reads.
    pub(crate) fn has_unreadable_images(&self) -> bool {
        self.images(|image| is_unreadable(image.json)).contains(&true)
    }

    /// What `read` says of each of its images, in order.
    pub(crate) fn images<T>(&self, read: impl Fn(&Image<'_>) -> T) -> Vec<T> {
        let field = parts_field(self.kind()).filter(|_| self.has_images());
        field.map_or_else(Vec::new, |field| images(&self.text(), field).map(|i| read(&i)).collect())
    }

    /// The same as [`edit_images`](Self::edit_images) for the images that `is_wanted`.
    pub(crate) fn edit_images_where(
        &self,
        edit: &ImageEdit,
        is_wanted: impl Fn(&Image<'_>) -> bool,
    ) -> Option<(Self, usize)> {
        let field = parts_field(self.kind()).filter(|_| self.has_images())?;
        let count = images(&self.text(), field).filter(&is_wanted).count();
        let edit = |parts: &str| encode_without_images(parts, edit, &is_wanted);
        let edited = self.with_field(field, |parts| edit(parts).filter(|_| count > 0))?;
        Some((edited, count))
    }
}

/// In the place of an image that no model reads.
const UNREADABLE: &str = "[image left out: no model reads this type]";

/// What models read, as the providers' documents list it.
const READABLE: [&str; 5] = ["image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif"];

/// Whether an image is inline data of another type than models read, or nothing at all.
fn is_unreadable(part: &str) -> bool {
    let Some(url) = part_field(part, "image_url") else {
        return false;
    };
    let Some(inline) = inline_data(&url) else {
        return url.is_empty();
    };
    let Some((media_type, data)) = inline.split_once(',') else {
        return true;
    };
    let media_type = media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
    data.is_empty() || !READABLE.contains(&&*media_type)
}

/// What follows the scheme of a `data:` URL, in whatever case that is written; `None` of others.
fn inline_data(url: &str) -> Option<&str> {
    let (scheme, data) = url.split_at_checked(5)?;
    scheme.eq_ignore_ascii_case("data:").then_some(data)
}
