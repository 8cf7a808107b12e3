//! `emcrm reindex`: builds the search index anew.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Example:
  emcrm reindex                          from what is stored; nothing is lost by it")]
pub struct ReindexArgs {}

#[expect(clippy::unused_async, reason = "written next")]
pub async fn run(_: ReindexArgs, _: Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("reindex is not there yet")
}
