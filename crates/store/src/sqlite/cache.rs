//! Items of the main table in memory, as they are stored: for reads of one item by its key, with which requests and pages begin.
//!
//! - It is exact. A change is taken out before its commit can be seen, and nothing that was read before the commit is kept after it. So a read from memory is one that
//!   the database could have answered at that moment.
//! - That rests on one writer for each item that is there: the writer of this process. Another process may add items (`write_beside`), so what is not there
//!   is never kept.
//! - Lists, queries and reads of several items do not go through it: a campaign that reads everybody takes nothing away from pages.
//! - It knows no time. Who reads an item that has expired judges its moment, as without a cache.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::engine::{CacheUse, EngineError, Key};

/// Most bytes that are kept, about.
pub const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Reckoned for each item besides its texts: what the map, its order of use and the allocator need. An estimate.
const ENTRY_BYTES: usize = 320;
/// An item is kept if it takes no more than this part of all.
const ITEM_PART: usize = 64;
/// Keys share gates by their hash. A shared gate costs a read that is not kept, nothing else.
const GATES: usize = 1_024;

pub struct Cache {
    items: moka::sync::Cache<Key, Arc<str>>,
    gates: Vec<Mutex<Gate>>,
    hasher: RandomState,
    item_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
    #[cfg(test)]
    pub tampering: Tampering,
}

/// Tells whether an item changed between its reading and its keeping.
#[derive(Default)]
struct Gate {
    /// Changes of its items that are being committed.
    open_changes: u32,
    /// How many there were.
    changes: u64,
}

impl Gate {
    /// What to compare with later; none while something is being committed, because it is not known which side of it a read sees.
    fn now(&self) -> Option<u64> {
        (self.open_changes == 0).then_some(self.changes)
    }
}

/// What tests do to it.
#[cfg(test)]
#[derive(Default)]
pub struct Tampering {
    /// Keeps what was read, whatever happened meanwhile.
    pub unguarded: std::sync::atomic::AtomicBool,
    /// Called between the reading of an item and its keeping.
    pub pause: Mutex<Option<Pause>>,
}

#[cfg(test)]
pub type Pause = Arc<dyn Fn(&Key) + Send + Sync>;

impl Cache {
    pub fn new(bytes: usize) -> Self {
        let weigh = |key: &Key, text: &Arc<str>| (key.pk.len() + key.sk.len() + text.len() + ENTRY_BYTES) as u32;
        Self {
            items: moka::sync::Cache::builder().max_capacity(bytes as u64).weigher(weigh).build(),
            gates: std::iter::repeat_with(Mutex::default).take(GATES).collect(),
            hasher: RandomState::new(),
            item_max: bytes / ITEM_PART,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            #[cfg(test)]
            tampering: Tampering::default(),
        }
    }

    /// The text of an item: what is kept, or what `read` finds in the database now.
    pub fn get(&self, key: &Key, read: impl FnOnce() -> Result<Option<String>, EngineError>) -> Result<Option<Arc<str>>, EngineError> {
        if let Some(text) = self.items.get(key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(text));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let gate = self.gate(key);
        // Noted before the reading begins: a change that the reading does not see comes later than this.
        let before = gate.lock().now();
        let Some(text) = read()? else { return Ok(None) };
        let text: Arc<str> = text.into();
        #[cfg(test)]
        self.pause(key);
        if text.len() <= self.item_max {
            // Held while it is kept: a change that comes now takes it out again.
            let gate = gate.lock();
            let unchanged = before.is_some() && gate.now() == before;
            #[cfg(test)]
            let unchanged = unchanged || self.tampering.unguarded.load(Ordering::Relaxed);
            if unchanged {
                self.items.insert(key.clone(), Arc::clone(&text));
            }
        }
        Ok(Some(text))
    }

    /// Takes the items out and keeps none of them until the answer is dropped. To be called before anybody can see their changes, and dropped when everybody does.
    pub fn changing(&self, keys: &[&Key]) -> Changing<'_> {
        let gates: Vec<&Mutex<Gate>> = keys.iter().map(|key| self.gate(key)).collect();
        for gate in &gates {
            let mut gate = gate.lock();
            gate.open_changes += 1;
            gate.changes += 1;
        }
        for key in keys {
            self.items.invalidate(*key);
        }
        Changing { gates }
    }

    pub fn usage(&self) -> CacheUse {
        CacheUse { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed), bytes: self.items.weighted_size() }
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is smaller than the number of gates")]
    fn gate(&self, key: &Key) -> &Mutex<Gate> {
        &self.gates[(self.hasher.hash_one(key) % GATES as u64) as usize]
    }
}

/// Items that are being changed.
#[must_use = "it is over when this is dropped"]
pub struct Changing<'a> {
    gates: Vec<&'a Mutex<Gate>>,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        for gate in &self.gates {
            gate.lock().open_changes -= 1;
        }
    }
}

#[cfg(test)]
impl Cache {
    pub fn keeps(&self, key: &Key) -> bool {
        self.items.contains_key(key)
    }

    /// Does what is put off, such as giving up what is too much.
    pub fn settle(&self) {
        self.items.run_pending_tasks();
    }

    fn pause(&self, key: &Key) {
        let pause = self.tampering.pause.lock().clone();
        if let Some(pause) = pause {
            pause(key);
        }
    }
}
