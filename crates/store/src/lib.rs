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
//! | `api_tokens`, `sessions` | who may call |
//! | `audit` | who did what |
//! | `tasks`, `leases` | durable work and who may do it |

pub mod conformance;
pub mod engine;
pub mod faulty;
pub mod rules;
#[cfg(not(fuzzing))]
pub mod sqlite;
pub mod stale_index;

pub use engine::{
    Attrs, CacheUse, Change, Direction, Engine, EngineError, Guard, IndexName, Item, Key, Op, Pool, Query, Range, Rows, Table, TransactError, Transaction,
};
pub use rules::Rule;

pub mod api_tokens;
pub mod attendance;
pub mod audit;
pub mod campaigns;
pub mod counts;
pub mod events;
pub mod idempotency;
pub mod keys;
pub mod leases;
pub mod repository;
pub mod sessions;
pub mod suppressions;
pub mod tasks;
pub mod templates;
pub mod users;

pub use api_tokens::ApiTokens;
pub use attendance::Attendances;
pub use audit::{Audit, ChainMark, ChainPoint, ChainPoints};
pub use campaigns::{Campaigns, LogEntry};
pub use counts::{CountKind, Counts};
pub use events::Events;
pub use idempotency::{IdempotencyRows, Remembered};
pub use leases::Leases;
pub use repository::{from_item, readable, rows_at, rows_count};
pub use sessions::{Session, Sessions};
pub use suppressions::Suppressions;
pub use tasks::{Queue, Task, TaskTrace, Tasks};
pub use templates::Templates;
pub use users::{Users, unchanged};

use std::sync::Arc;

use emcrm_model::IdSource;

/// All repositories over one engine.
#[derive(Clone)]
pub struct Store {
    pub engine: Arc<dyn Engine>,
    pub users: Users,
    pub events: Events,
    pub attendances: Attendances,
    pub campaigns: Campaigns,
    pub suppressions: Suppressions,
    pub templates: Templates,
    pub counts: Counts,
    pub idempotency: IdempotencyRows,
    pub tasks: Tasks,
    pub leases: Leases,
    pub api_tokens: ApiTokens,
    pub sessions: Sessions,
    pub audit: Audit,
}

impl Store {
    pub fn new(engine: Arc<dyn Engine>, ids: Arc<dyn IdSource>) -> Self {
        Self {
            users: Users::new(engine.clone()),
            events: Events::new(engine.clone()),
            attendances: Attendances::new(engine.clone()),
            campaigns: Campaigns::new(engine.clone()),
            suppressions: Suppressions::new(engine.clone()),
            templates: Templates::new(engine.clone()),
            counts: Counts::new(engine.clone()),
            idempotency: IdempotencyRows::new(engine.clone()),
            tasks: Tasks::new(engine.clone(), ids),
            leases: Leases::new(engine.clone()),
            api_tokens: ApiTokens::new(engine.clone()),
            sessions: Sessions::new(engine.clone()),
            audit: Audit::new(engine.clone()),
            engine,
        }
    }
}
