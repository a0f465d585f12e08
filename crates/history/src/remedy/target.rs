//! What a repair is aimed at.

use serde::Deserialize;

use crate::{Item, ItemKind};

/// The items that a repair is for, by what the server's words tell of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The item at this position in the request's `input`, from 0.
    Index(usize),
    /// The calls and outputs of this call id.
    CallId(String),
    /// The item that has this `id`.
    ItemId(String),
    /// The items whose encrypted content begins and ends like this: servers quote no more of it.
    Encrypted {
        /// How it begins.
        head: String,
        /// How it ends.
        tail: String,
    },
    /// The item at this position in the request's `input`, and all others of its type.
    Alike(usize),
    /// All items that the repair can be for.
    All,
}

impl Target {
    /// Positions of the selected items in `input`, in order. `input` is the refused request's: what
    /// is left out of it (filtered reasoning, snapshots) takes no position.
    ///
    /// ```
    /// use longhaul_history::Item;
    /// use longhaul_history::remedy::Target;
    ///
    /// let input = [Item::user("hi"), Item::function_call("c", "ls", "{}"), Item::user("ho")];
    /// assert_eq!(Target::CallId("c".into()).select(&input), [1]);
    /// assert_eq!(Target::Alike(0).select(&input), [0, 2]);
    /// ```
    pub fn select(&self, input: &[Item]) -> Vec<usize> {
        let selected = input.iter().enumerate().filter(|(index, item)| match self {
            Self::Index(wanted) => index == wanted,
            Self::CallId(id) => item.call_id() == Some(id),
            Self::ItemId(id) => item.id() == Some(id),
            Self::Encrypted { head, tail } => is_encrypted(item, head, tail),
            Self::Alike(wanted) => input.get(*wanted).is_some_and(|wanted| is_alike(wanted, item)),
            Self::All => true,
        });
        selected.map(|(index, _)| index).collect()
    }

    /// All items of the type of the one that is selected by its position; `None` for other targets.
    pub(super) fn alike(&self) -> Option<Self> {
        match self {
            Self::Index(index) => Some(Self::Alike(*index)),
            _ => None,
        }
    }
}

fn is_encrypted(item: &Item, head: &str, tail: &str) -> bool {
    #[derive(Deserialize)]
    struct Sealed {
        encrypted_content: String,
    }
    let sealed: Option<Sealed> = serde_json::from_str(item.json()).ok();
    sealed.is_some_and(|sealed| {
        let rest = sealed.encrypted_content.strip_prefix(head);
        rest.is_some_and(|rest| rest.ends_with(tail))
    })
}

fn is_alike(one: &Item, other: &Item) -> bool {
    one.kind() == other.kind() && (one.kind() != ItemKind::Other || type_of(one) == type_of(other))
}

/// The type that an item names itself.
fn type_of(item: &Item) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        r#type: Option<String>,
    }
    serde_json::from_str::<Named>(item.json()).ok()?.r#type
}
