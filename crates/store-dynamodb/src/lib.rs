//! The engine on Amazon DynamoDB, and nothing else. No other crate names a type of the DynamoDB SDK.
//!
//! | file | holds |
//! |---|---|
//! | `engine` | the five verbs, and `scan` |
//! | `tables` | both tables with their indexes: described once, made, checked |
//! | `query` | a query of the seam as a request, for the indexes that a table really has |
//! | `expressions` | guards and changes as DynamoDB's expressions |
//! | `values` | JSON values as attribute values and back |
//! | `calls` | one call: bounded in number, measured, repeated where that is right |
//! | `order` | writes of one process to one item wait for each other instead of conflicting |

mod calls;
mod engine;
mod expressions;
mod order;
mod query;
pub mod tables;
mod values;

use std::time::Duration;

pub use calls::{Meter, Metered};
pub use engine::{DynamoEngine, FORMAT, OpenError, note_format};

/// How DynamoDB is reached.
#[derive(Debug, Clone)]
pub struct DynamoSettings {
    pub region: String,
    /// Where it is not the region's own, such as `http://127.0.0.1:8000`.
    pub endpoint: Option<String>,
    pub main_table: String,
    pub email_table: String,
    /// Times that a throttled or failed call is repeated. Conflicts between transactions are repeated for as long as ten seconds.
    pub retries: u32,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    /// Calls at once.
    pub connections: usize,
}
