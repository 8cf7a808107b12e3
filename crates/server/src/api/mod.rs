//! The handlers, by resource. They turn a request into model types, call the application, and write its answer; no rule lives here.

pub mod attendance;
pub mod audit;
pub mod auth;
pub mod campaigns;
pub mod docs;
pub mod email;
pub mod error;
pub mod events;
pub mod health;
pub mod mail_events;
pub mod mail_templates;
pub mod privacy;
pub mod search;
pub mod suppressions;
pub mod tokens;
pub mod users;
