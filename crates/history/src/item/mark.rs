//! Fields of our own in an item: what a session knows of it and no model sees.

use memchr::memmem;

use super::{Item, ItemKind, Role};
use crate::json;

/// An id of the client's: [`Item::with_client_id`].
pub(super) const ID: &str = "longhaul_id";
/// Compaction keeps the item: [`Item::pinned`].
const PINNED: &str = "longhaul_pinned";
/// The output of a tool that failed: [`Item::failed`].
const FAILED: &str = "longhaul_failed";
/// What a bridge holds: [`Item::bridge`].
pub(super) const BRIDGE: &str = "longhaul_bridge";

/// What the names of all of them begin with. Fields of others may begin so too.
const PREFIX: &str = "longhaul_";

/// Whether a field of an item is one of ours: such a field is kept in the item's JSON, so that logs
/// hold it, but never sent, and never counted.
pub(crate) fn is_own(field: &str) -> bool {
    [ID, PINNED, FAILED, BRIDGE].contains(&field)
}

/// What the fields of our own say, read when the item is made.
#[derive(Clone, Copy, Default)]
pub(super) struct Marks {
    is_pinned: bool,
    is_failed: bool,
    is_bridge: bool,
}

impl Marks {
    /// `None` of an item without a field of our own. Of one that stands in it twice, the last counts.
    pub(super) fn read(kind: ItemKind, json: &str) -> Option<Self> {
        memmem::find(json.as_bytes(), PREFIX.as_bytes())?;
        let own = json::fields(json)?.filter(|(key, _)| is_own(key));
        own.fold(None, |marks: Option<Self>, (key, value)| {
            Some(marks.unwrap_or_default().with(&key, value, kind))
        })
    }

    fn with(self, key: &str, value: &str, kind: ItemKind) -> Self {
        match key {
            PINNED => Self { is_pinned: value == "true", ..self },
            FAILED => Self { is_failed: value == "true", ..self },
            BRIDGE => {
                let is_user = kind == ItemKind::Message(Role::User);
                Self { is_bridge: is_user && value.starts_with('{'), ..self }
            }
            _ => self,
        }
    }
}

impl Item {
    /// The item with a mark that says: compaction keeps it, word for word. The mark is the field
    /// `longhaul_pinned`; it is not sent, and counts no tokens.
    ///
    /// ```
    /// use longhaul_history::{Item, WireFormat};
    ///
    /// let rule = Item::user("Never push to main.").pinned();
    /// assert!(rule.is_pinned() && Item::from_json(rule.json())?.is_pinned());
    ///
    /// let (mut with_mark, mut without) = (Vec::new(), Vec::new());
    /// rule.encode_wire(WireFormat::default(), &mut with_mark);
    /// Item::user("Never push to main.").encode_wire(WireFormat::default(), &mut without);
    /// assert_eq!(with_mark, without);
    /// # Ok::<(), longhaul_history::ItemError>(())
    /// ```
    #[must_use]
    pub fn pinned(&self) -> Self {
        if self.is_pinned() { self.clone() } else { self.with_own(PINNED, "true") }
    }

    /// Whether compaction keeps the item, word for word. Known without a look at its JSON.
    pub fn is_pinned(&self) -> bool {
        self.0.marks.is_some_and(|marks| marks.is_pinned)
    }

    /// The item with a mark that says: this is the output of a tool that failed. The mark is the
    /// field `longhaul_failed`; it is not sent, and counts no tokens.
    #[must_use]
    pub fn failed(&self) -> Self {
        if self.is_failed() { self.clone() } else { self.with_own(FAILED, "true") }
    }

    /// Whether the item is the output of a tool that failed. Known without a look at its JSON.
    pub fn is_failed(&self) -> bool {
        self.0.marks.is_some_and(|marks| marks.is_failed)
    }

    /// Whether the item is a message of the user's role that stands for a conversation which was
    /// compacted. Known without a look at its JSON.
    ///
    /// The user did not write it: it is context
    /// ([`is_context`](crate::turn_item::is_context)), and shown as a compaction.
    pub fn is_bridge(&self) -> bool {
        self.0.marks.is_some_and(|marks| marks.is_bridge)
    }

    /// The item without fields of our own, as a program has it that knows none of them: no pin, no
    /// sign of failure, no id of the client's; a bridge is an ordinary message.
    ///
    /// ```
    /// use longhaul_history::Item;
    ///
    /// let item = Item::user("Never push to main.");
    /// assert_eq!(item.pinned().with_client_id("1").unmarked(), item);
    /// ```
    #[must_use]
    pub fn unmarked(&self) -> Self {
        if self.has_own_fields() {
            Self::from_object(&json::without_fields(self.json(), is_own))
        } else {
            self.clone()
        }
    }

    /// Whether the item has a field of our own.
    pub(crate) fn has_own_fields(&self) -> bool {
        self.0.marks.is_some()
    }

    /// The item with a field of our own, behind all others.
    pub(super) fn with_own(&self, field: &str, value: &str) -> Self {
        Self::from_object(&json::with_new_field(self.json(), field, value))
    }

    /// The value of a field of our own; the last, if there are several.
    pub(super) fn own(&self, field: &str) -> Option<&str> {
        let fields = json::fields(self.json()).filter(|_| self.has_own_fields())?;
        fields.filter(|(key, _)| key == field).last().map(|(_, value)| value)
    }
}
