//! HTTP tests in one binary: the contract of the API line by line, against the real router with engines in memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    reason = "a test that cannot go on should end"
)]

mod access;
mod adopting;
mod attendance;
mod audience;
mod authz;
mod bodies;
mod cognito;
mod commands;
mod commands_access;
mod conditional;
mod config;
mod costs;
mod docs;
mod earlier_rows;
mod edge;
mod email;
mod email_life;
mod events;
mod hardening;
mod health;
mod helpers;
mod idempotency;
mod metrics;
mod moving;
mod pages;
mod process;
mod reader;
mod restored;
mod search;
mod sign_in;
mod slow;
mod traces;
mod upgrade;
mod users;
mod web_access;
mod web_again;
mod web_campaigns;
mod web_events;
mod web_import;
mod web_people;
mod web_public;
mod web_settings;
mod web_shell;
