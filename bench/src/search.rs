//! Import, search and memory with a million users.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Bench;
use crate::children::{Memory, Running, tell};
use crate::http::settled;
use crate::http_client::{Load, drive, get_once, post, post_once};
use crate::report::{Report, Row};
use crate::stats::{grouped, ms, per_second, percentile};

/// Searches at once.
const CLIENTS: usize = 2;

/// The data folder with the many users, made once for all parts of a run.
pub fn filled(bench: &Bench, report: &mut Report) -> Result<std::path::PathBuf> {
    let folder = bench.folder.join("many");
    let users = bench.many();
    if folder.exists() {
        return Ok(folder);
    }
    let took = generate(bench, &folder, users)?;
    let rate = per_second(users as usize, took);
    let (server, _) = bench.emcrm.serve(&folder, &[])?;
    let later = settled(server.address, users)?;
    let how = format!(
        "emcrm generate, {} users in {:.1} s; all searchable {:.1} s after the next start",
        grouped(users as f64),
        took.as_secs_f64(),
        later.as_secs_f64()
    );
    report.add(Row::new("bulk import", ">= 20,000 users/s", rate >= 20_000.0, format!("{} users/s", grouped(rate)), &how));
    server.stop()?;
    Ok(folder)
}

/// People by `emcrm generate`, or by the application's import in this process when asked for.
pub fn generate(bench: &Bench, folder: &std::path::Path, users: u64) -> Result<Duration> {
    if bench.own_import {
        let began = Instant::now();
        crate::layers::filled(folder, users as usize)?;
        return Ok(began.elapsed());
    }
    bench.emcrm.run(folder, &["generate", "--users", &users.to_string(), "--events", "0", "--attendance", "0", "--seed", "1"])
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let folder = filled(bench, report)?;
    let (server, _) = bench.emcrm.serve(&folder, &[])?;
    let users = bench.many();
    settled(server.address, users)?;
    let filters = filters(&server)?;
    let rounds = if bench.quick { 1_000 } else { 4_000 };
    let times = |path: &str, rounds: usize| -> Result<(f64, f64)> {
        let mut load = searches(&server, CLIENTS, &filters, path, rounds)?;
        Ok((ms(percentile(&mut load.waits, 0.5)), ms(percentile(&mut load.waits, 0.95))))
    };
    let pages = times("/search/query_users?page=0&size=10", rounds)?;
    let deep = times("/search/query_users?page=3&size=100", rounds / 4)?;
    let counts = times("/search/query_users?page=0&size=1", rounds)?;
    let at = grouped(users as f64);
    let how = format!("POST /search/query_users, {CLIENTS} clients, {} filters in turn, of them everybody, one value, two values, ranges", filters.len());
    let measured = format!("{:.1} ms (median {:.1}, 100 rows from the 4th page {:.1} ms)", pages.1, pages.0, deep.1);
    report.add(Row::new(&format!("search page at {at} users, p95"), "< 15 ms", pages.1 < 15.0, measured, &how));
    report.add(Row::new(
        &format!("count at {at} users, p95"),
        "< 5 ms",
        counts.1 < 5.0,
        format!("{:.1} ms (median {:.1})", counts.1, counts.0),
        "the same with one row",
    ));
    visible(&server, if bench.quick { 60 } else { 200 }, ("change visible in search, p95", 150.0), report)?;
    server.stop()
}

/// Filters over the values that are there.
pub fn filters(server: &Running) -> Result<Vec<Value>> {
    let values = |field: &str| -> Result<Vec<String>> {
        let (status, facets) = get_once(server.address, &format!("/search/facets?field={field}"))?;
        let mut found = Vec::new();
        strings_under(&facets, "value", &mut found);
        if found.is_empty() {
            bail!("/search/facets answered {status} {facets}");
        }
        Ok(found)
    };
    let (companies, cities, jobs) = (values("company")?, values("city")?, values("jobTitle")?);
    let mut filters = vec![json!({}), json!({ "minAttended": 0 }), json!({ "minHosted": 1 }), json!({ "company": "There is no such company" })];
    for (n, company) in companies.iter().take(8).enumerate() {
        let (city, job) = (cities.get(n % cities.len()), jobs.get(n % jobs.len()));
        filters.extend([
            json!({ "company": company }),
            json!({ "city": city }),
            json!({ "jobTitle": job, "city": city }),
            json!({ "city": city, "maxAttended": 3 }),
        ]);
    }
    Ok(filters)
}

fn strings_under(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                match inner.as_str() {
                    Some(text) if key == name => found.push(text.to_owned()),
                    _ => strings_under(inner, name, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| strings_under(inner, name, found)),
        _ => {}
    }
}

/// So many searches, by the filters in turn.
pub fn searches(server: &Running, clients: usize, filters: &[Value], path: &str, rounds: usize) -> Result<Load> {
    let (mut n, mut failed) = (0_usize, Vec::new());
    let load = drive(
        server.address,
        clients,
        |request| {
            n += 1;
            let which = n % filters.len();
            post(path, &filters.get(which)?.to_string(), request);
            (n <= rounds).then_some(which)
        },
        |_, status, body| {
            if status != 200 {
                failed.push(format!("{status} {}", String::from_utf8_lossy(body)));
            }
        },
    )?;
    if let Some(first) = failed.first() {
        bail!("{} searches failed, the first: {first}", failed.len());
    }
    if let Some((took, which)) = load.waits.iter().zip(&load.which).max() {
        tell(&format!("  {path}: the slowest took {:.1} ms: {}", ms(*took), filters.get(*which).unwrap_or(&Value::Null)));
    }
    Ok(load)
}

/// From the answer to a new user until a search finds them, against a number of milliseconds.
pub fn visible(server: &Running, rounds: usize, (what, budget): (&str, f64), report: &mut Report) -> Result<()> {
    let mut waits = Vec::with_capacity(rounds);
    for n in 0..rounds {
        let company = format!("Visible {n} {}", rand::random::<u32>());
        let mut user = crate::people::body(&format!("visible{}", rand::random::<u32>()), n);
        if let Some(slot) = user.get_mut("company") {
            *slot = Value::from(company.as_str());
        }
        let (status, answer) = post_once(server.address, "/users/", &user)?;
        let answered = Instant::now();
        if status != 200 {
            bail!("a user was answered {status} {answer}");
        }
        loop {
            let (_, page) = post_once(server.address, "/search/query_users?page=0&size=1", &json!({ "company": company }))?;
            if page.get("total").and_then(Value::as_u64) == Some(1) {
                break;
            }
            if answered.elapsed() > Duration::from_secs(10) {
                bail!("after ten seconds a new user is not found");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        waits.push(answered.elapsed());
        // Not in step with anything that the server does at fixed times.
        std::thread::sleep(Duration::from_micros(u64::from(rand::random::<u16>())));
    }
    let (middle, p95) = (ms(percentile(&mut waits, 0.5)), ms(percentile(&mut waits, 0.95)));
    let how = format!("{rounds} new users one after the other, searched for every millisecond");
    report.add(Row::new(what, &format!("< {budget:.0} ms"), p95 < budget, format!("{p95:.0} ms (median {middle:.0} ms)"), &how));
    Ok(())
}

/// A campaign to everybody, to its end, with somebody who reads meanwhile.
pub fn memory(bench: &Bench, report: &mut Report) -> Result<()> {
    let folder = filled(bench, report)?;
    let sink = match &bench.smtp_sink {
        Some(program) => Running::smtp_sink(program)?,
        None => Running::own(&["sink"])?,
    };
    let mut settings = crate::campaign::mail_settings(&sink, 20).to_vec();
    settings.push(("APP_PUBLIC_URL", "https://crm.example.org".to_owned()));
    let (server, _) = bench.emcrm.serve(&folder, &settings.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>())?;
    settled(server.address, bench.many())?;
    let (_, page) = get_once(server.address, "/users/?size=1")?;
    let user = page.pointer("/items/0/id").and_then(Value::as_str).with_context(|| format!("the list was answered {page}"))?.to_owned();
    let path = format!("/users/{user}");
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(one_read(&server, &path)?);
    }
    let began = Instant::now();
    let (status, mut campaign) = post_once(server.address, "/email/send_emails", &crate::campaign::Content::Personal.body())?;
    let id = campaign.get("email_id").and_then(Value::as_str).with_context(|| format!("the campaign was answered {status} {campaign}"))?.to_owned();
    let (mut most, mut frozen, mut freezing, mut sending) = (Memory::default(), None, Vec::new(), Vec::new());
    loop {
        if began.elapsed() > Duration::from_mins(20) {
            bail!("after 20 minutes the campaign is still {campaign}");
        }
        let reads = if frozen.is_some() { &mut sending } else { &mut freezing };
        for _ in 0..20 {
            reads.push(one_read(&server, &path)?);
        }
        let memory = server.memory()?;
        if memory.now > most.now {
            most = memory;
        }
        (_, campaign) = get_once(server.address, &format!("/email/requests/{id}"))?;
        match campaign.get("status").and_then(Value::as_str).unwrap_or_default() {
            "pending" | "freezing" => {}
            "sending" => {
                frozen.get_or_insert_with(|| began.elapsed());
            }
            "sent" => break,
            _ => bail!("the campaign came to {campaign}"),
        }
    }
    let (frozen, took) = (frozen.unwrap_or_default(), began.elapsed());
    let sent = campaign.pointer("/counts/sent").and_then(Value::as_u64).unwrap_or_default();
    if sent != bench.many() {
        bail!("{} people, but {campaign}", bench.many());
    }
    let [idle, freezing, sending] = [&mut idle, &mut freezing, &mut sending].map(|times| ms(percentile(times, 0.99)));
    let users = grouped(sent as f64);
    let how = format!(
        "{}, two variables and an unsubscribe link in each mail; freeze {:.1} s, sending {:.1} s, {} mails/s over the whole run; {:.0} MB of it without mapped files; GET of a user, one client: p99 {idle:.2} ms idle, {freezing:.2} ms while freezing, {sending:.2} ms while sending ({:.0} times)",
        if bench.smtp_sink.is_some() { "smtp-sink, 20 connections" } else { "own sink, 20 connections" },
        frozen.as_secs_f64(),
        took.saturating_sub(frozen).as_secs_f64(),
        grouped(per_second(sent as usize, took)),
        most.own,
        sending / idle.max(1e-6),
    );
    let met = most.peak.max(most.now) < 150.0;
    report.add(Row::new(&format!("campaign to {users}, personal text, resident memory"), "< 150 MB", met, format!("{:.0} MB", most.peak.max(most.now)), &how));
    server.stop()
}

/// One read, on a connection of its own, and a moment's rest.
fn one_read(server: &Running, path: &str) -> Result<Duration> {
    let began = Instant::now();
    let (status, answer) = get_once(server.address, path)?;
    let took = began.elapsed();
    if status != 200 {
        bail!("{path} was answered {status} {answer}");
    }
    std::thread::sleep(Duration::from_millis(1));
    Ok(took)
}
