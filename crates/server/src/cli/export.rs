//! `emcrm export`: everything that is stored, as one file.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use emcrm_app::Call;
use emcrm_app::archive::export;

use super::open::open_app;
use super::progress::Line;
use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm export everything.emcrm.gz       then, with the other configuration: emcrm import everything.emcrm.gz
  emcrm export --online copy.emcrm.gz    although workers are running

Stop the servers and workers first, so that the archive is of one moment. The file is readable by its owner only; it holds everybody's data.
docs/MOVING.md describes the file.")]
pub struct ExportArgs {
    /// The archive; replaced when it is there
    pub file: PathBuf,
    /// Export although workers are running: what they change meanwhile may be in the archive by halves
    #[arg(long)]
    pub online: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: ExportArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_app(&config).await?;
    // Before the first byte, and in the archive itself.
    app.audit_export(&Call::system(), "data.exported", "").await?;
    let line = Line::new(None, args.json);
    let exported = export(&app, &args.file, args.online, &|n| line.set("items", n)).await?;
    drop(line);
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&exported)?)?;
    } else {
        writeln!(stdout, "{} items in {}, checksum {}.", exported.items, args.file.display(), exported.sha256)?;
    }
    Ok(ExitCode::SUCCESS)
}
