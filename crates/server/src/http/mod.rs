//! What every request goes through and every handler uses; nothing in here knows a resource.
//!
//! | file | holds |
//! |---|---|
//! | `edge` | the way in and out: ids, limits, panics, headers, the log line, metrics |
//! | `gate` | names that are answered to, how often somebody may ask |
//! | `connections` | how many connections an address may have |
//! | `request` | what the edge tells handlers about the request, and they tell it |
//! | `body` | JSON bodies with their limits |
//! | `query` | query strings, all faults at once |
//! | `path` | ids in paths |
//! | `answer` | JSON answers, pages, `ETag` |
//! | `call` | `Idempotency-Key` and `If-Match` |
//! | `gzip` | compression of large answers |
//! | `metrics`, `trace` | the metrics of requests, and their spans |
//! | `schema` | pieces of the OpenAPI document that state the model's limits |

pub mod answer;
pub mod body;
pub mod call;
pub(crate) mod connections;
pub mod edge;
pub mod gate;
pub mod gzip;
pub mod metrics;
pub mod path;
pub mod query;
pub mod request;
pub mod schema;
mod trace;

pub use answer::{Answer, PageOut, json};
pub use body::{JsonBody, NoBody};
pub use query::QueryReader;
pub use request::RequestInfo;
