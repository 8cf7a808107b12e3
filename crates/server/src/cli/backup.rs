//! `emcrm backup`, `emcrm restore` and `emcrm restored`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use emcrm_app::noted_beside;
use emcrm_app::restored::Held;
use emcrm_model::{Clock as _, RandomIds, SystemClock};
use emcrm_store::sqlite::{DATABASE, OpenError};
use serde_json::json;

use super::open::{StartError, open_app};
use crate::backup::{self, BackupError};
use crate::config::{Config, DbEngine, secret_key};

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm backup /backups/crm-2026-11-25   a new folder; the server goes on serving

The folder holds the database as it was at one moment, the key, and a note with a checksum. It is readable by its owner only, and it holds everybody's
data. That it was made is noted in the audit trail first. The search index is not in it: it is made anew. docs/OPERATIONS.md has the drill.")]
pub struct BackupArgs {
    /// A folder that is not there yet
    pub folder: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  APP_DATA_DIR=/var/lib/emcrm-new emcrm restore /backups/crm-2026-11-25

The data folder must be empty. Nothing is mailed by itself afterwards: campaigns that were under way are paused and say why, and confirmations that waited
are among the tasks that were given up.")]
pub struct RestoreArgs {
    /// The folder that `emcrm backup` made
    pub folder: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  DB_MAIN_TABLE_NAME=crm_restored DB_EMAIL_TABLE_NAME=email_restored emcrm restored --at 2026-11-25T10:00:00Z

For tables that were restored to a point in time. Run it before the first server or worker uses them: it pauses what would mail by itself.")]
pub struct RestoredArgs {
    /// The moment that the tables are of
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub at: String,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// People read it in each campaign that is held.
fn moment(text: &str) -> Result<String, String> {
    text.parse::<jiff::Timestamp>().map(|_| text.to_owned()).map_err(|_| "write it like 2026-11-25T10:00:00Z".to_owned())
}

pub async fn run_backup(args: BackupArgs, config: Config) -> anyhow::Result<ExitCode> {
    embedded_only(&config)?;
    let at = format!("{:.0}", SystemClock.now());
    let data = &config.app.data_dir;
    if !data.join(DATABASE).is_file() {
        // Before a key is made for it.
        let missing = OpenError::Folder { path: data.clone(), reason: format!("there is no {DATABASE} in it") };
        bail!(StartError::open(&missing));
    }
    // None is made here: where the server has its key from elsewhere, the deed is noted by nobody, and another key must not lie beside the data.
    let entry = if config.app.secret_key.is_some() || data.join(secret_key::FILE).is_file() {
        let key = config.secret_key().map_err(|error| StartError::Data(format!("The key of {} cannot be used: {error}.", data.display())))?;
        Some(noted_beside(&key, &SystemClock, &RandomIds, "data.backed_up"))
    } else {
        None
    };
    let note = backup::backup(data, &args.folder, &at, entry.as_ref()).await.map_err(told)?;
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&note)?)?;
    } else {
        writeln!(stdout, "{} is a backup of {}: {} bytes, read through once.", args.folder.display(), note.at, note.bytes)?;
        if !note.key {
            writeln!(stdout, "The key is not in it, because there is no secret.key in the data folder: keep what APP_SECRET_KEY says as well.")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn run_restore(args: RestoreArgs, config: Config) -> anyhow::Result<ExitCode> {
    embedded_only(&config)?;
    let note = backup::restore(&args.folder, &config.app.data_dir)?;
    // A process that dies here leaves the mark: the first start holds the campaigns.
    let app = open_app(&config).await?;
    let held = app.restored_settle().await?.unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", json!({ "at": note.at, "held": held }))?;
    } else {
        writeln!(stdout, "{} holds what was there at {}. {}", config.app.data_dir.display(), note.at, in_words(held))?;
        writeln!(stdout, "The search index is made anew at the next start. `emcrm verify` recounts everything.")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn run_restored(args: RestoredArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_app(&config).await?;
    let held = app.restored_hold(&args.at).await?;
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", json!({ "at": args.at, "held": held }))?;
    } else {
        writeln!(stdout, "{}", in_words(held))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with the data folder ends like it does for every other command.
fn told(error: BackupError) -> anyhow::Error {
    match error {
        BackupError::Open(error) => StartError::open(&error).into(),
        other => other.into(),
    }
}

fn in_words(held: Held) -> String {
    format!(
        "{} campaigns that were under way are paused until somebody resumes them; {} confirmations that waited are among the tasks that were given up.",
        held.campaigns, held.confirmations
    )
}

fn embedded_only(config: &Config) -> Result<(), anyhow::Error> {
    if config.storage().engine != DbEngine::Sqlite {
        bail!(StartError::Data(
            "The tables of DynamoDB are backed up by AWS: point-in-time recovery and AWS Backup. docs/OPERATIONS.md says how they are restored, and what \
             `emcrm restored` does afterwards. `emcrm export` writes everything into one file."
                .to_owned()
        ));
    }
    Ok(())
}
