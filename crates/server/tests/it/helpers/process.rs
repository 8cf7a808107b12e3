//! The real binary as a process: its own folder, a port of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

pub struct Process {
    pub child: Child,
    /// `http://127.0.0.1:PORT`
    pub address: String,
    stderr: BufReader<std::process::ChildStderr>,
}

/// `emcrm` with a clean environment, in `folder`.
pub fn emcrm(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emcrm"));
    command.current_dir(folder).env_clear().env("APP_DATA_DIR", folder.join("data")).env("APP_API_PORT", "0").stdin(Stdio::null());
    command
}

/// Starts a server and waits until it says where it listens.
pub fn start(command: Command) -> Process {
    start_with(command, Stdio::null())
}

/// The same, with the log going to `stdout`.
pub fn start_with(mut command: Command, stdout: Stdio) -> Process {
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| panic!("not started: {line}")).to_owned();
    Process { child, address, stderr }
}

impl Process {
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for the end; the status, and what was said on stderr since the start.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap(), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that is expected to end by itself: exit status, stdout, stderr.
pub fn run(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}
