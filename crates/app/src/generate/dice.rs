//! Random numbers that are the same on every machine and in every version: data made from a seed stays the data of that seed.

use uuid::Uuid;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of the `n`th thing of a kind, independent of all others.
    pub(super) fn of(seed: u64, kind: u64, n: u64) -> Self {
        let mut mixed = Self(seed);
        mixed.0 = mixed.next() ^ kind.wrapping_mul(0xa076_1d64_78bd_642f);
        mixed.0 = mixed.next() ^ n;
        Self(mixed.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0..n; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len() as u64) as usize)
    }

    /// An entry; the first ones far more often than the last.
    pub(super) fn favour<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let (a, b, c) = (self.below(1 << 20), self.below(1 << 20), self.below(1 << 20));
        let least = a.min(b).min(c);
        list.get(((least * list.len() as u64) >> 20) as usize)
    }

    pub(super) fn text(&mut self, list: &[&'static str]) -> &'static str {
        self.pick(list).copied().unwrap_or_default()
    }

    pub(super) fn favourite(&mut self, list: &[&'static str]) -> &'static str {
        self.favour(list).copied().unwrap_or_default()
    }

    /// UUIDv4 in form.
    pub(super) fn id(&mut self) -> Uuid {
        let (high, low) = (self.next(), self.next());
        uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes()).into_uuid()
    }
}

/// An order of 0..n, the same for the same dice: each number once, without holding them.
#[derive(Debug)]
pub(super) struct Shuffled {
    n: u64,
    step: u64,
    start: u64,
}

impl Shuffled {
    pub(super) fn new(dice: &mut Dice, n: u64) -> Self {
        let n = n.max(1);
        let mut step = dice.below(n).max(1);
        while greatest_divisor(step, n) != 1 {
            step += 1;
        }
        Self { n, step, start: dice.below(n) }
    }

    pub(super) fn at(&self, place: u64) -> u64 {
        ((u128::from(self.step) * u128::from(place) + u128::from(self.start)) % u128::from(self.n)) as u64
    }
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_shuffled_order_has_each_number_once() {
        for n in [1, 2, 3, 12, 97, 1_000] {
            for seed in 0..20 {
                let order = Shuffled::new(&mut Dice::of(seed, 0, n), n);
                let seen: BTreeSet<u64> = (0..n).map(|place| order.at(place)).collect();
                assert_eq!(seen, (0..n).collect());
            }
        }
    }

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut dice = Dice::of(1, 2, 3);
        let drawn: Vec<u64> = (0..3).map(|_| dice.below(1_000_000)).collect();
        assert_eq!(drawn, DRAWN);
        assert_eq!(dice.id().get_version_num(), 4);
    }
    const DRAWN: [u64; 3] = [148_210, 490_319, 580_204];

    #[test]
    fn the_first_of_a_list_come_more_often() {
        let list: Vec<usize> = (0..10).collect();
        let mut dice = Dice::of(1, 0, 0);
        let mut count = [0; 10];
        (0..10_000).for_each(|_| count[*dice.favour(&list).unwrap()] += 1);
        assert!(count[0] > 2_000 && count[0] > 3 * count[5], "{count:?}");
        assert!(count.iter().all(|n| *n > 0), "{count:?}");
    }
}
