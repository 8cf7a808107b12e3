//! Every rule and use case of EMCRM. It knows the seams only: which engine, index and transport are in use is the server's choice.
//!
//! | file | holds |
//! |---|---|
//! | `users`, `events`, `attendance`, `search`, `campaigns` | use cases, named object first: `user_create`, `campaign_pause` |
//! | `freeze`, `send` | a campaign's audience and its mails, as tasks |
//! | `cascade` | what follows a deletion, as tasks |
//! | `indexing` | documents of the search index, kept up by tasks, rebuilt while serving |
//! | `worker` | runs the tasks |
//! | `verify` | recounts everything |
//! | `call`, `error`, `cursor`, `paging` | who calls, what can go wrong, where a list goes on |

pub mod attendance;
pub mod call;
pub mod campaigns;
pub mod error;
pub mod events;
pub mod search;
pub mod users;

pub use call::{Call, Idempotency};
pub use error::AppError;
