//! `emcrm serve`: the server, until it is asked to stop.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use emcrm_model::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::demo;
use super::open::{self, StartError};
use crate::config::{Config, ConfigError, Role};
use crate::log;
use crate::serve::{ServeSettings, Server, listen};
use crate::traces::Traces;

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  emcrm serve                            answer requests and run tasks
  emcrm serve --demo                     made-up people and events in a folder that is thrown away at the end
  emcrm serve --role api                 answer requests only; another process runs the tasks

The first SIGTERM or SIGINT lets requests in hand end; the second ends the process at once.")]
pub struct ServeArgs {
    /// Show made-up people, events and campaigns, in a folder that is thrown away at the end; mails become files
    #[arg(long)]
    pub demo: bool,
    /// What this process does; wins over APP_ROLE
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleArg {
    /// Answer requests and run tasks
    All,
    /// Answer requests only
    Api,
    /// Run tasks only; answers about its health
    Worker,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::All => Self::All,
            RoleArg::Api => Self::Api,
            RoleArg::Worker => Self::Worker,
        }
    }
}

/// Errors before the first request are [`StartError`]s.
pub async fn run(args: ServeArgs, config: Config) -> anyhow::Result<ExitCode> {
    let level = if config.app.debug { "debug" } else { config.app.log_level.0.as_str() };
    let traces = Traces::start(&config.traces).map_err(|error| StartError::from(ConfigError(vec![error.to_string()])))?;
    let (subscriber, log) = log::start(config.log_format(), level, Arc::new(SystemClock), std::io::stdout(), traces.as_ref());
    tracing::subscriber::set_global_default(subscriber)?;
    let outcome = Box::pin(serve(args, config)).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    drop(log);
    outcome
}

async fn serve(args: ServeArgs, config: Config) -> anyhow::Result<ExitCode> {
    // Both are listened for from the start, so that a signal during the start is not lost.
    let mut signals = Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
    let wanted = config.listen().map_err(StartError::from)?;
    // The address first: it is the more common mistake, and cheaper to find than an open database is to close.
    let listener = listen(wanted.address).await.map_err(|error| StartError::address(wanted.address, &error))?;
    // The folder of a demo lives as long as the server.
    let (config, demo_folder) = if args.demo {
        let (config, folder) = demo::throw_away(config)?;
        (config, Some(folder))
    } else {
        (config, None)
    };
    let app = open::open_new_app(&config).await?;
    if args.demo {
        demo::fill(&app).await?;
    }
    let mut settings = ServeSettings::of(&config);
    settings.role = args.role.map_or(settings.role, Role::from);
    settings.notifications = open::notifications(&config)?;
    let role = settings.role;
    let server = Server::start(app, listener, settings)?;

    let mut lines =
        vec![format!("{} is ready at http://{} (role {}, data in {})", config.app.name, server.address, role.as_str(), config.app.data_dir.display())];
    if demo_folder.is_some() {
        lines.extend(demo::lines(&format!("http://{}", server.address), &config.app.data_dir));
    }
    lines.extend(wanted.note);
    lines.extend(config.notes.iter().cloned());
    tell(&lines);
    tracing::info!(
        address = %server.address,
        role = role.as_str(),
        storage = config.storage().engine.as_str(),
        search = config.search_engine().engine.as_str(),
        mail = config.mail.transport.as_str(),
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );

    signals.next().await;
    tracing::info!("stopping: no new requests; a second signal ends the process at once");
    tokio::select! {
        () = server.stop() => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        () = signals.next() => {
            tell(&["Ended at once.".to_owned()]);
            drop(demo_folder);
            std::process::exit(1);
        }
    }
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// For the person at the terminal; the log goes to stdout.
fn tell(lines: &[String]) {
    let mut stderr = std::io::stderr().lock();
    for line in lines {
        let _ = writeln!(stderr, "{line}");
    }
}
