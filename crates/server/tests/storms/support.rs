//! The real binary on a data folder of its own, a client, and a real mail server.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Whether this is the long run (`EMCRM_SOAK=1`) and not the bounded slice.
pub fn soaks() -> bool {
    variable("EMCRM_SOAK").as_deref() == Some("1")
}

/// Rounds of a storm: the bounded slice, or the long run.
pub fn rounds(slice: usize, soak: usize) -> usize {
    if soaks() { soak } else { slice }
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emcrm"));
    // Nothing of the surroundings reaches the program.
    command.env_clear().env("APP_LOG_LEVEL", "warn");
    command
}

/// A free port that the system gives to nobody by itself, and this program to nobody else: whoever gets it takes seconds to listen, and may be started again.
pub fn free_port() -> u16 {
    const QUIET: u16 = 20_000;
    const MANY: u16 = 10_000;
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random_range(0..MANY)));
    (0..MANY)
        .map(|_| QUIET + NEXT.fetch_add(1, Ordering::Relaxed) % MANY)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of ten thousand ports is free")
}

fn variable(name: &str) -> Option<String> {
    std::env::vars().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// Whether the storms rage on DynamoDB and OpenSearch (`EMCRM_TEST_PAIR=aws`) and not on SQLite and tantivy.
pub fn on_aws() -> bool {
    variable("EMCRM_TEST_PAIR").as_deref() == Some("aws")
}

/// Where a part of the tests is.
pub fn part(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("{name} is not set: run the tests with ./dev.sh test, or start the parts with ./dev.sh parts"))
}

/// What a data folder's `.env` says: nothing, or the other pair of engines, with tables and an index of this folder's own.
pub fn configure(data: &Path) {
    if on_aws() && !data.join(".env").exists() {
        configure_aws(&[data], &part("EMCRM_DYNAMODB"), &part("EMCRM_OPENSEARCH"));
    }
}

/// DynamoDB and OpenSearch at these addresses, whatever the pair is: tables, index and key of their own, common to the folders.
pub fn configure_aws(folders: &[&Path], dynamodb: &str, opensearch: &str) {
    let own = format!("t{:016x}", rand::random::<u64>());
    let text = format!(
        "DB_DYNAMODB_ENDPOINT={dynamodb}\nDB_MAIN_TABLE_NAME={own}_main\nDB_EMAIL_TABLE_NAME={own}_email\n\
         OPENSEARCH_ENDPOINT={opensearch}\nOPENSEARCH_INDEX={own}\nAPP_SECRET_KEY={own}{own}\n"
    );
    for folder in folders {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(".env"), &text).unwrap();
    }
}

/// Whatever the pair is: SQLite and tantivy in this folder.
pub fn embedded(data: &Path) {
    std::fs::write(data.join(".env"), "").unwrap();
}

/// Only one at a time, so that each may take up the leases of the one before.
const ONE_WORKER: (&str, &str) = ("APP_WORKER_NAME", "storm");

/// A server process. Killed when dropped.
pub struct Process {
    child: Child,
    pub base: String,
}

impl Process {
    pub async fn start(data: &Path, smtp: Option<&str>) -> Self {
        configure(data);
        Self::start_as("all", data, smtp, &[ONE_WORKER]).await
    }

    /// A server that this program of tests is itself: one of its ignored tests, in a process of its own.
    pub async fn start_test(name: &str, data: &Path, smtp: Option<&str>) -> Self {
        configure(data);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env_clear().args(["--exact", name, "--ignored", "--nocapture"]);
        Self::start_command(command, data, smtp, &[ONE_WORKER]).await
    }

    pub async fn start_as(role: &str, data: &Path, smtp: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.args(["serve", "--role", role]);
        Self::start_command(command, data, smtp, settings).await
    }

    async fn start_command(mut command: Command, data: &Path, smtp: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        command.envs(settings.iter().copied());
        command.env("APP_DATA_DIR", data).env("APP_API_PORT", port.to_string()).current_dir(data);
        // Many clients of one address are the point here.
        if let Some(url) = smtp {
            command.env("MAIL_TRANSPORT", "smtp").env("MAIL_SMTP_URL", url);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("server.log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut process = Self { child, base: format!("http://127.0.0.1:{port}") };
        process.wait_ready(data).await;
        process
    }

    async fn wait_ready(&mut self, data: &Path) {
        let client = client();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_mins(2) {
            if let Ok(answer) = client.get(format!("{}/health", self.base)).send().await
                && answer.status().is_success()
            {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", std::fs::read_to_string(data.join("server.log")).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server did not get ready");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in kilobytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits for the orderly end.
    pub fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_mins(2) {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "the server ended with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not stop");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of the binary to its end.
pub fn run(data: &Path, arguments: &[&str]) -> Output {
    configure(data);
    binary().args(arguments).env("APP_DATA_DIR", data).current_dir(data).output().unwrap()
}

/// `emcrm verify` finds nothing.
pub fn assert_verified(data: &Path) -> String {
    let output = run(data, &["verify"]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "verify found something:\n{text}");
    text
}

pub fn client() -> reqwest::Client {
    // The first one wins, and all of them are the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap()
}

pub async fn get(client: &reqwest::Client, url: String) -> Value {
    let answer = client.get(&url).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "GET {url}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

pub async fn post(client: &reqwest::Client, url: String, body: &Value) -> (u16, Value) {
    let answer = client.post(&url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

pub async fn post_ok(client: &reqwest::Client, url: String, body: &Value) -> Value {
    let (status, answer) = post(client, url.clone(), body).await;
    assert_eq!(status, 200, "POST {url}: {answer}");
    answer
}

/// A real mail server, postfix's `smtp-sink`, that writes each mail it took into a file of its own.
pub struct Sink {
    child: Child,
    pub port: u16,
    folder: PathBuf,
}

impl Sink {
    /// `folder` is made, and must not be below a folder that others may not enter: the sink runs as `nobody`.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// With options of smtp-sink that make it misbehave.
    #[expect(clippy::zombie_processes, reason = "without an answer the test panics, and the process ends with it")]
    pub fn start_with(folder: &Path, options: &[&str]) -> Self {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(folder).unwrap();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let path = sink_path();
        let port = free_port();
        let mut command = Command::new(&path);
        command.arg("-u").arg("nobody").args(["-d", "%M.", "-m", "100"]).args(options).arg(format!("127.0.0.1:{port}")).arg("1024");
        let child =
            command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for _ in 0..6_000 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Self { child, port, folder: folder.to_owned() };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} does not answer on port {port}", path.display());
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?connections=20", self.port)
    }

    /// What it saw: recipient and Message-ID of each mail, with how often.
    pub fn seen(&self) -> HashMap<(String, String), usize> {
        let mut seen = HashMap::new();
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            // A file of a mail that did not come to its end goes when its connection does.
            let Ok(file) = std::fs::File::open(entry.unwrap().path()) else { continue };
            let file = BufReader::new(file);
            let (mut recipient, mut message) = (String::new(), String::new());
            for line in file.lines() {
                let Ok(line) = line else { break };
                if let Some(arguments) = line.strip_prefix("X-Rcpt-Args: ") {
                    arguments.split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']).clone_into(&mut recipient);
                }
                if line.to_ascii_lowercase().starts_with("message-id:") {
                    line["message-id:".len()..].trim().clone_into(&mut message);
                }
                if line.trim().is_empty() && !message.is_empty() {
                    break;
                }
            }
            // A file without a Message-ID is a mail whose connection broke: the sink did not take it.
            if !message.is_empty() {
                *seen.entry((recipient, message)).or_default() += 1;
            }
        }
        seen
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sink_path() -> PathBuf {
    variable("EMCRM_SMTP_SINK").map_or_else(|| PathBuf::from("/usr/sbin/smtp-sink"), PathBuf::from)
}

/// A folder that the mail server, which is somebody else, may enter.
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// All rows of a list, by cursor, page after page.
pub async fn walk(client: &reqwest::Client, url: &str, size: usize, mut each: impl FnMut(&Value), post: bool) -> u64 {
    let mut cursor: Option<String> = None;
    let mut pages = 0;
    loop {
        let separator = if url.contains('?') { '&' } else { '?' };
        let position = cursor.map_or_else(|| "page=1".to_owned(), |cursor| format!("cursor={cursor}"));
        let address = format!("{url}{separator}{position}&size={size}");
        let page = if post { post_ok(client, address, &Value::Object(serde_json::Map::new())).await } else { get(client, address).await };
        pages += 1;
        page["items"].as_array().unwrap().iter().for_each(&mut each);
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return pages,
        }
    }
}
