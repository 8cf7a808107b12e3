//! Transports against servers that behave, and against servers that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod message;
mod outbox;
mod server;
mod sink;
mod smtp_announced;
mod smtp_failures;
mod smtp_sessions;
mod smtp_tls;
