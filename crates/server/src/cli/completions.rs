//! `emcrm completions`: what a shell needs to complete commands and options.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm completions bash > /etc/bash_completion.d/emcrm
  emcrm completions zsh > \"${fpath[1]}/_emcrm\"
  emcrm completions fish > ~/.config/fish/completions/emcrm.fish")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    pub shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "emcrm", &mut text);
    std::io::stdout().lock().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}
