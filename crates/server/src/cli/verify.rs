//! `emcrm verify`: recounts everything and compares.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm verify                           exit status 0 when everything agrees, 1 when not
  emcrm verify --repair                  put right what can be put right
  emcrm verify --json                    for programs")]
pub struct VerifyArgs {
    /// Put right what can be put right
    #[arg(long)]
    pub repair: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[expect(clippy::unused_async, reason = "written next")]
pub async fn run(_: VerifyArgs, _: Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("verify is not there yet")
}
