//! Every rule and use case of EMCRM. It knows the seams only: which engine, index and transport are in use is the server's choice.
//!
//! | file | holds |
//! |---|---|
//! | `users`, `events`, `attendance`, `search`, `campaigns` | use cases, named object first: `user_create`, `campaign_pause` |
//! | `freeze`, `send`, `steer` | a campaign's audience and its mails, as tasks |
//! | `template`, `render`, `calendar` | content, checked, and filled in for each recipient |
//! | `links`, `tracking`, `suppressions`, `feedback` | signed links in mails, and what comes back by them or from mail servers |
//! | `roster`, `roster_import`, `registrations` | who comes to an event, as people at a door see it; many from a file; what anybody may do on an event's public page |
//! | `mail_templates` | reusable content |
//! | `cascade` | what follows a deletion, as tasks |
//! | `indexing` | documents of the search index, kept up by tasks, rebuilt while serving |
//! | `worker` | runs the tasks |
//! | `spans` | what of them is traced |
//! | `bulk` | many users, events and attendances at once |
//! | `archive` | everything as one file, for moving between engines |
//! | `adopt` | tables that an earlier service wrote, brought up to date |
//! | `sorter` | sorting more than fits into memory |
//! | `verify` | recounts everything |
//! | `generate` | made-up people, events and attendances from a seed |
//! | `audit` | who did what, in a chain that shows what was tampered with |
//! | `api_tokens`, `sessions`, `sealing` | who may call, and values that only this installation can open |
//! | `privacy` | what is held about a person: all of it, and none of it |
//! | `drain` | has waiting tasks done, for programs that are not a server |
//! | `health`, `dead_letters` | what is reachable, what waits, what was given up |
//! | `outbox` | mails that became files |
//! | `app`, `call`, `error`, `cursor`, `paging` | the seams, who calls, what can go wrong, where a list goes on |

pub mod adopt;
pub mod api_tokens;
pub mod app;
pub mod archive;
pub mod attendance;
pub mod audit;
pub mod bulk;
pub mod calendar;
pub mod call;
pub mod campaigns;
mod cascade;
mod cursor;
pub mod dead_letters;
pub mod drain;
pub mod error;
pub mod events;
pub mod feedback;
mod freeze;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod generate;
pub mod health;
pub mod indexing;
pub mod links;
pub mod mail_templates;
pub mod outbox;
mod paging;
pub mod people_import;
mod privacy;
pub mod registrations;
pub mod render;
pub mod restored;
pub mod roster;
pub mod roster_import;
mod sealing;
pub mod search;
mod send;
pub mod sessions;
mod sorter;
mod spans;
mod steer;
pub mod suppressions;
pub mod template;
pub mod tracking;
pub mod users;
pub mod verify;
pub mod when;
pub mod worker;

pub use app::{AccessSettings, App, AppParts, AppSettings};
pub use attendance::Attendee;
pub use audit::{ChainFault, noted_beside};
pub use call::{Call, Idempotency};
pub use campaigns::{LeftOut, Pace, Preflight, Preview, Progress, Reach, Sample, Seen, Unmailed};
pub use error::AppError;
pub use events::{EventList, EventSave};
pub use health::{Backlog, Health, QueueBacklog};
pub use search::{FacetValue, SearchPosition, UserSearch, UserSearchPage};
pub use send::DomainLimits;
pub use users::UserList;
pub use worker::Worker;
