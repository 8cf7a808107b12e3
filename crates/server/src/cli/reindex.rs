//! `emcrm reindex`: builds the search index anew.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::open::open_app;
use super::progress::Line;
use crate::config::Config;

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  emcrm reindex                          from what is stored; nothing is lost by it
  emcrm reindex --json                   for programs

The server must not run on the same data folder: it rebuilds a missing index by itself.")]
pub struct ReindexArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: ReindexArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_app(&config).await?;
    let line = Line::new(None, args.json);
    let began = Instant::now();
    let documents = app.reindex(|n| line.set("documents", n)).await?;
    drop(line);
    let seconds = began.elapsed().as_secs_f64();
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", json!({ "documents": documents, "seconds": seconds }))?;
    } else {
        writeln!(stdout, "{documents} documents in {seconds:.1} s; the new index is in use.")?;
    }
    Ok(ExitCode::SUCCESS)
}
