//! `emcrm init-db`: makes what the storage needs before the first start.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::open::{StartError, open_new_app};
use crate::config::{Config, DbEngine};

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  emcrm init-db                          make the tables that are not there, then check all
  emcrm init-db --print                  both tables as JSON, for tools that make them

With the embedded storage there is nothing to make: the first start makes its file.
With APP_PRODUCTION=true no table is made; Terraform does (deploy/terraform).")]
pub struct InitDbArgs {
    /// Describe the tables of DynamoDB and make nothing
    #[arg(long)]
    pub print: bool,
}

pub async fn run(args: InitDbArgs, load: impl FnOnce() -> Result<Config, StartError>) -> anyhow::Result<ExitCode> {
    if args.print {
        return print();
    }
    let config = load()?;
    let said = match config.storage().engine {
        DbEngine::Sqlite => {
            open_new_app(&config).await?;
            format!("The data folder {} is ready.", config.app.data_dir.display())
        }
        DbEngine::Dynamodb => tables(&config).await?,
    };
    writeln!(std::io::stdout().lock(), "{said}")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "aws")]
fn print() -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout().lock(), "{:#}", emcrm_store_dynamodb::tables::described())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "aws")]
async fn tables(config: &Config) -> anyhow::Result<String> {
    let settings = config.dynamo_settings();
    let made = super::open::make_tables(config).await?;
    // In production, too, this says what is missing.
    emcrm_store_dynamodb::DynamoEngine::open(settings.clone()).await.map_err(|error| StartError::dynamodb(&error))?;
    let both = format!("{} and {}", settings.main_table, settings.email_table);
    Ok(match made.as_slice() {
        [] => format!("The tables {both} are there, with all their indexes."),
        made => format!("Made {}; {both} are ready.", made.join(" and ")),
    })
}

#[cfg(not(feature = "aws"))]
fn print() -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no DynamoDB engine")
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the twin of one that waits")]
async fn tables(_: &Config) -> anyhow::Result<String> {
    anyhow::bail!("this build has no DynamoDB engine")
}
