//! The handlers, by resource. They turn a request into model types, call the application, and write its answer; no rule lives here.

pub mod attendance;
pub mod auth_status;
pub mod campaigns;
pub mod docs;
pub mod email;
pub mod error;
pub mod events;
pub mod health;
pub mod mail_events;
pub mod mail_templates;
pub mod search;
pub mod suppressions;
pub mod users;
