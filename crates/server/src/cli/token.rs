//! `emcrm token`: tokens of programs.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use emcrm_app::Call;
use emcrm_model::{ApiToken, ApiTokenDraft};
use serde_json::{Value, json};

use super::open::{open_app, open_new_app};
use crate::config::Config;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm token create \"Newsletter script\" --grant sender --days 365
  emcrm token create \"Door of the tea\" --grant checkin:tea --days 2
  emcrm token list
  emcrm token revoke 0190f5c27a6e7c1a9f4e2b7f3a1c5d6e

With the embedded storage the server must not run on the same data folder; while it runs, tokens are made at /tokens and on the settings page.")]
pub struct TokenArgs {
    #[command(subcommand)]
    pub command: TokenCommand,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token and show it, this once
    Create {
        /// What you call it
        name: String,
        /// viewer, editor, sender, admin, or checkin:{event id}
        #[arg(long, default_value = "viewer")]
        grant: String,
        /// Days until it expires; without it: never
        #[arg(long)]
        days: Option<i64>,
    },
    /// List all tokens
    List,
    /// Refuse a token from now on
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
}

fn line(token: &ApiToken) -> String {
    let until = match (&token.revoked_at, &token.valid_until) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(until)) => format!("until {until}"),
        (None, None) => "no end".to_owned(),
    };
    let used = token.last_used_at.as_deref().map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
    format!("{}  {}…  {}  {until}, {used}  {}", token.id, token.hint, token.grant, token.name)
}

pub async fn run(args: TokenArgs, config: Config) -> anyhow::Result<ExitCode> {
    // A first token may be made before the first start; what there is can only be listed where there is something.
    let app = match args.command {
        TokenCommand::Create { .. } => open_new_app(&config).await?,
        TokenCommand::List | TokenCommand::Revoke { .. } => open_app(&config).await?,
    };
    let call = Call::system();
    let mut stdout = std::io::stdout().lock();
    match args.command {
        TokenCommand::Create { name, grant, days } => {
            let draft = ApiTokenDraft::parse(&json!({ "name": name, "grant": grant, "days": days }))?;
            let (kept, token) = app.token_create(&call, draft).await?;
            if args.json {
                let mut value = serde_json::to_value(&kept)?;
                if let Value::Object(object) = &mut value {
                    object.insert("token".to_owned(), token.into());
                }
                writeln!(stdout, "{value}")?;
            } else {
                writeln!(stdout, "{token}\n\nThis is the only time that it is shown. Its id is {}, its grant {}.", kept.id, kept.grant)?;
            }
        }
        TokenCommand::List => {
            let tokens = app.token_list(&call).await?;
            if args.json {
                writeln!(stdout, "{}", serde_json::to_value(&tokens)?)?;
            } else if tokens.is_empty() {
                writeln!(stdout, "There are no tokens. `emcrm token create NAME` makes one.")?;
            } else {
                for token in &tokens {
                    writeln!(stdout, "{}", line(token))?;
                }
            }
        }
        TokenCommand::Revoke { id } => {
            let token = app.token_revoke(&call, &id).await?;
            writeln!(stdout, "{}", if args.json { serde_json::to_value(&token)?.to_string() } else { line(&token) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
