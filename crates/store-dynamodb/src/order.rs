//! Writes of one process to one item wait for each other here, in order, instead of conflicting in the database: a conflict costs both a
//! round trip and paid capacity, and a thousand registrations on one event would conflict almost every time. Correctness does not depend
//! on this: other processes know nothing of it, and conflicts with them are repeated.

use std::hash::{BuildHasher, RandomState};

use emcrm_store::Transaction;
use tokio::sync::{Mutex, MutexGuard};

const STRIPES: usize = 4_096;

pub struct Order {
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Order {
    fn default() -> Self {
        Self { stripes: std::iter::repeat_with(Mutex::default).take(STRIPES).collect(), hasher: RandomState::new() }
    }
}

impl Order {
    /// The turn on all items of the transaction, until it is dropped.
    pub async fn turn(&self, transaction: &Transaction) -> Vec<MutexGuard<'_, ()>> {
        let mut places: Vec<usize> = transaction.ops.iter().map(|op| self.hasher.hash_one((op.table, &op.key)) as usize % STRIPES).collect();
        // Always in one order, so that nobody waits in a circle.
        places.sort_unstable();
        places.dedup();
        let mut turns = Vec::with_capacity(places.len());
        for stripe in places.into_iter().filter_map(|place| self.stripes.get(place)) {
            turns.push(stripe.lock().await);
        }
        turns
    }
}
