//! A campaign to a local SMTP sink, with its ledger, in turns with a sender that only sends.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Bench;
use crate::children::{Memory, Running, tell};
use crate::http::settled;
use crate::http_client::{get_once, post_once};
use crate::report::{Report, Row};
use crate::smtp_sender::Commands;
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

/// What is mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The same text for everybody.
    Text,
    /// Two variables, and an unsubscribe link of its own in each mail.
    Personal,
    /// HTML with a variable, an unsubscribe link, a picture for opens and so many tracked links.
    Tracked(u32),
}

impl Content {
    fn name(self) -> String {
        match self {
            Self::Text => "3 KB of text".to_owned(),
            Self::Personal => "3 KB of text with two variables and an unsubscribe link".to_owned(),
            Self::Tracked(links) => format!("HTML with a variable, unsubscribe link, opens and {links} clicks tracked"),
        }
    }

    /// Body of a campaign to everybody.
    pub fn body(self) -> Value {
        let text = people::text();
        match self {
            Self::Text => json!({ "filter": {}, "subject": people::SUBJECT, "body": text }),
            Self::Personal => {
                let body = format!("Dear {{{{ user.firstName }}}} {{{{ user.lastName }}}},\n\n{text}");
                json!({ "filter": {}, "subject": people::SUBJECT, "body": body })
            }
            Self::Tracked(links) => {
                let link = |n: u32| format!("<p><a href=\"https://example.org/talks/{n}\">Talk number {n} of our programme</a></p>\n");
                let links = (0..links).map(link).collect::<Vec<_>>().concat();
                let body = format!("<html><body><p>Dear {{{{ user.firstName }}}},</p>\n{links}<p>See you soon</p></body></html>");
                json!({ "filter": {}, "subject": people::SUBJECT, "body": body, "bodyFormat": "html", "trackOpens": true, "trackClicks": true })
            }
        }
    }

    /// The same text needs no address of the installation; the others make links to it.
    fn settings(self) -> Option<(&'static str, String)> {
        (self != Self::Text).then(|| ("APP_PUBLIC_URL", "https://crm.example.org".to_owned()))
    }
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let folder = bench.folder.join("campaign");
    let people: u64 = if bench.quick { 20_000 } else { 100_000 };
    crate::search::generate(bench, &folder, people)?;
    if bench.smtp_sink.is_none() {
        tell("  smtp-sink is not there (Debian: postfix), so only the own sink is used");
    }
    for (content, connections) in [
        (Content::Text, 20),
        (Content::Text, 50),
        (Content::Personal, 50),
        // An invitation, and a newsletter with a long programme.
        (Content::Tracked(5), 20),
        (Content::Tracked(5), 50),
        (Content::Tracked(20), 50),
    ] {
        let run = Compared { bench, folder: &folder, content, connections, people };
        // The own sink first: it shows the bytes that the bare sender sends to both.
        let mail = run.to_own_sink(report)?;
        if let Some(program) = &bench.smtp_sink {
            run.compared(report, Sink::Postfix(program), &mail)?;
        }
    }
    Ok(())
}

/// To people who are there already, on engines for which there is no budget.
pub fn on_other_engines(bench: &Bench, folder: &Path, people: u64, report: &mut Report) -> Result<()> {
    let run = Compared { bench, folder, content: Content::Personal, connections: 20, people };
    let target = Sink::Own.start()?;
    let (ran, busy, rate) = run.exact(&target)?;
    let measured = format!("freeze {:.1} s, {} mails/s, {:.0} MB", ran.freezing.as_secs_f64(), grouped(rate), ran.most.peak.max(ran.most.now));
    let how = format!(
        "{} mails, ledger on; {busy:.1} s of the server's processor time; the sink's recipients are those of the ledger, each once",
        grouped(people as f64)
    );
    report.add(Row::told(&format!("on DynamoDB Local: {}", run.name(Sink::Own)), measured, &how));
    Ok(())
}

/// One campaign, and the bare sender with the same mails.
struct Compared<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    content: Content,
    connections: usize,
    people: u64,
}

impl Compared<'_> {
    /// To the own sink, which must see the recipients of the ledger, each once. Also the mails in a second.
    fn exact(&self, target: &Running) -> Result<(Ran, f64, f64)> {
        let (server, ran, busy) = self.campaign(target)?;
        let seen = smtp_sink::stats(target.address)?;
        if seen.mails as u64 != self.people || smtp_sink::recipients(target.address)? != ledger(&server, &ran.campaign)? {
            bail!("the sink's recipients are not those of the ledger, each once");
        }
        server.stop()?;
        Ok((ran, busy, per_second(seen.mails, seen.span)))
    }

    /// Returns a mail as it was sent.
    fn to_own_sink(&self, report: &mut Report) -> Result<Vec<u8>> {
        let target = Sink::Own.start()?;
        let (ran, busy, rate) = self.exact(&target)?;
        let memory = ran.most.peak.max(ran.most.now);
        let measured = format!("{} mails/s, {memory:.0} MB", grouped(rate));
        let how = format!("{busy:.1} s of processor time; the sink's recipients are those of the ledger, each once");
        report.add(Row::new(&self.name(Sink::Own), ">= 10,000 mails/s at < 150 MB", rate >= 10_000.0 && memory < 150.0, measured, &how));
        smtp_sink::first_mail(target.address)
    }

    /// In turns with the bare sender.
    fn compared(&self, report: &mut Report, sink: Sink<'_>, mail: &[u8]) -> Result<()> {
        let bare_rate = |commands| -> Result<f64> {
            let target = sink.start()?;
            let mails = self.people as usize / 2;
            Ok(per_second(mails, bare(target.address, commands, self.connections, mails, mail.to_vec())?))
        };
        let before = bare_rate(Commands::InTurn)?;
        let target = sink.start()?;
        let (server, ran, busy) = self.campaign(&target)?;
        server.stop()?;
        drop(target);
        let after = bare_rate(Commands::InTurn)?;
        let together = bare_rate(Commands::Together)?;
        let (rate, bare) = (per_second(self.people as usize, ran.sending), f64::midpoint(before, after));
        let memory = ran.most.peak.max(ran.most.now);
        let met = rate >= 10_000.0 && memory < 150.0 && rate >= bare / 2.0;
        let measured = format!("{} mails/s, {memory:.0} MB, {:.0} % of bare ({}/s)", grouped(rate), rate / bare * 100.0, grouped(bare));
        let how = format!(
            "{} mails of {} bytes, ledger on; freeze {:.1} s, sending {:.1} s, {busy:.1} s of processor time; a bare sender that sends its commands together: {}/s ({:.0} %)",
            grouped(self.people as f64),
            mail.len(),
            ran.freezing.as_secs_f64(),
            ran.sending.as_secs_f64(),
            grouped(together),
            rate / together * 100.0,
        );
        report.add(Row::new(&self.name(sink), ">= 10,000 mails/s at < 150 MB, >= 50 % of a bare sender", met, measured, &how));
        Ok(())
    }

    /// The whole campaign; the server still runs. Also the processor time that it took.
    fn campaign(&self, target: &Running) -> Result<(Running, Ran, f64)> {
        let settings: Vec<(&str, String)> = mail_settings(target, self.connections).into_iter().chain(self.content.settings()).collect();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (server, _) = self.bench.emcrm.serve(self.folder, &settings)?;
        settled(server.address, self.people)?;
        let idle = server.cpu()?;
        let ran = watch(&server, self.content)?;
        let busy = server.cpu()? - idle;
        let sent = ran.campaign.pointer("/counts/sent").and_then(Value::as_u64).unwrap_or_default();
        let total = ran.campaign.get("totalRecipients").and_then(Value::as_u64).unwrap_or_default();
        if sent != total || total != self.people {
            bail!("{} people, {total} recipients, {sent} sent: {}", self.people, ran.campaign);
        }
        Ok((server, ran, busy))
    }

    fn name(&self, sink: Sink<'_>) -> String {
        format!("campaign, {}, {}, {} connections", self.content.name(), sink.name(), self.connections)
    }
}

/// How a campaign went.
struct Ran {
    campaign: Value,
    freezing: Duration,
    sending: Duration,
    most: Memory,
}

/// Sends to everybody and looks on until it is over.
fn watch(server: &Running, content: Content) -> Result<Ran> {
    let began = Instant::now();
    let (status, mut campaign) = post_once(server.address, "/email/send_emails", &content.body())?;
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

pub fn mail_settings(sink: &Running, connections: usize) -> [(&'static str, String); 3] {
    [
        ("MAIL_TRANSPORT", "smtp".to_owned()),
        ("MAIL_SMTP_URL", format!("smtp://{}?connections={connections}", sink.address)),
        ("MAIL_FROM", format!("Bench <{SENDER}>")),
    ]
}

/// Sends so many mails of these bytes, bare.
pub fn bare(sink: SocketAddr, commands: Commands, connections: usize, mails: usize, mail: Vec<u8>) -> Result<Duration> {
    // A runtime inside a runtime is not allowed: a thread of its own.
    std::thread::spawn(move || smtp_sender::send(sink, commands, connections, mails, &mail)).join().unwrap_or_else(|_| bail!("the sender stopped"))
}
