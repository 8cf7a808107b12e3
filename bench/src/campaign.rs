//! A campaign to a local SMTP sink, with its ledger, in turns with a sender that only sends.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use emcrm_mail::{Mailbox, Message};
use serde_json::{Value, json};

use crate::Bench;
use crate::children::{Memory, Running, tell};
use crate::http::settled;
use crate::http_client::{get_once, post_once};
use crate::report::{Report, Row};
use crate::stats::{grouped, per_second};
use crate::{people, smtp_sender, smtp_sink};

const SENDER: &str = "bench@example.org";

/// What to send to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink<'a> {
    /// This program's own, which remembers every recipient.
    Own,
    /// Postfix's, which many measurements elsewhere were made with.
    Postfix(&'a Path),
}

impl Sink<'_> {
    fn start(self) -> Result<Running> {
        match self {
            Self::Own => Running::own(&["sink"]),
            Self::Postfix(program) => Running::smtp_sink(program),
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own sink",
            Self::Postfix(_) => "smtp-sink",
        }
    }
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let folder = bench.folder.join("campaign");
    let people: u64 = if bench.quick { 20_000 } else { 100_000 };
    crate::search::generate(bench, &folder, people)?;
    let mut sinks = vec![Sink::Own];
    if let Some(program) = &bench.smtp_sink {
        sinks.insert(0, Sink::Postfix(program));
    } else {
        tell("  smtp-sink is not there (Debian: postfix), so only the own sink is used");
    }
    for sink in sinks {
        for connections in [20, 50] {
            one(bench, report, &folder, sink, connections, people)?;
        }
    }
    Ok(())
}

fn one(bench: &Bench, report: &mut Report, folder: &Path, sink: Sink<'_>, connections: usize, people: u64) -> Result<()> {
    let before = bare_rate(sink, connections, people as usize / 2)?;
    let target = sink.start()?;
    let settings = mail_settings(&target, connections);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (server, _) = bench.emcrm.serve(folder, &settings)?;
    settled(server.address, people)?;
    let idle = server.cpu()?;
    let ran = watch(&server)?;
    let busy = server.cpu()? - idle;
    let sent = ran.campaign.pointer("/counts/sent").and_then(Value::as_u64).unwrap_or_default();
    let total = ran.campaign.get("totalRecipients").and_then(Value::as_u64).unwrap_or_default();
    if sent != total || total != people {
        bail!("{people} people, {total} recipients, {sent} sent: {}", ran.campaign);
    }
    let mut span = ran.sending;
    let mut proof = String::new();
    if sink == Sink::Own {
        let seen = smtp_sink::stats(target.address)?;
        let ledger = ledger(&server, &ran.campaign)?;
        if seen.mails as u64 != sent || smtp_sink::recipients(target.address)? != ledger {
            bail!("the sink's recipients are not those of the ledger, each once");
        }
        span = seen.span;
        "; the sink's recipients are those of the ledger, each once".clone_into(&mut proof);
    }
    server.stop()?;
    let after = bare_rate(sink, connections, people as usize / 2)?;
    let (rate, bare) = (per_second(sent as usize, span), f64::midpoint(before, after));
    let memory = ran.most.peak.max(ran.most.now);
    let met = rate >= 10_000.0 && memory < 150.0 && rate >= bare / 2.0;
    let measured = format!("{} mails/s, {memory:.0} MB, {:.0} % of bare ({}/s)", grouped(rate), rate / bare * 100.0, grouped(bare));
    let how = format!(
        "{} mails of {} bytes, ledger on; freeze {:.1} s, sending {:.1} s, {busy:.1} s of processor time{proof}",
        grouped(sent as f64),
        message()?.len(),
        ran.freezing.as_secs_f64(),
        span.as_secs_f64(),
    );
    report.add(Row::new(
        &format!("campaign, {}, {connections} connections", sink.name()),
        ">= 10,000 mails/s at < 150 MB, >= 50 % of a bare sender",
        met,
        measured,
        &how,
    ));
    Ok(())
}

/// How a campaign went.
struct Ran {
    campaign: Value,
    freezing: Duration,
    sending: Duration,
    most: Memory,
}

/// Sends to everybody and looks on until it is over.
fn watch(server: &Running) -> Result<Ran> {
    let began = Instant::now();
    let (status, mut campaign) = post_once(server.address, "/email/send_emails", &body())?;
    let id = campaign.get("email_id").and_then(Value::as_str).with_context(|| format!("the campaign was answered {status} {campaign}"))?.to_owned();
    let (mut most, mut frozen) = (Memory::default(), None);
    loop {
        let memory = server.memory()?;
        if memory.now > most.now {
            most = memory;
        }
        match campaign.get("status").and_then(Value::as_str).unwrap_or_default() {
            "pending" | "freezing" => {}
            "sending" => {
                frozen.get_or_insert_with(Instant::now);
            }
            "sent" => break,
            _ => bail!("the campaign came to {campaign}"),
        }
        if began.elapsed() > Duration::from_mins(15) {
            bail!("after 15 minutes the campaign is still {campaign}");
        }
        std::thread::sleep(Duration::from_millis(10));
        (_, campaign) = get_once(server.address, &format!("/email/requests/{id}"))?;
    }
    let frozen = frozen.unwrap_or(began);
    Ok(Ran { campaign, freezing: frozen - began, sending: frozen.elapsed(), most })
}

/// Addresses of all rows that were sent, sorted.
fn ledger(server: &Running, campaign: &Value) -> Result<Vec<String>> {
    let id = campaign.get("email_id").and_then(Value::as_str).unwrap_or_default();
    let mut addresses = Vec::new();
    let mut path = format!("/email/sent/{id}?size=100");
    loop {
        let (status, page) = post_once(server.address, &path, &json!({}))?;
        let rows = page.get("items").and_then(Value::as_array).with_context(|| format!("the ledger was answered {status} {page}"))?;
        let sent = rows.iter().filter(|row| row.get("status").and_then(Value::as_str) == Some("sent"));
        addresses.extend(sent.filter_map(|row| row.get("email")?.as_str()).map(str::to_owned));
        match page.get("next").and_then(Value::as_str) {
            Some(next) => path = format!("/email/sent/{id}?size=100&cursor={next}"),
            None => break,
        }
    }
    addresses.sort_unstable();
    Ok(addresses)
}

/// Body of a campaign to everybody.
pub fn body() -> Value {
    json!({ "filter": {}, "subject": people::SUBJECT, "body": people::text() })
}

pub fn mail_settings(sink: &Running, connections: usize) -> [(&'static str, String); 4] {
    [
        ("MAIL_TRANSPORT", "smtp".to_owned()),
        ("MAIL_SMTP_URL", format!("smtp://{}", sink.address)),
        ("MAIL_CONNECTIONS", connections.to_string()),
        ("MAIL_FROM", format!("Bench <{SENDER}>")),
    ]
}

/// The bytes of a campaign's mail, made as the product makes them.
fn message() -> Result<Vec<u8>> {
    let mailbox = |name: &str, address: &str| Mailbox { name: Some(name.to_owned()), address: address.to_owned() };
    let message = Message {
        from: mailbox("Bench", SENDER),
        to: mailbox("Ada Andersen", "bench.123456@example.org"),
        reply_to: None,
        subject: people::SUBJECT.to_owned(),
        text: people::text(),
        html: None,
        message_id: "0123456789abcdef0123456789abcdef@example.org".to_owned(),
        date: jiff::Timestamp::from_second(1_767_225_600)?,
        calendar: None,
        unsubscribe_url: None,
        headers: Vec::new(),
    };
    Ok(message.to_bytes()?)
}

fn bare_rate(sink: Sink<'_>, connections: usize, mails: usize) -> Result<f64> {
    let target = sink.start()?;
    Ok(per_second(mails, bare(target.address, connections, mails)?))
}

/// Sends as many mails of the same bytes, bare.
pub fn bare(sink: SocketAddr, connections: usize, mails: usize) -> Result<Duration> {
    let message = message()?;
    // A runtime inside a runtime is not allowed: a thread of its own.
    std::thread::spawn(move || smtp_sender::send(sink, connections, mails, &message)).join().unwrap_or_else(|_| bail!("the sender stopped"))
}
