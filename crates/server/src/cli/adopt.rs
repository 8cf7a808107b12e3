//! `emcrm adopt`: tables that an earlier service wrote, brought up to date.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use emcrm_app::adopt::{Adopted, Shared, adopt};

use super::open::open_app;
use super::progress::Line;
use super::verify::in_words;
use crate::config::Config;

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  emcrm adopt --dry-run                  say what the tables lack and what a person has to decide; change nothing
  emcrm adopt                            add what is missing; may run beside a live server, and again after it was interrupted

Nothing is mailed by it, and nothing that a person entered is changed. docs/ADOPTING.md says what is added.
Exit status: 0 all is well; 1 a person has to decide something, or with --dry-run: something would be done.")]
pub struct AdoptArgs {
    /// Change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: AdoptArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_app(&config).await?;
    let line = Line::new(None, args.json);
    let adopted = adopt(&app, args.dry_run, &|what, n| line.set(what, n)).await?;
    drop(line);
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&adopted)?)?;
    } else {
        stdout.write_all(text(&adopted, args.dry_run).as_bytes())?;
    }
    let well = adopted.is_settled() && !(args.dry_run && adopted.changed > 0);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(adopted: &Adopted, dry_run: bool) -> String {
    let Adopted { users, events, attendances, campaigns, deliveries, others, changed, .. } = adopted;
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(text, "Rows: {users} users, {events} events, {attendances} attendances, {campaigns} campaigns, {deliveries} deliveries, {others} others.");
    let _ = writeln!(text, "{changed} of them {} revision or other things that were added later.", if dry_run { "lack their" } else { "got their" });
    for (place, why) in &adopted.unreadable {
        let _ = writeln!(text, "  unreadable: {place}: {why}");
    }
    for Shared { kind, value, of } in &adopted.shared {
        let _ = writeln!(text, "  {}: {value}: {}", kind.as_str(), of.join(", "));
    }
    if adopted.shared_total > adopted.shared.len() as u64 {
        let _ = writeln!(text, "  … {} addresses and slugs are shared in all.", adopted.shared_total);
    }
    if adopted.unreadable_total > adopted.unreadable.len() as u64 {
        let _ = writeln!(text, "  … {} rows cannot be read in all.", adopted.unreadable_total);
    }
    text + &in_words(&adopted.report, !dry_run)
}
