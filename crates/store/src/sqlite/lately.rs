//! Items of the email table that were changed lately, as they are now. The row of a mail changes twice within milliseconds, and the campaign's own with each
//! batch: the second change needs neither look the item up nor read its text.
//!
//! Only the writer has it, and nobody else changes an item that is there. What it says holds for the transaction that is open: when that is rolled back, all
//! of it is forgotten.

use std::collections::HashMap;

use crate::engine::{Attrs, Key};

/// Items of one generation. There are two, so twice as many are kept at most.
const GENERATION: usize = 512;
/// Longer items are not kept.
const TEXT_MAX: usize = 2 * 1024;

/// The attributes of an item, and how many bytes are kept for them.
pub type Stored = (Attrs, usize);

#[derive(Default)]
pub struct Lately {
    young: HashMap<Key, Stored>,
    old: HashMap<Key, Stored>,
}

impl Lately {
    /// Takes the item out: whoever does so changes it, or looks at it only.
    pub fn take(&mut self, key: &Key) -> Option<Stored> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// The item is as it was, or was changed to this.
    pub fn keep(&mut self, key: &Key, stored: Stored) {
        if stored.1 > TEXT_MAX {
            return;
        }
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.clone(), stored);
    }

    pub fn forget(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
