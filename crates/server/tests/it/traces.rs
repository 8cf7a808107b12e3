//! Traces: what is exported, what never is, and that a collector which is away is not noticed.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::http_client;
use crate::helpers::otlp::{Collector, Seen};
use crate::helpers::process::{Process, emcrm, start, start_with};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A mail server that does not know Ben, and says so with his address.
async fn mail_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    port
}

async fn talk(stream: TcpStream) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    let mut in_mail = false;
    to.write_all(b"220 mail.example ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let reply = match line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "." if in_mail => {
                in_mail = false;
                "250 2.0.0 Ok: queued for ann@people.example\r\n"
            }
            _ if in_mail => continue,
            "DATA" => {
                in_mail = true;
                "354 go on\r\n"
            }
            "RCPT" if line.contains("ben@") => "550 5.1.1 <ben@people.example> Ben Bold is unknown here\r\n",
            "QUIT" => "221 2.0.0 bye\r\n",
            _ => "250 2.1.0 Ok\r\n",
        };
        to.write_all(reply.as_bytes()).await?;
    }
    Ok(())
}

fn traced(folder: &std::path::Path, collector: &str) -> Command {
    let mut command = emcrm(folder);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    command
}

async fn ended(mut server: Process) {
    server.signal("TERM");
    let status = tokio::task::spawn_blocking(move || server.end().0).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

async fn post(server: &Process, path: &str, traceparent: Option<&str>, body: Value) -> Value {
    let mut request = http_client().post(format!("{}{path}", server.address)).json(&body);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

async fn people(server: &Process) {
    for (id, first, last) in [("u-1", "Ann", "Arrow"), ("u-2", "Ben", "Bold")] {
        let email = format!("{}@people.example", first.to_lowercase());
        post(server, "/users", None, json!({"id": id, "firstName": first, "lastName": last, "email": email, "city": "Traceton"})).await;
    }
}

async fn reaches(server: &Process, id: &str, state: &str) {
    for _ in 0..12_000 {
        let url = format!("{}/email/requests/{id}", server.address);
        let campaign: Value = http_client().get(url).send().await.unwrap().json().await.unwrap();
        if campaign["status"] == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the campaign did not get {state}");
}

/// How many spans had this outcome.
async fn counted(server: &Process, outcome: &str) -> f64 {
    let metrics = http_client().get(format!("{}/metrics", server.address)).send().await.unwrap().text().await.unwrap();
    let series = format!("emcrm_trace_spans_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(series.as_str())?.parse().ok()).unwrap_or(0.0)
}

/// Makes spans until more than `before` had this outcome; how many had.
async fn more_spans(server: &Process, outcome: &str, before: f64) -> f64 {
    for _ in 0..1_200 {
        assert_eq!(http_client().get(format!("{}/users/nobody", server.address)).send().await.unwrap().status(), 404);
        let now = counted(server, outcome).await;
        if now > before {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{before} spans {outcome}, and no more");
}

/// The spans below another one, by name.
fn below<'a>(spans: &'a [Seen], above: &str, name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|span| span.parent == above && span.name == name).collect()
}

fn one<'a>(spans: &'a [Seen], above: &str, name: &str) -> &'a Seen {
    let found = below(spans, above, name);
    assert_eq!(found.len(), 1, "{name} below {above}: {spans:#?}");
    found[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_request_to_the_mail_servers_answer_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start().await;
    let log = folder.path().join("log");
    let mut command = traced(folder.path(), &collector.endpoint);
    command.env("APP_ROLE", "api").env("APP_LOG_FORMAT", "json").env("OTEL_SERVICE_NAME", "crm-api");
    let server = start_with(command, Stdio::from(std::fs::File::create(&log).unwrap()));
    people(&server).await;
    let campaign = json!({"filter": {"city": "Traceton"}, "subject": "A secret subject", "body": "Come."});
    let campaign = post(&server, "/email/send?note=query", Some(CALLER), campaign).await;
    let id = campaign["email_id"].as_str().unwrap().to_owned();
    ended(server).await;

    let lines = std::fs::read_to_string(&log).unwrap();
    let line = lines.lines().find(|line| line.contains("\"route\":\"/email/send\"")).unwrap();
    assert!(line.contains(&format!("\"trace_id\":\"{TRACE}\"")), "{line}");

    let mut command = traced(folder.path(), &collector.endpoint);
    let smtp = format!("smtp://127.0.0.1:{}?tls=none", mail_server().await);
    command.env("MAIL_TRANSPORT", "smtp").env("MAIL_SMTP_URL", smtp).env("MAIL_FROM", "crm@example.org");
    let server = start(command);
    reaches(&server, &id, "sent").await;
    ended(server).await;

    let all = collector.spans();
    let spans: Vec<Seen> = all.iter().filter(|span| span.trace == TRACE).cloned().collect();
    let request = one(&spans, "b7ad6b7169203331", "POST /email/send");
    assert_eq!((request.kind, request.service.as_str(), request.attribute("http.response.status_code")), (2, "crm-api", "200"));
    assert_eq!((request.attribute("http.route"), request.attribute("http.request.method")), ("/email/send", "POST"));
    assert!(!below(&spans, &request.id, "storage transact").is_empty(), "{spans:#?}");
    // An index that is not filled yet is waited for, in runs of their own.
    let runs = below(&spans, &request.id, "task freeze");
    let freeze = *runs.iter().find(|run| !below(&spans, &run.id, "freeze page").is_empty()).unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!((freeze.attribute("emcrm.campaign.id"), freeze.service.as_str(), freeze.kind), (id.as_str(), "emcrm", 5));
    let walk = below(&spans, &freeze.id, "freeze walk");
    assert!(below(&spans, &walk[0].id, "search walk").len() == 1, "{spans:#?}");
    let page = one(&spans, &freeze.id, "freeze page");
    assert_eq!(page.attribute("emcrm.page.people"), "2");
    one(&spans, &page.id, "storage transact");
    let send = one(&spans, &freeze.id, "task send");
    assert_eq!((send.attribute("emcrm.mails.accepted"), send.attribute("emcrm.task.run")), ("1", "1"));
    let mails: Vec<&Seen> = spans.iter().filter(|span| span.name == "mail").collect();
    assert_eq!(mails.len(), 2, "{spans:#?}");
    for mail in mails {
        let batch = spans.iter().find(|span| span.id == mail.parent).unwrap();
        assert_eq!((batch.name.as_str(), &batch.parent), ("batch", &send.id));
        let ledger: Vec<&Seen> = spans.iter().filter(|span| span.parent == batch.id && (span.name.contains("claim") || span.name.contains("record"))).collect();
        assert!(!ledger.is_empty() && ledger.iter().all(|ledger| !below(&spans, &ledger.id, "storage transact").is_empty()), "{spans:#?}");
        let said = ["emcrm.mail.outcome", "emcrm.smtp.reply_code", "emcrm.smtp.enhanced_code"].map(|name| mail.attribute(name));
        match mail.attribute("emcrm.user.id") {
            "u-1" => assert_eq!((said, mail.status), (["accepted", "250", "2.0.0"], 0)),
            _ => assert_eq!((said, mail.status), (["permanent", "550", "5.1.1"], 2)),
        }
    }
    // What asks all the time is not traced.
    assert!(!all.iter().any(|span| span.name.contains("/health")));
    let everything = collector.everything();
    for private in ["@", "people.example", "Ann", "Arrow", "Ben", "Bold", "Traceton", "secret", "unknown here", "queued", "note=query"] {
        assert!(!everything.contains(private), "{private} was exported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_without_an_endpoint_or_beyond_the_ratio() {
    let collector = Collector::start().await;
    let elsewhere = format!("{}/v1/traces", collector.endpoint);
    let quiet = CALLER.replace("-01", "-00");
    // Without our key the exporter's other names do nothing; the caller's word is no more than its share; its "no" is heard.
    let cases = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", elsewhere.as_str(), "", CALLER),
        ("OTEL_TRACES_SAMPLER_ARG", "0", collector.endpoint.as_str(), CALLER),
        ("OTEL_TRACES_SAMPLER_ARG", "1", collector.endpoint.as_str(), quiet.as_str()),
    ];
    for (name, value, endpoint, traceparent) in cases {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = traced(folder.path(), endpoint);
        command.env(name, value);
        let server = start_with(command, Stdio::from(std::fs::File::create(&log).unwrap()));
        let answer = http_client().post(format!("{}/email/send", server.address)).header("traceparent", traceparent);
        let campaign = answer.json(&json!({"filter": {}, "subject": "s", "body": "b"})).send().await.unwrap();
        assert_eq!(campaign.status(), 404, "nobody is there to be mailed: {campaign:?}");
        ended(server).await;
        assert!(!std::fs::read_to_string(&log).unwrap().contains("trace_id"), "{name}={value}");
    }
    assert_eq!(collector.spans().len(), 0, "{:#?}", collector.spans());
}

/// The fields of a request's line, as docs/OPERATIONS.md lists them.
fn documented_fields() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/OPERATIONS.md")).unwrap();
    let (_, table) = page.split_once("<!-- fields of a request's line: checked by a test -->").unwrap();
    let rows = table.trim_start().lines().take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_its_line_in_the_log_whether_it_is_traced_or_not() {
    let documented = documented_fields();
    for (endpoint, ratio) in [("", "1"), ("http://127.0.0.1:9", "1"), ("http://127.0.0.1:9", "0"), ("http://127.0.0.1:9", "0.5")] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = traced(folder.path(), endpoint);
        command.env("OTEL_TRACES_SAMPLER_ARG", ratio).env("APP_LOG_FORMAT", "json");
        let server = start_with(command, Stdio::from(std::fs::File::create(&log).unwrap()));
        let client = http_client();
        for n in 0..40 {
            let path = ["users/nobody", "health", "search/users?city=X", "no/such/page"][n % 4];
            client.get(format!("{}/{path}", server.address)).send().await.unwrap();
        }
        ended(server).await;
        let lines = std::fs::read_to_string(&log).unwrap();
        let requests = lines.lines().filter(|line| line.contains("\"target\":\"emcrm::http\"")).count();
        assert_eq!((requests, lines.contains("\"message\":\"stopped\"")), (40, true), "endpoint {endpoint:?}, ratio {ratio}: {lines}");
        // Each has the fields that are documented, and no other; two are there only when there is something to tell.
        let mut kept = 0;
        for line in lines.lines().filter(|line| line.contains("\"target\":\"emcrm::http\"")) {
            let fields: Value = serde_json::from_str(line).unwrap();
            let mut fields: BTreeSet<String> = fields.as_object().unwrap().keys().cloned().collect();
            kept += usize::from(fields.contains("trace_id"));
            fields.extend(["trace_id", "cause"].map(str::to_owned));
            assert_eq!(fields, documented, "{line}");
        }
        match (endpoint, ratio) {
            ("", _) | (_, "0") => assert_eq!(kept, 0, "{lines}"),
            (_, "1") => assert!(kept > 0, "{lines}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_count_as_failed_while_the_collector_refuses_them_and_as_exported_once_it_takes_them() {
    let takes = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let kept = takes.clone();
    let answer = move || std::future::ready(if kept.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::BAD_REQUEST });
    let routes = Router::new().route("/v1/traces", any(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = start_with(traced(folder.path(), &endpoint), Stdio::from(std::fs::File::create(&log).unwrap()));
    more_spans(&server, "failed", 0.0).await;
    assert!(counted(&server, "exported").await < 0.1);
    takes.store(true, Ordering::Relaxed);
    let exported = more_spans(&server, "exported", 0.0).await;
    // One batch is on its way at a time: none that was refused is counted after one that was taken.
    let failed = counted(&server, "failed").await;
    more_spans(&server, "exported", exported).await;
    assert!((counted(&server, "failed").await - failed).abs() < 0.1);
    assert!(counted(&server, "dropped").await < 0.1);
    ended(server).await;
    let lines = std::fs::read_to_string(&log).unwrap();
    for said in ["traces cannot be exported", "traces are exported again"] {
        assert_eq!(lines.matches(said).count(), 1, "{said}: {lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_slows_nothing_down_and_what_it_does_not_take_is_dropped_and_counted() {
    // Connections are accepted by the system, and nobody ever answers.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = start(traced(folder.path(), &format!("http://{}", hanging.local_addr().unwrap())));
    let client = http_client();
    let mut slowest = Duration::ZERO;
    let mut dropped = 0.0;
    // More spans than have room: two or more for each request.
    for _ in 0..40 {
        let asked = (0..250).map(async |_| {
            let begin = Instant::now();
            let answer = client.get(format!("{}/users/nobody", server.address)).send().await.unwrap();
            assert_eq!(answer.status(), 404);
            begin.elapsed()
        });
        slowest = futures::future::join_all(asked).await.into_iter().max().unwrap().max(slowest);
        dropped = counted(&server, "dropped").await;
        if dropped > 0.0 {
            break;
        }
    }
    assert!(dropped > 0.0);
    // Far below the patience with the collector, though 250 asked at once.
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");
    let begin = Instant::now();
    ended(server).await;
    assert!(begin.elapsed() < Duration::from_secs(8), "stopping took {:?}", begin.elapsed());
    drop(hanging);
}
