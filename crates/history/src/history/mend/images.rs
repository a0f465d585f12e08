//! Texts in the place of images that a server does not take.

use std::collections::BTreeMap;

use super::Mending;
use crate::ImageEdit;
use crate::remedy::Images;

/// In the place of an image. Fixed, so that the prompt cache hits again.
const REFUSED: &str = "[image left out: the server refused it]";

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
        let edit = ImageEdit::replace(REFUSED);
        for (position, parts) in selected {
            let item = &self.input[position];
            let changed = item.edit_images_where(&edit, |image| parts.contains(&image.position));
            if let Some((changed, _)) = changed {
                self.put(self.indexes[position], changed);
            }
        }
    }

    fn images(&self) -> Vec<Image> {
        let items = self.input.iter().enumerate();
        let images = items.flat_map(|(position, item)| {
            item.images(|image| Image {
                item: position,
                part: image.position,
                is_linked: image.is_linked(),
            })
        });
        images.collect()
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
