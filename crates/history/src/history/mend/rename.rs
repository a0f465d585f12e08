//! New call ids in the place of those that a server does not take.

use std::collections::{HashMap, HashSet};

use super::Mending;
use crate::json::{self, RawObject};
use crate::remedy::Target;
use crate::{Item, ItemKind};

impl Mending {
    /// Gives each selected call, and its output, an id of its own, unless it is the first of an id
    /// that is in order. Where no id is left that is short enough, both go.
    pub(super) fn rename(&mut self, target: &Target, max_bytes: usize) {
        let mut names = Names::of(&self.input, max_bytes);
        let selected: HashSet<usize> =
            self.selected(target).into_iter().map(|(index, _)| index).collect();
        let calls: Vec<(usize, Item)> = self.calls();
        for (call, item) in calls {
            let output = self.counterparts.get(&call).copied();
            let is_selected = [Some(call), output].iter().flatten().any(|i| selected.contains(i));
            let id = item.call_id().unwrap_or_default();
            let is_first = names.is_first(id);
            if !is_selected || is_first && names.is_in_order(id) {
                continue;
            }
            match names.fresh(id) {
                Some(name) => [Some(call), output].iter().flatten().for_each(|&index| {
                    self.rename_item(index, &name);
                }),
                None => self.take_out(call),
            }
        }
    }

    fn calls(&self) -> Vec<(usize, Item)> {
        let sent = self.indexes.iter().copied().zip(self.input.iter().cloned());
        sent.filter(|(_, item)| item.kind().call().is_some()).collect()
    }

    fn rename_item(&mut self, index: usize, name: &str) {
        // Both calls and outputs are always sent, and the input is in the order of its indexes.
        let position = self.indexes.partition_point(|&sent| sent < index);
        let renamed = self.input.get(position).and_then(|item| with_call_id(item, name));
        if let Some(item) = renamed {
            self.put(index, item);
        }
    }
}

/// The call or output with another call id, in the field that it goes by. A local shell call that
/// goes by its own `id` keeps that.
fn with_call_id(item: &Item, id: &str) -> Option<Item> {
    let is_by_own_id = !RawObject::parse(item.json())?.has("call_id");
    let is_own_id_wanted = is_by_own_id && item.kind() == ItemKind::LocalShellCallOutput;
    let field = if is_own_id_wanted { "id" } else { "call_id" };
    Some(item.set_field(field, &json::quoted(id)))
}

/// The call ids of a request.
struct Names {
    max_bytes: usize,
    used: HashSet<String>,
    /// How many calls of each id were seen on the way through the request.
    seen: HashMap<String, usize>,
}

impl Names {
    fn of(input: &[Item], max_bytes: usize) -> Self {
        let used = input.iter().filter_map(|item| item.call_id().map(str::to_owned)).collect();
        Self { max_bytes, used, seen: HashMap::new() }
    }

    /// Takes note of a call, and says whether it is the first of its id.
    fn is_first(&mut self, id: &str) -> bool {
        let seen = self.seen.entry(id.to_owned()).or_default();
        *seen += 1;
        *seen == 1
    }

    fn is_in_order(&self, id: &str) -> bool {
        !id.is_empty() && id.len() <= self.max_bytes && id.chars().all(is_plain)
    }

    /// An id that no other call has: what is in order of `id`, with a number behind it if need be.
    /// The number counts from that of the calls of this id, so that ids which repeat often do not
    /// try all numbers each time. `None` if all that are short enough are used.
    fn fresh(&mut self, id: &str) -> Option<String> {
        let plain: String = id.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let seen = self.seen.get(id).copied().unwrap_or(1);
        let numbered = (seen.max(2)..).map(|number| format!("_{number}"));
        let endings = (seen == 1).then(String::new).into_iter().chain(numbered);
        let fitting = endings.take_while(|ending| ending.len() <= self.max_bytes);
        let mut names = fitting.map(|ending| {
            let stem = &plain[..plain.len().min(self.max_bytes - ending.len())];
            format!("{stem}{ending}")
        });
        let name = names.find(|name| !name.is_empty() && !self.used.contains(name))?;
        self.used.insert(name.clone());
        Some(name)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
