//! Texts in the place of images that a server does not take.

use std::collections::BTreeMap;

use super::Mending;
use super::change::set;
use crate::json::{self, RawObject};
use crate::remedy::Images;
use crate::{Item, ItemKind};

/// In the place of an image. Fixed, so that the prompt cache hits again.
const REFUSED: &str = r#"{"type":"input_text","text":"[image left out: the server refused it]"}"#;

/// An image of the request.
#[derive(Clone, Copy)]
struct Image {
    /// The item's position in the request.
    item: usize,
    /// The part's position in its content or output.
    part: usize,
    is_linked: bool,
}

impl Mending {
    pub(super) fn replace_images(&mut self, images: Images) {
        let mut selected: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for image in select(images, &self.images()) {
            selected.entry(image.item).or_default().push(image.part);
        }
        for (position, parts) in selected {
            if let Some(changed) = without_images(&self.input[position], &parts) {
                self.put(self.indexes[position], changed);
            }
        }
    }

    fn images(&self) -> Vec<Image> {
        let items = self.input.iter().enumerate().filter(|(_, item)| item.has_images());
        let images = items.flat_map(|(position, item)| {
            let parts = parts(item).unwrap_or_default().into_iter().enumerate();
            parts.filter_map(move |(part, json)| Image::read(position, part, json))
        });
        images.collect()
    }
}

impl Image {
    /// `None` if the part is no image.
    fn read(item: usize, part: usize, json: &str) -> Option<Self> {
        let fields = RawObject::parse(json)?;
        if json::string(fields.field("type")?)? != "input_image" {
            return None;
        }
        let url = fields.field("image_url").and_then(json::string);
        let is_linked = url.is_some_and(|url| !url.starts_with("data:"));
        Some(Self { item, part, is_linked })
    }
}

fn select(wanted: Images, images: &[Image]) -> Vec<Image> {
    let older = |newest| images.len().saturating_sub(newest);
    let is_wanted = |number: usize, image: &Image| match wanted {
        Images::Part { item, part } => (image.item, image.part) == (item, part),
        Images::OfItem(item) => image.item == item,
        Images::Linked => image.is_linked,
        Images::AllBut { newest } => number < older(newest),
        Images::All => true,
    };
    let selected = images.iter().enumerate().filter(|(number, image)| is_wanted(*number, image));
    selected.map(|(_, image)| *image).collect()
}

/// The field that holds the parts of a message or an output.
fn parts_field(item: &Item) -> &'static str {
    if matches!(item.kind(), ItemKind::Message(_)) { "content" } else { "output" }
}

fn parts(item: &Item) -> Option<Vec<&str>> {
    let parts = RawObject::parse(item.json())?.field(parts_field(item))?;
    json::elements(parts).map(Iterator::collect)
}

fn without_images(item: &Item, refused: &[usize]) -> Option<Item> {
    let parts = parts(item)?.into_iter().enumerate();
    let parts = parts.map(|(part, json)| if refused.contains(&part) { REFUSED } else { json });
    let list = format!("[{}]", parts.collect::<Vec<_>>().join(","));
    set(item, parts_field(item), Some(&list))
}
