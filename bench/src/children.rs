//! Processes that a run starts, each on its own port of the loopback address, ended when they are dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::http_client::get_once;

const START_MAX: Duration = Duration::from_mins(1);
const STOP_MAX: Duration = Duration::from_secs(30);

/// A process and where it listens.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory, in megabytes (10^6 bytes).
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub now: f64,
    /// The most there ever was.
    pub peak: f64,
    /// Now, without pages of mapped files (which the system takes back when it needs them).
    pub own: f64,
}

impl Running {
    /// Starts this very program with another task. It tells its address in the first line of its output.
    pub fn own(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{} told no address", arguments.join(" ")))?;
        Ok(Self { child, address })
    }

    /// Starts Postfix's sink.
    pub fn smtp_sink(program: &Path) -> Result<Self> {
        let address = free_address()?;
        // As root it wants to be told whom to run as.
        let child = Command::new(program).args(["-u", "nobody", &address.to_string(), "1024"]).stdin(Stdio::null()).spawn()?;
        let running = Self { child, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START_MAX {
                bail!("{} does not listen", program.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() * 1024.0 / 1e6
        };
        Ok(Memory { now: field("VmRSS:"), peak: field("VmHWM:"), own: field("RssAnon:") })
    }

    /// Processor time that it has used, in seconds.
    pub fn cpu(&self) -> Result<f64> {
        cpu_of(&self.pid().to_string())
    }

    /// Asks it to end and waits, so that it can close its files.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_MAX {
                bail!("process {} did not end within {STOP_MAX:?}", self.pid());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// The program that is measured.
pub struct Emcrm {
    pub binary: PathBuf,
    /// More settings for every start.
    pub settings: Vec<(String, String)>,
}

impl Emcrm {
    fn command(&self, data: &Path) -> Result<Command> {
        fs::create_dir_all(data)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log"))?;
        let mut command = Command::new(&self.binary);
        // A folder without `.env` and `emcrm.toml`, and nothing from this process's environment.
        command.env_clear().current_dir(data).env("APP_DATA_DIR", data).envs(self.settings.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Starts the server and waits for the first 200 on /health. Also tells how long that took.
    pub fn serve(&self, data: &Path, more: &[(&str, &str)]) -> Result<(Running, Duration)> {
        let address = free_address()?;
        let mut command = self.command(data)?;
        command.arg("serve").env("APP_API_PORT", address.port().to_string()).envs(more.iter().copied());
        let began = Instant::now();
        let mut running = Running { child: command.spawn().with_context(|| format!("{} cannot be started", self.binary.display()))?, address };
        loop {
            if let Ok((200, _)) = get_once(address, "/health") {
                return Ok((running, began.elapsed()));
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("the server ended ({status}); its log:\n{}", log_end(data));
            }
            if began.elapsed() > START_MAX {
                bail!("the server did not answer within {START_MAX:?}; its log:\n{}", log_end(data));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs a task of the command line to its end. Tells how long it took.
    pub fn run(&self, data: &Path, arguments: &[&str]) -> Result<Duration> {
        let began = Instant::now();
        let status = self.command(data)?.args(arguments).status()?;
        if !status.success() {
            bail!("emcrm {} ended with {status}; its log:\n{}", arguments.join(" "), log_end(data));
        }
        Ok(began.elapsed())
    }
}

/// Processor time that a process has used (an id, or `self`), in seconds.
pub fn cpu_of(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after = stat.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(ticks / 100.0)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn log_end(data: &Path) -> String {
    let log = fs::read_to_string(data.with_extension("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(15)).copied().collect::<Vec<_>>().join("\n")
}

/// One line on the standard output, at once.
#[expect(clippy::print_stdout, reason = "the standard output is what this program is for")]
pub fn tell(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
