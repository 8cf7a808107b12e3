//! `emcrm generate`: made-up people, events and attendances, the same for the same seed.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm generate                         1,000 people, 20 events, 5,000 attendances
  emcrm generate --users 1000000 --events 500 --attendance 2000000 --seed 7")]
pub struct GenerateArgs {
    /// People to make
    #[arg(long, default_value_t = 1_000)]
    pub users: u64,
    /// Events to make
    #[arg(long, default_value_t = 20)]
    pub events: u64,
    /// Attendances to make, spread over people and events
    #[arg(long, default_value_t = 5_000)]
    pub attendance: u64,
    /// The same seed makes the same data
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[expect(clippy::unused_async, reason = "written next")]
pub async fn run(_: GenerateArgs, _: Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("generate is not there yet")
}
