//! `emcrm import`: an archive into an empty storage.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use emcrm_app::archive::import;

use super::open::open_new_app;
use super::progress::Line;
use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm import everything.emcrm.gz       into the storage of this configuration, which must be empty

The whole file is checked before anything is written. An import that was interrupted goes on where it was: run it again.
docs/MOVING.md describes the file.")]
pub struct ImportArgs {
    /// The archive that `emcrm export` made
    pub file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: ImportArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_new_app(&config).await?;
    let line = Line::new(None, args.json);
    let imported = import(&app, &args.file, &|what, n| line.set(what, n)).await?;
    drop(line);
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&imported)?)?;
    } else {
        if imported.before > 0 {
            writeln!(stdout, "Went on after {} items of an interrupted import.", imported.before)?;
        }
        writeln!(stdout, "{} items are here, {} documents in the search index.", imported.items, imported.documents)?;
    }
    Ok(ExitCode::SUCCESS)
}
