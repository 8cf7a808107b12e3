//! Use cases on real embedded engines in memory, with a clock that stands still and a transport that answers as told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::cast_lossless,
    reason = "tests fail by panicking, say their figures, and are called with literals"
)]

mod adopt;
mod archive;
mod attendance;
mod audit;
mod campaign_content;
mod campaign_life;
mod campaign_lists;
mod campaigns;
mod cascade;
mod consent;
mod cut_off;
mod dead_letters;
mod events;
mod faults;
mod forgetful;
mod people_import;
mod privacy;
mod registrations;
mod roster;
mod search;
mod send_announced;
mod send_storm;
mod support;
mod users;
