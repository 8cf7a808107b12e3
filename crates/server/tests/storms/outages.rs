//! Faults between the product and DynamoDB and OpenSearch, made by toxiproxy: slow, reset, silent, away, deleted, restarted. Whatever happens, what
//! was answered stays, what was refused left nothing, nobody is mailed twice, and the index catches up.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::{Process, Sink, assert_verified, client, configure_aws, folder, free_port, part, post, post_ok, rounds, run};

/// A way to an upstream that can be made bad.
struct Proxy {
    name: String,
    address: String,
}

impl Proxy {
    async fn to(upstream: &str) -> Self {
        let name = format!("p{:016x}", rand::random::<u64>());
        let port = free_port();
        let upstream = upstream.trim_start_matches("http://");
        let body = json!({ "name": name, "listen": format!("127.0.0.1:{port}"), "upstream": upstream, "enabled": true });
        let answer = client().post(format!("{}/proxies", part("EMCRM_TOXIPROXY"))).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        Self { name, address: format!("http://127.0.0.1:{port}") }
    }

    fn api(&self, path: &str) -> String {
        format!("{}/proxies/{}{path}", part("EMCRM_TOXIPROXY"), self.name)
    }

    /// `toxicity`: the share of connections that are hit.
    async fn poison(&self, of_type: &str, stream: &str, toxicity: f64, attributes: Value) {
        let body = json!({ "name": "bad", "type": of_type, "stream": stream, "toxicity": toxicity, "attributes": attributes });
        let answer = client().post(self.api("/toxics")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn heal(&self) {
        client().delete(self.api("/toxics/bad")).send().await.unwrap();
    }

    async fn enable(&self, enabled: bool) {
        client().post(self.api("")).json(&json!({ "enabled": enabled })).send().await.unwrap();
    }
}

/// What the writers were told.
#[derive(Default)]
struct Told {
    made: Mutex<Vec<(String, String)>>,
    refused: AtomicUsize,
    stop: AtomicBool,
}

impl Told {
    fn made(&self) -> usize {
        self.made.lock().len()
    }
}

/// Makes people until told to stop. An answer is 200 or 503, nothing else.
async fn write(base: String, writer: usize, told: Arc<Told>) {
    let client = client();
    for n in 0.. {
        if told.stop.load(Ordering::Relaxed) {
            return;
        }
        let email = format!("w{writer}-{n}@example.org");
        let body = json!({ "firstName": "Out", "lastName": "Age", "email": email, "city": "Stormville" });
        let Ok(answer) = client.post(format!("{base}/users/")).json(&body).send().await else { continue };
        match answer.status().as_u16() {
            200 => {
                let user: Value = answer.json().await.unwrap();
                told.made.lock().push((user["id"].as_str().unwrap().to_owned(), email));
            }
            503 => {
                told.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
}

async fn status(client: &reqwest::Client, url: String) -> (u16, Value) {
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

/// What is there, as soon as the storage answers in time.
async fn read(client: &reqwest::Client, url: String) -> Value {
    let begin = Instant::now();
    loop {
        let (code, answer) = status(client, url.clone()).await;
        match code {
            200 => return answer,
            503 if begin.elapsed() < Duration::from_mins(1) => tokio::time::sleep(Duration::from_millis(100)).await,
            other => panic!("GET {url}: {other} {answer}"),
        }
    }
}

/// Makes somebody, also where the storage does not answer in time at first. Whoever is asked for again may be there already.
async fn make(client: &reqwest::Client, base: &str, body: &Value) {
    let begin = Instant::now();
    let mut again = false;
    loop {
        let (code, answer) = post(client, format!("{base}/users/"), body).await;
        match code {
            200 => return,
            400 if again => return,
            503 if begin.elapsed() < Duration::from_mins(1) => again = true,
            other => panic!("{other}: {answer}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Until it holds, at most so long.
async fn until<F: Future<Output = bool>>(what: &str, patience: Duration, mut holds: impl FnMut() -> F) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < patience, "{what}: not within {} s", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_happens_to_the_parts() {
    let folder = folder();
    let data = folder.path().join("data");
    let database = Database::start(&folder.path().join("dynamodb"), free_port());
    let dynamodb = Proxy::to(&database.address()).await;
    let opensearch = Proxy::to(&part("EMCRM_OPENSEARCH")).await;
    configure_aws(&[&data], &dynamodb.address, &opensearch.address);
    let sink = Sink::start(&folder.path().join("mail"));
    // The first answers of a database that has just started are slow; with the limits below that would be an outage of its own.
    let made = run(&data, &["init-db"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_verified(&data);
    let settings = [("DB_READ_TIMEOUT", "1"), ("DB_CONNECT_TIMEOUT", "1"), ("APP_LOG_LEVEL", "error")];
    let server = Process::start_as("all", &data, Some(&sink.url()), &settings).await;
    let base = server.base.clone();
    let client = client();
    for n in 0..300 {
        let body = json!({ "firstName": "Aud", "lastName": "Ience", "email": format!("a{n}@example.org"), "city": "Mailtown" });
        make(&client, &base, &body).await;
    }
    let mail = json!({ "filter": { "city": "mailtown" }, "subject": "Through the storm", "body": "Hold on.", "rate": 20 });
    let campaign = post_ok(&client, format!("{base}/email/send_emails"), &mail).await["email_id"].as_str().unwrap().to_owned();
    let told = Arc::new(Told::default());
    let writers: Vec<_> = (0..4).map(|writer| tokio::spawn(write(base.clone(), writer, told.clone()))).collect();
    let phase = Duration::from_secs(rounds(3, 20) as u64);
    let mut report = Vec::new();
    let mut note = |what: &str, told: &Told| report.push(format!("{what}: {} answered, {} refused", told.made(), told.refused.load(Ordering::Relaxed)));

    // Slow: everything goes on.
    let before = told.made();
    dynamodb.poison("latency", "downstream", 1.0, json!({ "latency": 200, "jitter": 100 })).await;
    tokio::time::sleep(phase).await;
    until("slow is not away", Duration::from_mins(1), || async { told.made() > before }).await;
    dynamodb.heal().await;
    note("latency", &told);

    // The answer is lost, the change may have happened.
    dynamodb.poison("reset_peer", "downstream", 0.3, json!({ "timeout": 0 })).await;
    tokio::time::sleep(phase).await;
    dynamodb.heal().await;
    note("answers lost", &told);

    // The request is lost.
    dynamodb.poison("reset_peer", "upstream", 0.3, json!({ "timeout": 0 })).await;
    tokio::time::sleep(phase).await;
    dynamodb.heal().await;
    note("requests lost", &told);

    // Nobody says anything.
    dynamodb.poison("timeout", "downstream", 0.3, json!({ "timeout": 0 })).await;
    tokio::time::sleep(phase).await;
    dynamodb.heal().await;
    note("black hole", &told);

    // Away: reads and writes say so, and work again by themselves.
    dynamodb.enable(false).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (code, problem) = status(&client, format!("{base}/users/?size=1")).await;
    assert_eq!((code, problem["code"].as_str()), (503, Some("storage_unavailable")), "{problem}");
    tokio::time::sleep(phase).await;
    dynamodb.enable(true).await;
    until("reads work again", Duration::from_mins(2), || async { status(&client, format!("{base}/users/?size=1")).await.0 == 200 }).await;
    note("storage away", &told);

    // OpenSearch away: searches say so, writes go on, and what was written is found afterwards.
    opensearch.enable(false).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (code, problem) = status(&client, format!("{base}/search/users?city=stormville")).await;
    assert_eq!((code, problem["code"].as_str()), (503, Some("search_unavailable")), "{problem}");
    let before = told.made();
    tokio::time::sleep(Duration::from_secs(rounds(6, 60) as u64)).await;
    until("writes need no index", Duration::from_mins(1), || async { told.made() > before }).await;
    opensearch.enable(true).await;
    until("searches work again", Duration::from_mins(3), || async { status(&client, format!("{base}/search/users?city=stormville")).await.0 == 200 }).await;
    note("search away", &told);

    // The index is deleted under way: searches say so until it is filled again, by itself.
    let name = std::fs::read_to_string(data.join(".env")).unwrap();
    let name = name.lines().find_map(|line| line.strip_prefix("OPENSEARCH_INDEX=")).unwrap().to_owned();
    let deleted = client.delete(format!("{}/{name}-000*", part("EMCRM_OPENSEARCH"))).send().await.unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.text().await.unwrap());
    until("the index is filled again", Duration::from_mins(5), || async {
        status(&client, format!("{base}/search/users?city=mailtown")).await.1["total"] == 300
    })
    .await;
    note("index deleted", &told);

    // DynamoDB is restarted on its data.
    let database = database.restart();
    until("reads work after the restart", Duration::from_mins(2), || async { status(&client, format!("{base}/users/?size=1")).await.0 == 200 }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    note("storage restarted", &told);

    told.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let answered = told.made.lock().clone();
    for (id, email) in &answered {
        let user = read(&client, format!("{base}/users/{id}")).await;
        assert_eq!(user["email"], email.as_str(), "an answered user is there");
    }
    // Found, all of them; those whose answer was lost may be there too.
    let made = told.made() as u64;
    until("everybody is found", Duration::from_mins(5), || async {
        status(&client, format!("{base}/search/users?city=stormville&size=1")).await.1["total"].as_u64().is_some_and(|total| total >= made)
    })
    .await;
    until("the campaign ends", Duration::from_mins(10), || async { status(&client, format!("{base}/email/requests/{campaign}")).await.1["status"] == "sent" })
        .await;
    let done = read(&client, format!("{base}/email/requests/{campaign}")).await;
    let counts = done["counts"].as_object().unwrap();
    assert_eq!(counts.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), 300, "{done}");
    let seen = sink.seen();
    assert!(seen.values().all(|times| *times == 1), "nobody is mailed twice");
    let (sent, unknown) = (counts["sent"].as_i64().unwrap(), counts.get("unknown").and_then(Value::as_i64).unwrap_or(0));
    assert!(sent <= seen.len() as i64 && seen.len() as i64 <= sent + unknown, "{sent} sent, {unknown} unknown, {} seen", seen.len());
    server.stop();
    let verified = assert_verified(&data);
    println!("{}\nmails: {sent} sent, {unknown} unknown, {} seen, 0 twice\n{verified}", report.join("\n"), seen.len());
    drop(database);
}

/// A DynamoDB Local of this test's own, with its data on disk.
struct Database {
    child: Child,
    folder: std::path::PathBuf,
    port: u16,
}

impl Database {
    fn start(folder: &Path, port: u16) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let lib = part("EMCRM_DYNAMODB_LIB");
        let mut command = Command::new("java");
        command.args(["-Xmx512m", &format!("-Dsqlite4java.library.path={lib}"), "-cp", &format!("{lib}/*")]);
        command.arg("com.amazonaws.services.dynamodbv2.local.main.ServerRunner").args(["-sharedDb", "-port", &port.to_string(), "-dbPath"]).arg(folder);
        let child = command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut this = Self { child, folder: folder.to_owned(), port };
        for _ in 0..2_400 {
            assert!(this.child.try_wait().unwrap().is_none(), "DynamoDB Local ended");
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return this;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("DynamoDB Local does not answer on port {port}");
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn restart(mut self) -> Self {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap();
        std::thread::sleep(Duration::from_secs(1));
        Self::start(&self.folder.clone(), self.port)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
