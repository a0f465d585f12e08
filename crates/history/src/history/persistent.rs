//! A list whose copies share all but the path to what they changed.

use std::ops::Range;
use std::sync::Arc;

/// So many children has a full node: a list of a million is four nodes deep.
const FAN_OUT: usize = 32;

/// A list of which a copy costs one reference count, whatever its length; adding to it costs one
/// path, of a node of each level.
#[derive(Clone)]
pub(super) struct PersistentList<T> {
    root: Arc<Node<T>>,
    /// Levels above the leaves.
    height: u32,
    len: usize,
}

#[derive(Clone)]
enum Node<T> {
    Leaf(Vec<T>),
    Branch(Vec<Arc<Node<T>>>),
}

impl<T> Default for PersistentList<T> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), height: 0, len: 0 }
    }
}

impl<T> PersistentList<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        let (mut node, mut height) = (&*self.root, self.height);
        loop {
            match node {
                Node::Leaf(values) => return values.get(index % FAN_OUT),
                Node::Branch(children) => node = children.get(digit(index, height))?,
            }
            height = height.saturating_sub(1);
        }
    }

    pub(super) fn iter_range(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = &T> {
        range.filter_map(|index| self.get(index))
    }

    /// The number of values at the beginning that `is_before` holds for; it must hold for none
    /// behind them.
    pub(super) fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.get(middle) {
                Some(value) if is_before(value) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

impl<T: Clone> PersistentList<T> {
    pub(super) fn push(&mut self, value: T) {
        if self.len == FAN_OUT.pow(self.height + 1) {
            let full = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            self.root = Arc::new(Node::Branch(vec![full]));
            self.height += 1;
        }
        Node::push(Arc::make_mut(&mut self.root), self.height, self.len, value);
        self.len += 1;
    }

    /// Keeps the first `len` values.
    pub(super) fn truncate(&mut self, len: usize) {
        if len == 0 {
            *self = Self::default();
        } else if len < self.len {
            Arc::make_mut(&mut self.root).truncate(self.height, len);
            self.len = len;
        }
    }
}

impl<T: Clone> Node<T> {
    fn push(&mut self, height: u32, index: usize, value: T) {
        match self {
            Node::Leaf(values) => values.push(value),
            Node::Branch(children) => {
                let at = digit(index, height);
                if at == children.len() {
                    let is_above_leaves = height == 1;
                    let empty =
                        if is_above_leaves { Node::Leaf(vec![]) } else { Node::Branch(vec![]) };
                    children.push(Arc::new(empty));
                }
                Arc::make_mut(&mut children[at]).push(height - 1, index, value);
            }
        }
    }

    /// `len` counts from the beginning of the list, and is not 0.
    fn truncate(&mut self, height: u32, len: usize) {
        match self {
            Node::Leaf(values) => values.truncate((len - 1) % FAN_OUT + 1),
            Node::Branch(children) => {
                let last = digit(len - 1, height);
                children.truncate(last + 1);
                Arc::make_mut(&mut children[last]).truncate(height - 1, len);
            }
        }
    }
}

/// Which child of a node of this height leads to `index`.
fn digit(index: usize, height: u32) -> usize {
    index / FAN_OUT.pow(height) % FAN_OUT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(len: usize) -> PersistentList<usize> {
        let mut list = PersistentList::default();
        (0..len).for_each(|value| list.push(value));
        list
    }

    fn values(list: &PersistentList<usize>) -> Vec<usize> {
        list.iter_range(0..list.len()).copied().collect()
    }

    #[test]
    fn every_length_up_to_three_levels() {
        let mut list = PersistentList::default();
        for len in 0..FAN_OUT * FAN_OUT + 2 * FAN_OUT {
            assert_eq!((list.len(), list.get(len)), (len, None));
            list.push(len);
            assert_eq!((list.get(0), list.get(len)), (Some(&0), Some(&len)));
        }
        assert!(values(&list).into_iter().eq(0..list.len()));
    }

    proptest! {
        #[test]
        fn copies_go_their_own_ways(len in 0..5_000_usize, cut in 0..5_000_usize, more in 0..100_usize) {
            let parent = list(len);
            let mut child = parent.clone();
            child.truncate(cut);
            let kept = len.min(cut);
            (0..more).for_each(|value| child.push(value + 1_000_000));
            let expected: Vec<usize> = (0..kept).chain(1_000_000..1_000_000 + more).collect();
            prop_assert_eq!(values(&child), expected);
            prop_assert!(values(&parent).into_iter().eq(0..len));
            prop_assert_eq!(parent.partition_point(|value| *value < cut), kept);
            let back: Vec<usize> = parent.iter_range(kept..len).rev().copied().collect();
            prop_assert!(back.into_iter().eq((kept..len).rev()));
        }
    }
}
