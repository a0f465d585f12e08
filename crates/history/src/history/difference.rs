//! What one conversation has of another.

use std::collections::{HashMap, VecDeque};

use super::{History, Part};

impl History {
    /// The parts of which `before` has to be [composed](Self::composed) to have the items of this
    /// conversation, for a log that does not repeat what stays. Items stay as they are shared: one that
    /// was recorded anew counts as new, also if it says the same.
    ///
    /// Costs one look at each item of both; none is compared.
    ///
    /// ```
    /// use longhaul_history::{History, Item, Part};
    ///
    /// let mut before = History::default();
    /// before.extend(["a", "b", "c"].map(Item::user));
    /// let mut after = before.clone();
    /// after.replace_prefix(2, [Part::New(Item::user("x")), Part::Keep(1..2)])?;
    /// let parts = [Part::New(Item::user("x")), Part::Keep(1..3)];
    /// assert_eq!(after.parts_of(&before), parts);
    /// assert_eq!(before.composed(parts)?, after);
    /// # Ok::<(), longhaul_history::EditError>(())
    /// ```
    pub fn parts_of(&self, before: &Self) -> Vec<Part> {
        let mut places: HashMap<usize, VecDeque<usize>> = HashMap::new();
        for (index, item) in before.iter().enumerate() {
            places.entry(item.address()).or_default().push_back(index);
        }
        let (mut parts, mut next) = (Vec::new(), 0);
        for item in self.iter() {
            let place = places.get_mut(&item.address()).and_then(|places| {
                while places.front().is_some_and(|place| *place < next) {
                    places.pop_front();
                }
                places.pop_front()
            });
            match place {
                Some(place) => {
                    keep(&mut parts, place);
                    next = place + 1;
                }
                None => parts.push(Part::New(item.clone())),
            }
        }
        parts
    }
}

fn keep(parts: &mut Vec<Part>, index: usize) {
    match parts.last_mut() {
        Some(Part::Keep(range)) if range.end == index => range.end += 1,
        _ => parts.push(Part::Keep(index..index + 1)),
    }
}
