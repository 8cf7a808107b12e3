//! `emcrm user`: what is held about a person, all of it, and none of it.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use emcrm_app::Call;
use emcrm_app::drain::work_off;
use emcrm_model::UserId;
use emcrm_store::Queue;

use super::open::open_app;
use crate::config::Config;

/// How long the consequences of an erasure are waited for.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm user export 5d6e0190-f5c2-4a6e-8c1a-9f4e2b7f3a1c > person.json
  emcrm user erase 5d6e0190-f5c2-4a6e-8c1a-9f4e2b7f3a1c

With the embedded storage the server must not run on the same data folder; while it runs, both are at /users/{id}/export and /users/{id}/erase.")]
pub struct UserArgs {
    #[command(subcommand)]
    pub command: UserCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum UserCommand {
    /// Everything that is held about a person, as JSON
    Export {
        /// Id of the person
        id: String,
    },
    /// Erase a person; what must stay as proof loses whom it was about
    Erase {
        /// Id of the person
        id: String,
    },
}

pub async fn run(args: UserArgs, config: Config) -> anyhow::Result<ExitCode> {
    let app = open_app(&config).await?;
    let call = Call::system();
    let mut stdout = std::io::stdout().lock();
    match args.command {
        UserCommand::Export { id } => {
            let archive = app.user_export(&call, &UserId::lookup(&id)?).await?;
            writeln!(stdout, "{}", serde_json::to_string_pretty(&archive)?)?;
        }
        UserCommand::Erase { id } => {
            app.user_erase(&call, &UserId::lookup(&id)?).await?;
            work_off(&app, &[Queue::Index, Queue::Default], PATIENCE).await?;
            writeln!(
                stdout,
                "Erased. The server looks once more for what came meanwhile when it runs next; until then, the task for that remembers the address."
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
