//! Plain types of EMCRM: what is valid, how it is parsed, how it is compared. No IO, no async.
//!
//! | file | holds |
//! |---|---|
//! | `users`, `events`, `attendance` | the resources: stored shape, draft (create/replace), patch |
//! | `campaigns`, `campaign_drafts`, `deliveries` | bulk mail: the campaign, what a client says about it, its ledger |
//! | `recipients` | whom a campaign is for |
//! | `mail_templates`, `suppressions` | reusable content, and addresses that must not be mailed |
//! | `filters` | conditions that select users, and the folding that "exact" means |
//! | `fields` | parsing of JSON bodies that collects every fault, not the first |
//! | `ids`, `email_address`, `slug`, `date_time`, `rev` | values that cannot hold a wrong value |
//! | `pages` | page requests and pages |
//! | `actors` | who calls, and what a role may do |
//! | `api_tokens`, `audit` | what is kept about tokens of programs, and about who did what |
//! | `clock` | time and ids are injected, never taken |

pub mod actors;
pub mod api_tokens;
pub mod attendance;
pub mod audit;
pub mod campaign_drafts;
pub mod campaigns;
pub mod clock;
pub mod date_time;
pub mod deliveries;
pub mod email_address;
pub mod events;
pub mod fields;
pub mod filters;
pub mod ids;
pub mod mail_templates;
pub mod pages;
pub mod recipients;
pub mod rev;
pub mod slug;
pub mod suppressions;
pub mod users;

pub use actors::{Actor, Caller, Grant, Role};
pub use api_tokens::{ApiToken, ApiTokenDraft};
pub use attendance::{Attendance, AttendanceDraft};
pub use audit::{AuditEntry, ChainedEntry, NewEntry};
pub use campaign_drafts::{CampaignDraft, MailContent, Schedule};
pub use campaigns::{BodyFormat, Campaign, CampaignKind, CampaignState, Tracking};
pub use clock::{Clock, FixedClock, IdSource, RandomIds, SeededIds, SystemClock};
pub use date_time::DateTime;
pub use deliveries::{Delivery, DeliveryCounts, DeliveryState};
pub use email_address::EmailAddress;
pub use events::{Event, EventDraft, EventPatch};
pub use fields::{FieldError, FieldErrors, Fields, Patch};
pub use filters::{UserFilter, fold};
pub use ids::{CampaignId, EventId, UserId};
pub use mail_templates::{MailTemplate, MailTemplateDraft};
pub use pages::{Page, PageRequest, Position};
pub use recipients::{Audience, Recipients};
pub use rev::Rev;
pub use slug::Slug;
pub use suppressions::{Listed, Suppression, SuppressionReason};
pub use users::{Gender, User, UserDraft, UserPatch};
