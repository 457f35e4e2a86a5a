//! A set of ids that some can be drawn from by chance without looking at all of them.

use std::{collections::HashMap, hash::Hash};

use rand::{Rng, seq::index};

/// A set whose members have places; taking one out moves the last into its place.
#[derive(Debug, Clone)]
pub(super) struct Indexed<T> {
    members: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T: Copy + Eq + Hash> Indexed<T> {
    pub(super) fn insert(&mut self, member: T) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.places.entry(member) {
            place.insert(self.members.len());
            self.members.push(member);
        }
    }

    pub(super) fn remove(&mut self, member: &T) {
        let Some(place) = self.places.remove(member) else {
            return;
        };
        self.members.swap_remove(place);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(*moved, place);
        }
    }

    pub(super) fn contains(&self, member: &T) -> bool {
        self.places.contains_key(member)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        self.members.iter().copied()
    }

    /// Some members from a place on.
    pub(super) fn part(&self, from: usize, length: usize) -> &[T] {
        let rest = self.members.get(from..).unwrap_or_default();
        rest.get(..length).unwrap_or(rest)
    }

    /// So many different members by chance, or all where there are no more, in no order.
    pub(super) fn some<R: Rng>(
        &self,
        count: usize,
        chance: &mut R,
    ) -> impl Iterator<Item = T> + use<'_, T, R> {
        let drawn = index::sample(chance, self.len(), count.min(self.len()));
        drawn
            .into_iter()
            .filter_map(|place| self.members.get(place).copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn who_is_taken_out_is_not_drawn() {
        let mut set = Indexed::default();
        for member in 0..100 {
            set.insert(member);
            set.insert(member);
        }
        for member in (0..100).filter(|member| member % 3 == 0) {
            set.remove(&member);
            set.remove(&member);
        }
        assert_eq!(set.len(), 66);
        let all: HashSet<i32> = set.some(1000, &mut rand::rng()).collect();
        let expected: HashSet<i32> = (0..100).filter(|member| member % 3 != 0).collect();
        assert_eq!(all, expected);
        assert_eq!(set.iter().collect::<HashSet<_>>(), expected);
        assert!(set.contains(&1) && !set.contains(&3));
        let few: HashSet<i32> = set.some(10, &mut rand::rng()).collect();
        assert_eq!(few.len(), 10, "different ones");
        let parts: Vec<i32> = [set.part(0, 60), set.part(60, 60), set.part(120, 60)].concat();
        assert_eq!(parts.len(), 66);
    }
}
