//! The search index on OpenSearch 2 and 3, and nothing else. No other crate knows OpenSearch's requests.
//!
//! - One index holds users and events, behind an alias. Its name ends in a number, its generation; a rebuild fills the next generation beside
//!   the one in use, then moves the alias in one step. A generation that is being filled has the alias `{name}-next`, and whoever writes,
//!   in whatever process, writes to both.
//! - Values are folded and words are cut here, by the functions that the embedded index uses, and stored as they are. So both indexes answer
//!   the same, whatever analysers a cluster has.
//! - A write is durable when it is acknowledged, and visible within half a second, without a refresh for each write.
//! - Pages go on from a value and an id. That stays right while documents come and go, so no point in time is kept open in the cluster.
//!
//! | file | holds |
//! |---|---|
//! | `index` | the seam's functions |
//! | `generations` | which index is in use, which is being filled; making them |
//! | `rebuild` | filling the next generation, taking over from one that died |
//! | `bulk` | writes: bounded, each item's answer looked at, repeated where the cluster is busy |
//! | `query` | conditions and pages as OpenSearch's queries |
//! | `mapping` | fields, settings, documents |
//! | `client` | one request: signed in, bounded, its failure in words |

mod bulk;
mod client;
mod generations;
mod index;
mod mapping;
mod query;
mod rebuild;

use std::fmt;
use std::time::Duration;

pub use index::OpenSearchIndex;

/// How OpenSearch is reached.
#[derive(Debug, Clone)]
pub struct OpenSearchSettings {
    /// Address of the cluster, such as `https://search.example.org:9200`.
    pub endpoint: String,
    pub auth: Auth,
    /// Check the cluster's certificate.
    pub verify_certs: bool,
    /// Name of the alias; indexes are called `{name}-000001` and so on.
    pub name: String,
    pub connect_timeout: Duration,
    /// Of one request.
    pub read_timeout: Duration,
    /// Idle connections that are kept.
    pub connections: usize,
    pub shards: u32,
    /// How long a rebuild waits until every process has seen it begin: longer than processes keep what they know of the generations.
    pub announce: Duration,
}

/// Who signs in.
#[derive(Clone)]
pub enum Auth {
    None,
    Basic {
        user: String,
        password: String,
    },
    /// Requests are signed for Amazon OpenSearch Service (SigV4) with the credentials of the surroundings.
    Aws {
        region: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { user, .. } => write!(f, "Basic({user}, hidden)"),
            Self::Aws { region } => write!(f, "Aws({region})"),
        }
    }
}
