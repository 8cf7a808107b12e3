//! Revision of a stored object: +1 at each write. It becomes the `ETag`.

use serde::{Deserialize, Serialize};

/// 1 after the first write. 0 is an object that an earlier service wrote without a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rev(pub i64);
