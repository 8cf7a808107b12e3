//! Mail through Amazon SES, and nothing else. No other crate names a type of the SES SDK.
//!
//! | file | holds |
//! |---|---|
//! | `transport` | the seam's functions |
//! | `outcome` | what SES's answers and failures mean for a mail |
//! | `sns` | bounces and complaints that SES tells by SNS |
//! | `account` | what the account may send, and how fast |
//! | `identity` | whether it may send from an address |

#[cfg(feature = "transport")]
mod account;
#[cfg(feature = "transport")]
mod identity;
#[cfg(feature = "transport")]
mod outcome;
mod sns;
#[cfg(feature = "transport")]
mod transport;

use std::time::Duration;

#[cfg(fuzzing)]
pub use sns::reports;
pub use sns::{Fetch, SnsTopic};
#[cfg(feature = "transport")]
pub use transport::SesTransport;

/// How SES is reached, and what is known of the account beforehand.
#[derive(Debug, Clone)]
pub struct SesSettings {
    pub region: String,
    /// Where it is not the region's own, for tests.
    pub endpoint: Option<String>,
    /// Which configuration set mails belong to: where SES reports bounces and complaints.
    pub configuration_set: Option<String>,
    /// Mails on their way at once.
    pub connections: usize,
    /// Messages per second of this process; the account's own rate wins where it is lower.
    pub rate: Option<u32>,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
}
