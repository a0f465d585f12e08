//! The images of the user's messages in a bridge.
//!
//! In the text of a message `[image 3]` stands where the image was; the image itself comes behind the
//! text of the bridge, after a part `[image 3]:`. A number is given once, also where the image is left
//! out later.

use longhaul_history::tokens::TokenCounter;
use longhaul_history::{ContentPart, Item, ItemView, Role};

/// An image of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptImage {
    number: u64,
    url: String,
}

/// The images of the user's messages, the newest last.
#[derive(Default)]
pub(crate) struct Images {
    images: Vec<KeptImage>,
    /// The largest number given so far.
    given: u64,
}

impl KeptImage {
    /// The parts of a message that show it.
    pub(crate) fn parts(&self) -> [ContentPart; 2] {
        let mut label = placeholder(self.number);
        label.push(':');
        [
            ContentPart::InputText { text: label },
            ContentPart::InputImage { image_url: self.url.clone() },
        ]
    }

    fn tokens(&self, counter: &dyn TokenCounter) -> u64 {
        counter.count_item(&Item::message(Role::User, &self.parts()))
    }

    /// The image of such parts.
    fn read(parts: &[ContentPart]) -> Option<Self> {
        let [label, ContentPart::InputImage { image_url }] = parts else { return None };
        let number = label.text()?.strip_suffix(':').and_then(number)?;
        Some(Self { number, url: image_url.clone() })
    }
}

fn placeholder(number: u64) -> String {
    format!("[image {number}]")
}

/// The number in a placeholder. One that no conversation comes to is text that somebody wrote.
fn number(placeholder: &str) -> Option<u64> {
    let number = placeholder.strip_prefix("[image ")?.strip_suffix(']')?;
    number.parse::<u32>().ok().map(u64::from)
}

impl Images {
    /// Takes the images of a message and gives its text.
    pub(crate) fn take(&mut self, message: &Item) -> String {
        let ItemView::Message { content, .. } = message.view() else {
            return String::new();
        };
        let mut texts = Vec::new();
        for part in content {
            match part {
                ContentPart::InputImage { image_url } => texts.push(self.add(image_url)),
                part => texts.extend(part.text().filter(|it| !it.is_empty()).map(str::to_owned)),
            }
        }
        texts.join("\n")
    }

    fn add(&mut self, url: String) -> String {
        self.given += 1;
        self.images.push(KeptImage { number: self.given, url });
        placeholder(self.given)
    }

    /// Takes the images behind the text of an earlier bridge, which quotes `messages`. An image may
    /// have outlived the message that names it.
    pub(crate) fn take_bridge(&mut self, bridge: &Item, messages: &[String]) {
        let lines = messages.iter().flat_map(|message| message.lines());
        self.given = lines.filter_map(number).fold(self.given, u64::max);
        if let ItemView::Message { content, .. } = bridge.view() {
            self.images.extend(content.windows(2).filter_map(KeptImage::read));
        }
        self.given = self.images.iter().map(|image| image.number).fold(self.given, u64::max);
    }

    /// Those that fit the budget: the newest are taken first.
    pub(crate) fn within(mut self, max_tokens: u64, counter: &dyn TokenCounter) -> Vec<KeptImage> {
        let mut left = max_tokens;
        let fitting = self.images.iter().rev().take_while(|image| {
            let rest = left.checked_sub(image.tokens(counter));
            left = rest.unwrap_or(0);
            rest.is_some()
        });
        let kept = fitting.count();
        self.images.split_off(self.images.len() - kept)
    }
}
