//! Tokens of an item, read from its JSON.

use std::borrow::Cow;

use super::TokenCounter;
use super::image::{ImageDetail, ImageSize};
use crate::item::is_own;
use crate::json::{between_quotes, string_len, without_fields};
use crate::{Item, ItemKind};

/// See [`TokenCounter::count_item`].
pub(super) fn count<C: TokenCounter + ?Sized>(counter: &C, item: &Item) -> u64 {
    match item.kind() {
        ItemKind::GhostSnapshot => 0,
        ItemKind::Other => unknown(counter, &without_own_fields(item)),
        kind => framing(kind) + known(counter, item),
    }
}

fn without_own_fields(item: &Item) -> Cow<'_, str> {
    if item.has_own_fields() {
        Cow::Owned(without_fields(item.json(), is_own))
    } else {
        Cow::Borrowed(item.json())
    }
}

fn framing(kind: ItemKind) -> u64 {
    match kind {
        ItemKind::FunctionCall
        | ItemKind::CustomToolCall
        | ItemKind::LocalShellCall
        | ItemKind::WebSearchCall => 10,
        kind if kind.is_output() => 8,
        _ => 4,
    }
}

/// The strings of an item whose fields are known.
fn known<C: TokenCounter + ?Sized>(counter: &C, item: &Item) -> u64 {
    let json = item.json();
    let is_message = matches!(item.kind(), ItemKind::Message(_));
    let mut count = Count::new(counter);
    let (mut key, mut depth, mut unsent) = ("", 0_u32, None);
    for piece in Pieces::of(json) {
        match piece {
            Piece::Open => depth += 1,
            Piece::Close => {
                depth = depth.saturating_sub(1);
                count.end_object();
            }
            Piece::Key(name) => {
                key = name;
                if unsent.is_none_or(|at| depth <= at) {
                    let is_reported = is_message && matches!(key, "annotations" | "logprobs");
                    let is_unsent = is_reported || (depth == 1 && is_own(key));
                    unsent = is_unsent.then_some(depth);
                }
            }
            Piece::String(start, end) if unsent.is_none() => count.string(key, &json[start..end]),
            Piece::String(..) => {}
        }
    }
    if item.kind() == ItemKind::Reasoning && count.opaque > 0 { count.opaque } else { count.sum() }
}

/// The JSON text of an item, but for what in it is no text.
fn unknown<C: TokenCounter + ?Sized>(counter: &C, json: &str) -> u64 {
    let mut count = Count::new(counter);
    let (mut key, mut done) = ("", 0);
    for piece in Pieces::of(json) {
        match piece {
            Piece::Open => {}
            Piece::Close => count.end_object(),
            Piece::Key(name) => key = name,
            Piece::String(start, end) => {
                let string = &json[start..end];
                if is_opaque(key) || is_image(between_quotes(string)) {
                    count.text += counter.count_text(&json[done..start]);
                    done = end;
                    count.string(if is_opaque(key) { key } else { "image_url" }, string);
                } else if key == "detail" {
                    count.string(key, string);
                }
            }
        }
    }
    count.text += counter.count_text(&json[done..]);
    count.sum()
}

fn is_opaque(key: &str) -> bool {
    matches!(key, "encrypted_content" | "file_data" | "image_url")
}

/// A `data:` URL of an image, or base64 that begins like a PNG, JPEG, GIF or WebP.
fn is_image(text: &str) -> bool {
    text.starts_with("data:image/")
        || text.len() > 64
            && ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR"].iter().any(|head| text.starts_with(head))
}

struct Count<'a, C: ?Sized> {
    counter: &'a C,
    text: u64,
    /// What is encrypted.
    opaque: u64,
    /// An image that is not counted yet, because its detail may come after it.
    image: Option<Image>,
    detail: ImageDetail,
}

struct Image {
    size: Option<ImageSize>,
}

impl<'a, C: TokenCounter + ?Sized> Count<'a, C> {
    fn new(counter: &'a C) -> Self {
        Self { counter, text: 0, opaque: 0, image: None, detail: ImageDetail::Auto }
    }

    /// Takes the string, quotes included, that field `key` or a list in it holds.
    fn string(&mut self, key: &str, string: &str) {
        match key {
            "type" | "id" | "call_id" | "status" | "role" => {}
            "detail" => self.detail = ImageDetail::from_name(between_quotes(string)),
            "image_url" => {
                let url = between_quotes(string);
                let size = ImageSize::from_data_url(url).or(ImageSize::from_base64(url));
                self.image = Some(Image { size });
            }
            "encrypted_content" => self.opaque += encrypted(between_quotes(string).len()),
            "file_data" => self.text += file(between_quotes(string).len()),
            _ => self.text += self.counter.count_json_string(string),
        }
    }

    /// An object ends: if it was an image, all is known of it.
    fn end_object(&mut self) {
        if let Some(Image { size }) = self.image.take() {
            self.text += self.counter.count_image(self.detail, size);
        }
        self.detail = ImageDetail::Auto;
    }

    fn sum(&self) -> u64 {
        self.text + self.opaque
    }
}

/// The tokens in so many bytes of base64, once it is decoded and decrypted.
fn encrypted(base64_bytes: usize) -> u64 {
    (base64_bytes as u64 / 4 * 3).saturating_sub(650).div_ceil(4)
}

/// The tokens that a file of so many bytes of base64 is taken for.
fn file(base64_bytes: usize) -> u64 {
    (base64_bytes as u64 / 4 * 3).div_ceil(16).min(50_000)
}

/// What a compact JSON text consists of. Numbers, literals and commas are passed over.
struct Pieces<'a> {
    json: &'a str,
    at: usize,
}

enum Piece<'a> {
    /// A list or an object begins.
    Open,
    /// A list or an object ends.
    Close,
    /// The name of a field, as it is written.
    Key(&'a str),
    /// A string that is a value: where it begins and ends, quotes included.
    String(usize, usize),
}

impl<'a> Pieces<'a> {
    fn of(json: &'a str) -> Self {
        Self { json, at: 0 }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let bytes = self.json.as_bytes();
        loop {
            let start = self.at;
            self.at += 1;
            match bytes.get(start)? {
                b'{' | b'[' => return Some(Piece::Open),
                b'}' | b']' => return Some(Piece::Close),
                b'"' => {
                    self.at = start + string_len(&self.json[start..]);
                    if bytes.get(self.at) == Some(&b':') {
                        return Some(Piece::Key(between_quotes(&self.json[start..self.at])));
                    }
                    return Some(Piece::String(start, self.at));
                }
                _ => {}
            }
        }
    }
}
