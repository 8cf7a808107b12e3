//! Where things are stored: the engine seam, its SQLite implementation, keys, repositories, tasks.
//!
//! | file | holds |
//! |---|---|
//! | `engine` | the seam: five verbs, transactions as values, limits |
//! | `rules` | what a guard can refuse |
//! | `conformance` | the one suite that every engine passes |
//! | `sqlite` | the embedded engine |
//! | `faulty`, `stale_index` | engines around an engine, for tests: faults by a seed, indexes that lag |
//! | `keys` | every key of both tables, nowhere else |
//! | `users`, `events`, `attendance`, `campaigns`, `counts`, `idempotency` | repositories: items to model types, and the operations of a change |
//! | `tasks`, `leases` | durable work and who may do it |

pub mod engine;
pub mod rules;

pub use engine::{Attrs, Change, Direction, Engine, EngineError, Guard, IndexName, Item, Key, Op, Query, Range, Rows, Table, TransactError, Transaction};
pub use rules::Rule;
