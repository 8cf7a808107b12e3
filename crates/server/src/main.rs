//! The binary `emcrm`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use emcrm_server::cli::{Cli, open::StartError, run, told};

/// Much of what is done here is making and dropping small texts: a tenth of the processor time went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // What is written holds people's data: it is for its owner, whatever the folder was made like.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error)),
    };
    let outcome = runtime.block_on(run(cli));
    drop(runtime);
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "emcrm: {}", told(error));
    error.downcast_ref::<StartError>().map_or(ExitCode::FAILURE, StartError::exit_code)
}
