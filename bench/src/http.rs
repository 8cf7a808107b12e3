//! Reading and writing over HTTP with 64 clients.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Bench;
use crate::children::{Running, tell};
use crate::http_client::{Load, drive, get, get_once, post, post_once};
use crate::people;
use crate::report::{Report, Row};
use crate::stats::{grouped, median, ms, per_second, percentile};

const CLIENTS: usize = 64;

/// A load, and how much of it there should be in a second.
pub struct Wanted {
    pub what: &'static str,
    pub clients: usize,
    pub budget: f64,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let (server, _) = bench.emcrm.serve(&bench.folder.join("http"), &[])?;
    let users = create(&server, bench.seconds(), &Wanted { what: "durable create user, 64 clients", clients: CLIENTS, budget: 3_000.0 }, report)?;
    settled(server.address, users.len() as u64)?;
    read(bench, &server, &users, report)?;
    let wanted = Wanted { what: "registrations on ONE event, 64 clients, never over capacity", clients: CLIENTS, budget: 3_000.0 };
    register(&server, &users, &wanted, report)?;
    server.stop()
}

/// New users as fast as they are answered; returns their ids.
pub fn create(server: &Running, seconds: u64, wanted: &Wanted, report: &mut Report) -> Result<Vec<String>> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut n, mut ids, mut failed) = (0, Vec::new(), Vec::new());
    let load = drive(
        server.address,
        wanted.clients,
        |request| {
            n += 1;
            post("/users/", &people::body("http", n).to_string(), request);
            (Instant::now() < until).then_some(n)
        },
        |_, status, body| match (status, id_of(body)) {
            (200, Some(id)) => ids.push(id),
            _ => failed.push(format!("{status} {}", String::from_utf8_lossy(body))),
        },
    )?;
    if let Some(first) = failed.first() {
        bail!("{} of {n} users were not made, the first: {first}", failed.len());
    }
    report.add(rate(wanted, ids.len(), load, "POST /users/, each answered when it is durable; index kept up meanwhile"));
    Ok(ids)
}

pub fn rate(wanted: &Wanted, count: usize, mut load: Load, how: &str) -> Row {
    let Wanted { what, budget, .. } = *wanted;
    let rate = per_second(count, load.took);
    let p95 = percentile(&mut load.waits, 0.95);
    let measured = format!("{}/s, p95 {:.1} ms", grouped(rate), ms(p95));
    Row::new(
        what,
        &format!(">= {}/s", grouped(budget)),
        rate >= budget,
        measured,
        &format!("{how}; {} in {:.1} s", grouped(count as f64), load.took.as_secs_f64()),
    )
}

fn id_of(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("id")?.as_str().map(str::to_owned)
}

/// Waits until this many users can be found.
pub fn settled(server: SocketAddr, users: u64) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let (status, page) = post_once(server, "/search/query_users?page=0&size=1", &json!({}))?;
        if status == 200 && page.get("total").and_then(Value::as_u64) >= Some(users) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > Duration::from_mins(10) {
            bail!("after ten minutes a search answers {status} {page}, not {users} users");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// GET of users, in turns with a handler that does nothing.
fn read(bench: &Bench, server: &Running, users: &[String], report: &mut Report) -> Result<()> {
    let users: Vec<&String> = users.iter().take(10_000).collect();
    let first = users.first().context("there are no users")?;
    let (_, body) = get_once(server.address, &format!("/users/{first}"))?;
    let bare = Running::own(&["bare-http", &body.to_string()])?;
    let (rounds, each) = if bench.quick { (5, 1) } else { (9, 3) };
    let (mut ours, mut theirs, mut ratios, mut waits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mut load, mut base) = (gets(server.address, CLIENTS, &users, each)?, gets(bare.address, CLIENTS, &users, each)?);
        if round == 0 {
            // Warming up.
            continue;
        }
        let (a, b) = (per_second(load.waits.len(), load.took), per_second(base.waits.len(), base.took));
        waits.append(&mut load.waits);
        base.waits.clear();
        ours.push(a);
        theirs.push(b);
        ratios.push(a / b);
    }
    let ratio = median(&mut ratios);
    let measured = format!(
        "{:.0} % ({}/s of {}/s), p95 {:.1} ms",
        ratio * 100.0,
        grouped(median(&mut ours)),
        grouped(median(&mut theirs)),
        ms(percentile(&mut waits, 0.95))
    );
    let how = format!("{CLIENTS} kept connections, {rounds} pairs of rounds of {each} s in turns, median of the ratios");
    report.add(Row::new("GET user over HTTP, of an axum handler with the same bytes", ">= 70 %", ratio >= 0.7, measured, &how));
    Ok(())
}

pub fn gets(server: SocketAddr, clients: usize, users: &[&String], seconds: u64) -> Result<Load> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut n, mut failed) = (0_usize, 0);
    let load = drive(
        server,
        clients,
        |request| {
            n += 1;
            let user = users.get(n.wrapping_mul(7919) % users.len())?;
            get(&format!("/users/{user}"), request);
            (n % 16 != 0 || Instant::now() < until).then_some(n)
        },
        |_, status, _| failed += usize::from(status != 200),
    )?;
    if failed > 0 {
        bail!("{failed} of {n} reads failed");
    }
    Ok(load)
}

/// More people than seats at one event.
pub fn register(server: &Running, users: &[String], wanted: &Wanted, report: &mut Report) -> Result<()> {
    let seats = users.len() * 9 / 10;
    let event = json!({
        "title": "The bench event", "slug": "bench-event", "startAt": "2030-01-01T10:00:00Z", "endAt": "2030-01-01T12:00:00Z",
        "venue": "Hall 1", "maxCapacity": seats, "owner": users.first(), "hosts": [],
    });
    let (status, made) = post_once(server.address, "/events/", &event)?;
    let event = made.get("id").and_then(Value::as_str).with_context(|| format!("the event was answered {status} {made}"))?;
    let (mut n, mut taken, mut full, mut other, mut last) = (0, 0, 0, Vec::new(), Instant::now());
    let began = Instant::now();
    let mut load = drive(
        server.address,
        wanted.clients,
        |request| {
            let user = users.get(n)?;
            n += 1;
            post("/attend/", &json!({ "user_id": user, "event_id": event }).to_string(), request);
            Some(n)
        },
        |_, status, body| match status {
            200 => {
                taken += 1;
                last = Instant::now();
            }
            409 => full += 1,
            _ => other.push(format!("{status} {}", String::from_utf8_lossy(body))),
        },
    )?;
    load.took = last - began;
    let (_, stored) = get_once(server.address, &format!("/events/{event}"))?;
    let count = stored.get("attendeeCount").and_then(Value::as_u64);
    if taken != seats || full != users.len() - seats || !other.is_empty() || count != Some(seats as u64) {
        bail!("{seats} seats, {} people: {taken} registered, {full} refused, {other:?}, attendeeCount {count:?}", users.len());
    }
    let (_, page) = get_once(server.address, &format!("/attend/event/{event}?page=1&size=1"))?;
    if page.get("total").and_then(Value::as_u64) != Some(seats as u64) {
        bail!("{seats} registered, the list tells {page}");
    }
    tell(&format!("  {seats} seats taken, {full} people refused, attendeeCount and list agree"));
    let mut row = rate(wanted, taken, load, "POST /attend/ by more people than seats");
    row.measured.push_str(", exact");
    report.add(row);
    Ok(())
}
