//! The images of the user's messages: a number for each, and the newest stay.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    IMAGE_TOKENS, Quarters, applied, assistant, bridge, budget, compacted, counted_by, done,
    image_url, items, keep, picture, summed_up, the_bridge, user,
};
use longhaul_compaction::{Cause, Keep, View};
use longhaul_history::tokens::{ImageDetail, ImageSize, TokenCounter};
use longhaul_history::{ContentPart, History, Item, ItemView, ReasoningFilter, Role};

/// The texts and addresses of a bridge's content, its first text aside.
fn shown(history: &History) -> Vec<String> {
    let bridge = history.iter().find(|item| item.is_bridge()).unwrap();
    let ItemView::Message { content, .. } = bridge.view() else { panic!() };
    let shown = content[1..].iter().map(|part| match part {
        ContentPart::InputImage { image_url } => image_url.clone(),
        part => part.text().unwrap().to_owned(),
    });
    shown.collect()
}

fn labelled(images: &[(usize, &str)]) -> Vec<String> {
    let parts = images.iter().flat_map(|(n, name)| [format!("[image {n}]:"), image_url(name)]);
    parts.collect()
}

#[test]
fn images_have_a_number_for_good_and_the_newest_stay() {
    let budget = |images: u64| keep(|keep| keep.image_tokens = images * (IMAGE_TOKENS + 16));
    let talk = vec![picture("see", "a"), picture("and", "b"), done()];
    let (after, _) = compacted(talk, budget(2));
    assert_eq!(the_bridge(&after).user_messages, ["see\n[image 1]", "and\n[image 2]"]);
    assert_eq!(shown(&after), labelled(&[(1, "a"), (2, "b")]));

    let talk = [items(&after), vec![picture("third", "c"), done()]].concat();
    let (after, _) = compacted(talk, budget(2));
    let quoted = ["see\n[image 1]", "and\n[image 2]", "third\n[image 3]"];
    assert_eq!(the_bridge(&after).user_messages, quoted);
    assert_eq!(shown(&after), labelled(&[(2, "b"), (3, "c")]));

    // The numbers of those that are gone are not given again.
    let talk = [items(&after), vec![picture("more", "d"), done()]].concat();
    let (after, _) = compacted(talk, budget(0));
    assert_eq!(the_bridge(&after).user_messages[3], "more\n[image 4]");
    assert_eq!(shown(&after), labelled(&[]));
    let (after, _) = compacted([items(&after), vec![assistant("x")]].concat(), budget(2));
    assert_eq!(shown(&after), labelled(&[]));
}

/// The message that named an image may go before the image does.
#[test]
fn the_number_of_an_image_whose_message_is_gone_is_not_given_again() {
    let small = || keep(|keep| keep.user_message_tokens = 10);
    let long = "first, and longer than ten tokens of four bytes each may be";
    let talk = vec![picture(long, "a"), user("a last message"), assistant("seen")];
    let (after, _) = compacted(talk, small());
    assert_eq!(the_bridge(&after).user_messages, ["a last message"]);
    assert_eq!(shown(&after), labelled(&[(1, "a")]));
    let talk = [items(&after), vec![picture("new", "b"), assistant("seen")]].concat();
    let (after, _) = compacted(talk, small());
    assert_eq!(shown(&after), labelled(&[(1, "a"), (2, "b")]));
}

#[test]
fn a_number_that_the_user_writes_does_no_harm() {
    for written in ["[image 18446744073709551615]", "[image 4294967295]", "[image -1]", "[image 7]"]
    {
        let talk = vec![bridge(&[written], "s"), picture("see", "a"), assistant("seen")];
        let (after, _) = compacted(talk, Keep::default());
        assert_eq!(the_bridge(&after).user_messages[0], written);
        assert_eq!(shown(&after).len(), 2);
    }
}

/// Neither the images nor the texts behind the bridge know the numbers then, only the messages do.
#[test]
fn numbers_are_known_from_the_messages_alone() {
    let none = || keep(|keep| keep.image_tokens = 0);
    let (after, _) = compacted(vec![picture("see", "a"), picture("and", "b"), done()], none());
    let talk = [items(&after), vec![picture("third", "c"), assistant("seen")]].concat();
    let (after, _) = compacted(talk, none());
    assert_eq!(the_bridge(&after).user_messages[2], "third\n[image 3]");
}

/// An image takes as many tokens as it is wide.
struct Wide;

impl TokenCounter for Wide {
    fn count_text(&self, text: &str) -> u64 {
        Quarters.count_text(text)
    }

    fn count_image(&self, _: ImageDetail, size: Option<ImageSize>) -> u64 {
        size.map_or(0, |size| u64::from(size.width))
    }
}

/// 40 and 4,000 pixels wide.
const SMALL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACgAAAAoCAYAAAAAAAAA";
const LARGE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAD6AAAA+gCAYAAAAAAAAA";

/// An older image does not stay for being smaller, nor a newer one go.
#[test]
fn the_newest_images_are_taken_first() {
    let count = |urls: [&str; 3], max: u64| {
        let message = |url: &&str| {
            Item::message(Role::User, &[ContentPart::InputImage { image_url: (*url).to_owned() }])
        };
        let talk = [urls.iter().map(message).collect(), vec![done(), done()]].concat();
        let budget = budget(Cause::Manual, None);
        let keep = keep(|keep| keep.image_tokens = max);
        let history = counted_by(Arc::new(Wide), talk);
        let view = View::new(history, Vec::new(), keep, ReasoningFilter::default(), &budget);
        let before = view.history().clone();
        let after = applied(&before, summed_up(view, budget).installed());
        shown(&after).len() / 2
    };
    assert_eq!(count([LARGE, SMALL, SMALL], 200), 2);
    assert_eq!(count([SMALL, SMALL, LARGE], 200), 0);
    assert_eq!(count([SMALL, LARGE, SMALL], 200), 1);
}
