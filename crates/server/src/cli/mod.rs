//! The commands of the binary: what they are called and what they take. One file each.

pub mod adopt;
pub mod backup;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod figures;
pub mod generate;
pub mod import;
pub mod init_db;
pub mod open;
pub mod openapi;
pub mod progress;
pub mod reindex;
pub mod serve;
pub mod token;
pub mod user;
pub mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Sources};
use open::StartError;

const AFTER: &str = "\
Examples:
  emcrm                                  start with what is in ./data, on http://127.0.0.1:8080
  emcrm serve --demo                     the same with a few people and events to look at
  APP_API_PORT=9000 emcrm                on another port
  emcrm doctor                           say what is wrong

Settings come from the environment, .env and emcrm.toml; docs/CONFIGURATION.md lists them.
Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong, 3 the data cannot be used, 4 the address cannot be used.";

#[derive(Debug, Parser)]
#[command(name = "emcrm", version, about = "Who people are, which events they host and attend, and mail that can be accounted for", after_help = AFTER)]
pub struct Cli {
    /// A configuration file instead of ./emcrm.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer requests and run tasks (what happens without a command)
    Serve(serve::ServeArgs),
    /// Fill the data with made-up people, events and attendances
    Generate(generate::GenerateArgs),
    /// Make what the storage needs before the first start
    InitDb(init_db::InitDbArgs),
    /// Bring tables up to date that an earlier service wrote
    Adopt(adopt::AdoptArgs),
    /// Recount everything and compare
    Verify(verify::VerifyArgs),
    /// Write everything that is stored into one file
    Export(export::ExportArgs),
    /// Read such a file into an empty storage
    Import(import::ImportArgs),
    /// Copy the embedded storage into a new folder, while it is in use
    Backup(backup::BackupArgs),
    /// Put such a copy into an empty data folder; nothing is mailed by itself afterwards
    Restore(backup::RestoreArgs),
    /// Hold what was under way, in tables that were restored to a point in time
    Restored(backup::RestoredArgs),
    /// Make, list and revoke tokens of programs
    Token(token::TokenArgs),
    /// Everything about a person as a file, or erase the person
    User(user::UserArgs),
    /// Build the search index anew
    Reindex(reindex::ReindexArgs),
    /// Say what is wrong with configuration and data
    Doctor(doctor::DoctorArgs),
    /// Print the OpenAPI document
    Openapi(openapi::OpenapiArgs),
    /// Print what a shell needs to complete commands
    Completions(completions::CompletionsArgs),
}

/// Runs a command. Errors are told on stderr by the caller.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let sources = Sources::of_process(cli.config.as_deref());
    let load = || Config::load(&sources).map_err(StartError::from);
    match cli.command.unwrap_or(Command::Serve(serve::ServeArgs::default())) {
        Command::Serve(args) => Box::pin(serve::run(args, load()?)).await,
        Command::Generate(args) => generate::run(args, load()?).await,
        Command::InitDb(args) => init_db::run(args, load).await,
        Command::Adopt(args) => adopt::run(args, load()?).await,
        Command::Verify(args) => verify::run(args, load()?).await,
        Command::Export(args) => export::run(args, load()?).await,
        Command::Import(args) => import::run(args, load()?).await,
        Command::Backup(args) => backup::run_backup(args, load()?).await,
        Command::Restore(args) => backup::run_restore(args, load()?).await,
        Command::Restored(args) => backup::run_restored(args, load()?).await,
        Command::Token(args) => token::run(args, load()?).await,
        Command::User(args) => user::run(args, load()?).await,
        Command::Reindex(args) => reindex::run(args, load()?).await,
        Command::Doctor(args) => doctor::run(args, load()?).await,
        Command::Openapi(args) => openapi::run(&args, &load()?),
        Command::Completions(args) => completions::run(&args),
    }
}

/// An error and its causes as one text. Many sentences tell their cause already; such a cause is not told again.
pub fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        before if before.ends_with(&cause) => told,
        before => format!("{before}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_told_once() {
        let twice = anyhow::Error::from(emcrm_app::AppError::from(emcrm_search::SearchError::Unavailable("no answer".to_owned())));
        assert_eq!(told(&twice).matches("no answer").count(), 1, "{twice:#}");
        let context = Err::<(), _>(std::io::Error::other("the disk is gone")).context("the file cannot be written").unwrap_err();
        assert_eq!(told(&context), "the file cannot be written: the disk is gone");
    }
}
