//! `emcrm openapi`: the document, without starting anything.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::openapi::document;

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Example:
  emcrm openapi > openapi.json           the OpenAPI 3.1 document of this version")]
pub struct OpenapiArgs {}

pub fn run(_: &OpenapiArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", document(&config.app.name).to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
