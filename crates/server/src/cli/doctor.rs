//! `emcrm doctor`: says what is wrong.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm doctor                           configuration, folders, database, index
  emcrm doctor --live                    ask the running server as well
  emcrm doctor --json                    for programs")]
pub struct DoctorArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Ask the running server as well
    #[arg(long)]
    pub live: bool,
}

#[expect(clippy::unused_async, reason = "written next")]
pub async fn run(_: DoctorArgs, _: Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("doctor is not there yet")
}
