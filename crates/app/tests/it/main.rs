//! Use cases on real embedded engines in memory, with a clock that stands still and a transport that answers as told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod attendance;
mod campaigns;
mod cascade;
mod events;
mod faults;
mod search;
mod support;
mod users;
