//! `emcrm verify`: recounts everything and compares.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use emcrm_app::verify::{Repair, VerifyReport, verify};
use serde_json::json;

use super::open::open_app;
use super::progress::Line;
use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm verify                           exit status 0 when everything agrees, 1 when not
  emcrm verify --repair                  put right what can be put right
  emcrm verify --json                    for programs

Counted again: users, events, attendances, hosts, seats, claims on addresses and slugs, every campaign's ledger; and the search index is
compared with what is stored, document by document. Work that waits is done first, except mail: verify sends nothing.
The server must not run on the same data folder. Memory stays small with any amount of data.

Exit status: 0 nothing was found; 1 something was found, also when --repair has put it right: run verify again to see 0.")]
pub struct VerifyArgs {
    /// Put right what can be put right
    #[arg(long)]
    pub repair: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: VerifyArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_app(&config).await?;
    let line = Line::new(None, args.json);
    let report = verify(&app, args.repair, &|what, n| line.set(what, n)).await?;
    drop(line);
    let mut stdout = std::io::stdout().lock();
    if args.json {
        let mut body = serde_json::to_value(&report)?;
        if let Some(body) = body.as_object_mut() {
            body.insert("clean".to_owned(), json!(report.is_clean()));
        }
        writeln!(stdout, "{body}")?;
    } else {
        stdout.write_all(in_words(&report, args.repair).as_bytes())?;
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The report for a person.
pub(super) fn in_words(report: &VerifyReport, repair: bool) -> String {
    let mut text = String::new();
    let counted = &report.counted;
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "Counted: {} users, {} events, {} attendances, {} campaigns, {} deliveries, {} documents of the index.",
        counted.users, counted.events, counted.attendances, counted.campaigns, counted.deliveries, counted.documents
    );
    for finding in &report.findings {
        let repaired = match finding.repair {
            Repair::NotAsked => "",
            Repair::Done => " [repaired]",
            Repair::NotPossible => " [a person has to decide]",
            Repair::Overtaken => " [changed meanwhile, not repaired]",
        };
        let _ = writeln!(text, "  {}: {}: {}{repaired}", finding.kind.as_str(), finding.place, finding.detail);
    }
    let unlisted = report.total() - report.findings.len() as u64;
    if unlisted > 0 {
        let _ = writeln!(text, "  … and {unlisted} more.");
        for (kind, n) in &report.found {
            let _ = writeln!(text, "  {}: {n} in all", kind.as_str());
        }
    }
    for note in &report.notes {
        let _ = writeln!(text, "  note: {}: {}: {}", note.place, note.count, note.detail);
    }
    let _ = match (report.total(), report.repaired) {
        (0, _) => writeln!(text, "Everything agrees."),
        (total, 0) if report.findings.len() as u64 == total && report.findings.iter().all(|finding| finding.repair == Repair::NotPossible) => {
            writeln!(text, "{}; a person has to decide about each.", differences(total))
        }
        (total, 0) if !repair => writeln!(text, "{}. `emcrm verify --repair` puts right what has one right value.", differences(total)),
        (total, repaired) => writeln!(text, "{}, {repaired} put right. Run `emcrm verify` again to be sure.", differences(total)),
    };
    text
}

fn differences(total: u64) -> String {
    if total == 1 { "1 difference".to_owned() } else { format!("{total} differences") }
}

#[cfg(test)]
mod tests {
    use emcrm_app::verify::{Counted, Finding, FindingKind, Note, NoteKind};

    use super::*;

    #[test]
    fn a_report_says_what_where_and_what_was_done_about_it() {
        let finding = |repair| Finding {
            kind: FindingKind::AttendedCount,
            place: "user#u1".to_owned(),
            detail: "attendedCount is 3, there are 2 attendances".to_owned(),
            repair,
        };
        let mut report = VerifyReport { counted: Counted { users: 7, ..Counted::default() }, ..VerifyReport::default() };
        assert!(in_words(&report, false).ends_with("Everything agrees.\n"));
        report.findings = vec![finding(Repair::Done), finding(Repair::NotPossible)];
        report.found = [(FindingKind::AttendedCount, 2)].into_iter().collect();
        report.repaired = 1;
        report.notes = vec![Note { kind: NoteKind::UnknownDeliveries, count: 4, place: "email#e1".to_owned(), detail: "the answer was lost".to_owned() }];
        assert_eq!(
            in_words(&report, true),
            "Counted: 7 users, 0 events, 0 attendances, 0 campaigns, 0 deliveries, 0 documents of the index.\n\
             \x20 attended_count: user#u1: attendedCount is 3, there are 2 attendances [repaired]\n\
             \x20 attended_count: user#u1: attendedCount is 3, there are 2 attendances [a person has to decide]\n\
             \x20 note: email#e1: 4: the answer was lost\n\
             2 differences, 1 put right. Run `emcrm verify` again to be sure.\n"
        );
    }
}
