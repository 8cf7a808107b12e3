//! `emcrm generate`: made-up people, events and attendances, the same for the same seed.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use emcrm_app::generate::{GeneratePlan, Generated, fixed_base, generate};
use parking_lot::Mutex;
use serde_json::json;

use super::open::open_new_app;
use super::progress::Line;
use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm generate                         1,000 people, 20 events, 5,000 attendances
  emcrm generate --users 1000000 --events 500 --attendance 2000000 --seed 7
  emcrm generate --now --json            events around today; for programs

The same seed makes the same people, events and attendances, down to ids and times: events are around January 2026 unless --now.
What is there already stays as it is, so a second run adds nothing. Nobody is real: addresses end in example.com, .org and .net.
The server must not run on the same data folder.")]
pub struct GenerateArgs {
    /// People to make
    #[arg(long, default_value_t = 1_000)]
    pub users: u64,
    /// Events to make
    #[arg(long, default_value_t = 20)]
    pub events: u64,
    /// Attendances to make, spread over people and events
    #[arg(long, default_value_t = 5_000)]
    pub attendance: u64,
    /// The same seed makes the same data
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Events around today instead of a fixed day
    #[arg(long)]
    pub now: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// When a stage began and when it was last heard of.
#[derive(Debug, Clone)]
struct Stage {
    name: String,
    began: Instant,
    ended: Instant,
}

pub async fn run(args: GenerateArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_new_app(&config).await?;
    let plan = GeneratePlan {
        users: args.users,
        events: args.events,
        attendance: args.attendance.min(args.users.saturating_mul(args.events)),
        seed: args.seed,
        base: (!args.now).then(fixed_base),
    };
    let line = Line::new(Some(args.users), args.json);
    let stages: Mutex<Vec<Stage>> = Mutex::default();
    let began = Instant::now();
    let told = |name: &str, n: u64| {
        let total = match name {
            "people" => plan.users,
            "events" => plan.events,
            "attendances" => plan.attendance,
            _ => plan.users + plan.events,
        };
        line.set_of(name, n, total);
        let now = Instant::now();
        let mut stages = stages.lock();
        let last = stages.last().map_or(began, |stage| stage.ended);
        match stages.last_mut() {
            Some(stage) if stage.name == name => stage.ended = now,
            _ => stages.push(Stage { name: name.to_owned(), began: last, ended: now }),
        }
    };
    let made = generate(&app, &plan, &told).await?;
    drop(line);
    let seconds = began.elapsed().as_secs_f64();
    let rate = |name: &str, n: u64| {
        let stages = stages.lock();
        let took = stages.iter().find(|stage| stage.name == name).map_or(0.0, |stage| (stage.ended - stage.began).as_secs_f64());
        if took > 0.0 { (n as f64 / took).round() } else { 0.0 }
    };
    let rates = (rate("people", made.users), rate("attendances", made.attendance));
    let mut stdout = std::io::stdout().lock();
    if args.json {
        let mut body = serde_json::to_value(made)?;
        if let Some(body) = body.as_object_mut() {
            body.insert("seed".to_owned(), json!(args.seed));
            body.insert("seconds".to_owned(), json!(seconds));
            body.insert("usersPerSecond".to_owned(), json!(rates.0));
            body.insert("attendancePerSecond".to_owned(), json!(rates.1));
        }
        writeln!(stdout, "{body}")?;
    } else {
        stdout.write_all(in_words(made, seconds, rates).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(made: Generated, seconds: f64, (users, attendance): (f64, f64)) -> String {
    let Generated { users: people, events, attendance: attendances, already_there, refused } = made;
    let mut text =
        format!("Made {people} people ({users:.0}/s), {events} events and {attendances} attendances ({attendance:.0}/s), all searchable, in {seconds:.1} s.\n");
    if already_there > 0 {
        text = format!("{text}{already_there} were there already and stayed as they are.\n");
    }
    if refused > 0 {
        text = format!("{text}{refused} attendances found their event full, because an earlier run made it for fewer people.\n");
    }
    text
}
