//! The load program: measures what docs/PERFORMANCE.md promises, on the machine it runs on.
//!
//! | file | holds |
//! |---|---|
//! | `start`, `http`, `search`, `campaign` | one part of the table each |
//! | `on_aws` | the same on DynamoDB Local and OpenSearch |
//! | `layers` | the layers below HTTP, in this process, to find out where the time goes |
//! | `children` | the server that is measured, and other processes |
//! | `http_client`, `bare_http` | a cheap client; the handler that is compared with |
//! | `smtp_sink`, `smtp_sender` | a server that takes every mail; the sender that is compared with |
//! | `people`, `stats`, `report` | input, numbers, the table |

mod bare_http;
mod campaign;
mod children;
mod http;
mod http_client;
mod layers;
mod on_aws;
mod people;
mod report;
mod search;
mod smtp_sender;
mod smtp_sink;
mod start;
mod stats;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use children::{Emcrm, tell};
use report::{Report, Row};

/// As the product has it, so that `layers` measures the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures EMCRM and prints the table of budgets.")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// The program to measure. Default: `emcrm` beside this program.
    #[arg(long, global = true)]
    emcrm: Option<PathBuf>,
    /// Where data folders are made and removed. A real disk, not one in memory. Default: the system's folder for such files.
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
    /// A tenth of the data and shorter loads.
    #[arg(long, global = true)]
    quick: bool,
    /// Postfix's smtp-sink. Default: where Debian puts it.
    #[arg(long, global = true, env = "EMCRM_SMTP_SINK")]
    smtp_sink: Option<PathBuf>,
    /// DynamoDB Local, for `aws`.
    #[arg(long, global = true, env = "EMCRM_DYNAMODB", value_name = "URL")]
    dynamodb: Option<String>,
    /// OpenSearch, for `aws`.
    #[arg(long, global = true, env = "EMCRM_OPENSEARCH", value_name = "URL")]
    opensearch: Option<String>,
    /// Import with the application's code in this process instead of `emcrm generate`.
    #[arg(long, global = true)]
    own_import: bool,
    /// A setting for the server, such as APP_LOG_LEVEL=warn. Default: none, so its own defaults are measured.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

#[derive(Subcommand)]
enum Task {
    /// Everything (the default).
    All,
    /// Start, and memory of an idle server.
    Start,
    /// Create, read and register with 64 clients.
    Http,
    /// Campaigns to a local SMTP sink.
    Campaign,
    /// Bulk import: the first step of `search`.
    Import,
    /// Search with a million users.
    Search,
    /// Memory with a million users and a campaign.
    Memory,
    /// The same on DynamoDB Local and OpenSearch, which run already.
    Aws,
    /// The layers below HTTP, in this process.
    Layers {
        /// One of engine, app, import, campaign; all when absent.
        #[arg(default_value = "")]
        only: String,
        #[arg(long, default_value_t = 50_000)]
        people: usize,
        #[arg(long, value_delimiter = ',', default_value = "20,50")]
        connections: Vec<usize>,
    },
    #[command(hide = true)]
    BareHttp { body: String },
    #[command(hide = true)]
    Sink,
}

/// What all parts of a run need.
struct Bench {
    emcrm: Emcrm,
    /// Removed at the end.
    folder: PathBuf,
    quick: bool,
    own_import: bool,
    smtp_sink: Option<PathBuf>,
    /// Addresses of DynamoDB Local and OpenSearch.
    aws: Option<(String, String)>,
}

impl Bench {
    /// How long a load goes on.
    fn seconds(&self) -> u64 {
        if self.quick { 4 } else { 12 }
    }

    /// How many users "many" are.
    fn many(&self) -> u64 {
        if self.quick { 100_000 } else { 1_000_000 }
    }
}

fn main() -> Result<()> {
    let Arguments { task, emcrm, folder, quick, smtp_sink, dynamodb, opensearch, own_import, settings } = Arguments::parse();
    let task = task.unwrap_or(Task::All);
    let make_folder = || tempfile::Builder::new().prefix("emcrm-bench").tempdir_in(folder.clone().unwrap_or_else(std::env::temp_dir));
    match &task {
        Task::BareHttp { body } => return bare_http::serve(body.clone().into_bytes()),
        Task::Sink => return smtp_sink::serve(),
        Task::Layers { only, people, connections } => return layers::run(make_folder()?.path(), only, *people, connections),
        _ => {}
    }
    let folder = make_folder()?;
    let binary = match emcrm {
        Some(binary) => binary.canonicalize()?,
        None => std::env::current_exe()?.with_file_name("emcrm"),
    };
    if !binary.exists() {
        bail!("{} is not there; build it (cargo build --release) or name it with --emcrm", binary.display());
    }
    let mut pairs = Vec::new();
    for setting in settings {
        match setting.split_once('=') {
            Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
            None => bail!("--set wants KEY=VALUE, not {setting}"),
        }
    }
    let smtp_sink = smtp_sink.or_else(|| Some(PathBuf::from("/usr/sbin/smtp-sink"))).filter(|program| program.exists());
    let bench =
        Bench { emcrm: Emcrm { binary, settings: pairs }, folder: folder.path().to_owned(), quick, own_import, smtp_sink, aws: dynamodb.zip(opensearch) };
    tell(&machine(&bench.folder));
    let mut report = Report::default();
    measure(&task, &bench, &mut report)?;
    tell(&format!("\n{}", report.markdown()));
    tell(&format!("{} budgets missed", report.missed()));
    Ok(())
}

fn measure(task: &Task, bench: &Bench, report: &mut Report) -> Result<()> {
    let all = matches!(task, Task::All);
    if all || matches!(task, Task::Start) {
        start::run(bench, report)?;
    }
    if all || matches!(task, Task::Http) {
        http::run(bench, report)?;
    }
    if all || matches!(task, Task::Campaign) {
        campaign::run(bench, report)?;
    }
    if all || matches!(task, Task::Import) {
        search::filled(bench, report)?;
    }
    if all || matches!(task, Task::Search) {
        search::run(bench, report)?;
    }
    if all || matches!(task, Task::Memory) {
        search::memory(bench, report)?;
    }
    match &bench.aws {
        Some(aws) if all || matches!(task, Task::Aws) => on_aws::run(bench, aws, report)?,
        None if all => report.add(Row::not_measured("the same on DynamoDB Local and OpenSearch", "they do not run; ./dev.sh bench aws starts them")),
        None if matches!(task, Task::Aws) => bail!("say where DynamoDB Local and OpenSearch are (--dynamodb, --opensearch), or use ./dev.sh bench aws"),
        _ => {}
    }
    Ok(())
}

/// The machine, in one line.
fn machine(folder: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo").lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or_default() / 1e6;
    format!("{cores} cores of {}, {memory:.0} GB, Linux {}, data under {}", model.unwrap_or_default(), kernel.trim(), folder.display())
}
