//! Storms: many clients at once, processes that die, lists that grow while they are read, disks that are full. Against the real binary and real parts.
//!
//! Each runs a bounded slice here; `EMCRM_SOAK=1` runs the long version.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::cast_lossless,
    reason = "tests fail by panicking, say their figures, and are called with literals"
)]

mod backup;
mod campaign_kills;
mod data_folder;
#[path = "../../../app/tests/it/forgetful.rs"]
mod forgetful;
mod kills;
mod mail_faults;
mod moving;
mod outages;
mod races;
mod real_input;
mod restarts;
mod scaling;
#[path = "../../../mail/tests/it/server.rs"]
#[allow(dead_code, reason = "the tests of the transports, whose server this is, use all of it")]
mod scripted;
mod support;
mod walks;
