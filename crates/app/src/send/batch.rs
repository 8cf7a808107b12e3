//! One group of connections: settle, hand over, again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use emcrm_mail::{Connection, Envelope, Handover, MailError};
use emcrm_model::{CampaignState, Delivery, DeliveryState, EmailAddress};
use emcrm_store::{Guard, Rule, TransactError, Transaction};
use emcrm_trace::{Instrument as _, Span};
use futures::future::join_all;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::domains::{self, Place, domain_of, means_the_domain};
use super::feeder::Feeder;
use super::hang_ups::{self, HANG_UPS_MAX};
use super::judge::{self, Row};
use super::ledger::{Counted, Step};
use super::{Halt, REFUSED_IN_A_ROW, Refusals, Run};
use crate::spans;
use crate::{App, AppError};

/// Times that one mail is handed over before a temporary refusal is taken as final.
const ATTEMPTS_MAX: u32 = 6;

/// A claimed row and its mail.
struct Claimed {
    delivery: Delivery,
    mail: Handover,
    at: ClaimedAt,
}

/// When a row was claimed, by both clocks: one does not count the time in which the machine was suspended, the other one may be set.
#[derive(Debug, Clone, Copy)]
struct ClaimedAt {
    elapsed: Duration,
    ms: i64,
}

impl ClaimedAt {
    fn now(app: &App) -> Self {
        Self { elapsed: app.clock.elapsed(), ms: app.now_ms() }
    }
    /// Whether the lease under which it was claimed may have run out since, so that another worker may have called the row lost, and somebody may have had it
    /// sent again. A lease is renewed every third of its time: as long as the process runs, more than half of it is left.
    fn is_old(self, app: &App) -> bool {
        let by_elapsed = app.clock.elapsed().saturating_sub(self.elapsed).as_millis() as i64;
        by_elapsed.max(app.now_ms().saturating_sub(self.ms)) > i64::from(app.settings.lease_seconds) * 1_000 / 2
    }
}

/// What became of a claimed row.
struct Ended {
    delivery: Delivery,
    result: Result<(), MailError>,
    /// The connection stood, and the server ended it before it had the mail.
    hung_up: bool,
    /// It does so at this mail, and takes those of others.
    own_fault: bool,
    /// It was not handed over, because its claim was too old.
    too_late: bool,
}

/// A row that is to go, and its place at the mail server of its domain.
struct Chosen {
    row: Row,
    place: Place,
}

/// One connection and the right to have it. It is opened when it is needed first.
struct Line {
    connection: Option<Box<dyn Connection>>,
    /// Of the mail that the connection was told to expect next.
    expects: Option<Envelope>,
    /// Times that the server hung up, without a mail taken between them.
    hang_ups: u32,
    _place: OwnedSemaphorePermit,
}

/// Connections that the mail server did not want to give. One of them is asked for again after a while: servers that are full do not stay so.
#[derive(Debug, Default)]
struct Denied {
    lines: usize,
    ask_at: Option<Instant>,
}

impl Denied {
    fn one(&mut self, now: Instant) {
        self.lines += 1;
        self.ask_at = Some(now + DENIED_REST);
    }
    /// How many are not to be asked for.
    fn now(&mut self, now: Instant) -> usize {
        if self.lines > 0 && self.ask_at.is_none_or(|at| at <= now) {
            self.lines -= 1;
            self.ask_at = Some(now + DENIED_REST);
        }
        self.lines
    }
}

/// How long a connection that was not given is not asked for.
const DENIED_REST: Duration = Duration::from_secs(30);
/// A wait that is worth closing the connections for.
const LONG_WAIT: Duration = Duration::from_secs(2);
/// How often a group that has to rest looks whether it may go on.
const REST: Duration = Duration::from_millis(100);

pub(super) async fn group(run: Arc<Run>, group: usize) -> Result<(), AppError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut ended = Vec::new();
    // Of the batch that `ended` comes from: it lasts until its outcomes are recorded.
    let mut in_hand = Span::none();
    let mut denied = Denied::default();
    // The batch after this one, so that connections can be told of its mails.
    let mut ahead: Option<Result<Vec<Chosen>, AppError>> = None;
    loop {
        let mut batch = Vec::new();
        if !run.is_halted() {
            let share = run.app.lines_share(group).saturating_sub(denied.now(Instant::now()));
            let chosen = match ahead.take() {
                Some(Ok(chosen)) => {
                    let mut chosen = their_turn(&run, chosen, share).await;
                    // Lines may have been lost; whom one expects goes before whom none does.
                    chosen.sort_by_key(|chosen| !lines.iter().any(|line| line.expects.as_ref().is_some_and(|expected| expected.to == address(&chosen.row))));
                    Ok(chosen)
                }
                Some(Err(error)) => Err(error),
                None if share == 0 => Ok(Vec::new()),
                None => next(&run, share).await,
            };
            batch = match chosen {
                Ok(batch) => batch,
                Err(error) => {
                    // What became of the last mails is known, whatever cannot be read.
                    record_all(&run, &mut in_hand, &mut ended).await?;
                    return Err(error);
                }
            };
            if batch.is_empty() && ended.is_empty() && (share == 0 || !run.feeder.lock().await.is_done()) {
                if share == 0 {
                    close(&run, &mut lines, 0).await;
                }
                if run.feeder.lock().await.is_done() {
                    break;
                }
                tokio::time::sleep(if share == 0 { REST } else { domains::LOOK_AGAIN }).await;
                continue;
            }
            if !batch.is_empty() {
                let moment = moment(&run, batch.len());
                if moment.is_some_and(|moment| moment > Instant::now()) {
                    // Nothing stays unrecorded while the group waits for its moment.
                    record_all(&run, &mut in_hand, &mut ended).await?;
                }
                if moment.is_some_and(|moment| moment > Instant::now() + LONG_WAIT) {
                    close(&run, &mut lines, 0).await;
                }
                wait_for(&run, moment).await;
                close(&run, &mut lines, share).await;
                open(&run, &mut lines, batch.len().min(share)).await;
                // What has no line is left to others.
                let rest = batch.split_off(lines.len().min(batch.len()));
                put_back(&mut *run.feeder.lock().await, rest);
            }
            if !batch.is_empty() && run.app.may_look_ahead(&run) {
                ahead = after_next(&run, share).await;
            }
        }
        if batch.is_empty() && ended.is_empty() {
            break;
        }
        if batch.is_empty() {
            record_all(&run, &mut in_hand, &mut ended).await?;
        } else {
            let (rows, places): (Vec<Row>, Vec<Place>) = batch.into_iter().map(|chosen| (chosen.row, chosen.place)).unzip();
            let span = run.next_batch(rows.len());
            let ledger = spans::ledger(if span.is_disabled() { &in_hand } else { &span }, rows.len(), ended.len());
            let claimed = settle(&run, std::mem::take(&mut ended), rows).instrument(ledger).await?;
            in_hand = span;
            let next = ahead.iter().flatten().flatten().map(|chosen| envelope(&run, &chosen.row)).collect();
            ended = hand_over(&run, &mut lines, claimed, next, &mut denied, &in_hand).await;
            drop(places);
        }
        if run.app.lines_are_short() {
            record_all(&run, &mut in_hand, &mut ended).await?;
            close(&run, &mut lines, 0).await;
        }
    }
    close(&run, &mut lines, 0).await;
    Ok(())
}

/// The turn of those who were chosen ahead has come. Whose domain asked to be left alone since goes in a later run, and where the group has to rest now, all are left
/// to others: in one step, so that none of these thinks that there is nothing left.
async fn their_turn(run: &Run, mut chosen: Vec<Chosen>, share: usize) -> Vec<Chosen> {
    let mut feeder = run.feeder.lock().await;
    feeder.let_go(chosen.len());
    let (elapsed, now) = (run.app.clock.elapsed(), run.app.now_ms());
    chosen.retain(|chosen| match chosen.place.rests(elapsed) {
        None => true,
        Some(wait) => {
            feeder.retry_at(now + wait.as_millis() as i64 + 1);
            false
        }
    });
    if share == 0 {
        put_back(&mut feeder, chosen);
        return Vec::new();
    }
    chosen
}

/// These go out again in this run, before those that wait.
fn put_back(feeder: &mut Feeder, rows: Vec<Chosen>) {
    rows.into_iter().rev().for_each(|chosen| feeder.put_back(chosen.row));
}

/// Records the outcomes of a batch for which no other waits; with that it is over.
async fn record_all(run: &Run, in_hand: &mut Span, ended: &mut Vec<Ended>) -> Result<(), AppError> {
    if ended.is_empty() {
        return Ok(());
    }
    let span = std::mem::replace(in_hand, Span::none());
    let ledger = spans::ledger(&span, 0, ended.len());
    settle(run, std::mem::take(ended), Vec::new()).instrument(ledger).await?;
    Ok(())
}

/// Takes places for so many lines: one for sure, more if there are any.
async fn open(run: &Run, lines: &mut Vec<Line>, wanted: usize) {
    while lines.len() < wanted {
        let place = if lines.is_empty() {
            tokio::select! {
                place = run.app.mail_lines.clone().acquire_owned() => place.ok(),
                () = run.stop.cancelled() => None,
            }
        } else {
            run.app.mail_lines.clone().try_acquire_owned().ok()
        };
        match place {
            Some(place) => lines.push(Line { connection: None, expects: None, hang_ups: 0, _place: place }),
            None => return,
        }
    }
}

/// Gives up all lines but so many.
async fn close(run: &Run, lines: &mut Vec<Line>, keep: usize) {
    for line in lines.drain(keep.min(lines.len())..) {
        if let Some(connection) = line.connection {
            run.open_lines.fetch_sub(1, Ordering::Relaxed);
            connection.close().await;
        }
    }
}

/// The next rows, no more than the rate allows at once.
async fn next(run: &Run, most: usize) -> Result<Vec<Chosen>, AppError> {
    choose(run, &mut *run.feeder.lock().await, most).await
}

/// Those after the next ones. None where there are none now; an error is told in its turn, the mails before it can go.
async fn after_next(run: &Run, most: usize) -> Option<Result<Vec<Chosen>, AppError>> {
    let mut feeder = run.feeder.lock().await;
    let chosen = choose(run, &mut feeder, most).await;
    feeder.hold(chosen.as_ref().map_or(0, Vec::len));
    Some(chosen).filter(|chosen| !chosen.as_ref().is_ok_and(Vec::is_empty))
}

async fn choose(run: &Run, feeder: &mut Feeder, most: usize) -> Result<Vec<Chosen>, AppError> {
    let n = run.app.transport_limiter.batch(run.limiter.batch(most));
    let rows = feeder.next(run, n).await?;
    Ok(rows.into_iter().map(|row| Chosen { place: Place::of(&run.app.domains, &row.delivery), row }).collect())
}

/// What the mail of a row goes in. The mail is made when the row is claimed.
fn envelope(run: &Run, row: &Row) -> Envelope {
    Envelope { from: run.app.settings.mail_from.address.clone(), to: address(row).to_owned() }
}

fn address(row: &Row) -> &str {
    row.delivery.email.as_ref().map(EmailAddress::as_str).unwrap_or_default().trim()
}

/// When so many mails may go, by the rates of the campaign and of the transport.
fn moment(run: &Run, mails: usize) -> Option<Instant> {
    [run.limiter.take(mails), run.app.transport_limiter.take(mails)].into_iter().flatten().max()
}

async fn wait_for(run: &Run, moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::select! {
            () = tokio::time::sleep_until(moment) => {}
            () = run.stop.cancelled() => {}
        }
    }
}

/// One transaction: the outcomes of the last mails, and the claims of the next. Returns what was claimed.
async fn settle(run: &Run, ended: Vec<Ended>, batch: Vec<Row>) -> Result<Vec<Claimed>, AppError> {
    let app = &run.app;
    let records: Vec<Step> = ended.into_iter().map(|ended| record(run, ended)).collect();
    let mut skips = Vec::new();
    let mut claims = Vec::new();
    let judged = match judge::now(run, batch).await {
        Ok(judged) => judged,
        Err(error) => {
            // Outcomes are known and must not wait for what cannot be read.
            run.halt(Halt::Moved);
            app.record_surely(&run.campaign.id, &run.token, &records).await;
            return Err(error);
        }
    };
    let begun = ClaimedAt::now(app);
    for (delivery, verdict) in judged {
        match verdict {
            Ok(user) => {
                let address = delivery.email.as_ref().map(EmailAddress::as_str).unwrap_or_default().to_owned();
                match app.mail_for(&run.prepared, &run.campaign.id, &user, &address) {
                    Ok(mail) => claims.push(Claimed { delivery, mail, at: begun }),
                    Err(reason) => skips.push(Step::left_out(delivery, DeliveryState::Skipped, &reason)),
                }
            }
            Err((state, reason)) => skips.push(Step::left_out(delivery, state, reason)),
        }
    }
    loop {
        let mut tx = Transaction::new();
        let mut counted = Counted::default();
        for step in records.iter().chain(&skips) {
            step.write(app, &mut tx, &run.token, &mut counted);
        }
        let at = ClaimedAt::now(app);
        for claim in &mut claims {
            claim.at = at;
            Step::claim(&claim.delivery).write(app, &mut tx, &run.token, &mut counted);
        }
        if tx.is_empty() {
            return Ok(Vec::new());
        }
        let going_on = !claims.is_empty() || !skips.is_empty();
        if going_on {
            let op = app.store.campaigns.update_in(&mut tx, &run.campaign.id, &[CampaignState::Sending]);
            counted.write(op.when(Guard::equals("sender", run.token.as_str())).or(Rule::CampaignMoved));
        } else {
            counted.write(app.store.campaigns.update_any(&mut tx, &run.campaign.id));
        }
        let refused = match app.transact(tx).await {
            Ok(()) => break,
            Err(TransactError::Refused(rules)) => rules,
            Err(TransactError::Engine(error)) => {
                // Claims may or may not stand: those mails are not handed over. Outcomes are known, so they are tried until they stand.
                run.halt(Halt::Moved);
                app.record_surely(&run.campaign.id, &run.token, &records).await;
                return Err(error.into());
            }
        };
        if going_on && refused.last().is_some_and(Option::is_some) {
            run.halt(Halt::Moved);
            claims.clear();
            skips.clear();
            continue;
        }
        // Rows that somebody else has changed are left to them: a claim by another run, a cancellation, a row called lost too early.
        if refused.iter().take(records.len()).any(Option::is_some) {
            app.record_surely(&run.campaign.id, &run.token, &records).await;
            let batch = claims.into_iter().map(|claim| claim.delivery).chain(skips.into_iter().map(|skip| skip.delivery)).map(Row::new).collect();
            return Box::pin(settle(run, Vec::new(), batch)).await;
        }
        let mut rules = refused.into_iter().skip(records.len());
        skips.retain(|_| rules.next().flatten().is_none());
        claims.retain(|_| rules.next().flatten().is_none());
    }
    let mut feeder = run.feeder.lock().await;
    let now = app.now_ms();
    for step in &records {
        if step.to == DeliveryState::Pending {
            match step.retry_at {
                Some(at) if at > now => feeder.retry_at(at),
                _ => feeder.put_last(step.delivery.clone()),
            }
        }
    }
    Ok(claims)
}

/// The ledger's step for an outcome, and what the run learns from it.
fn record(run: &Run, ended: Ended) -> Step {
    let Ended { delivery, result, own_fault, .. } = ended;
    match result {
        Ok(()) => {
            *run.refusals.lock() = Refusals::default();
            run.hang_ups.lock().taken();
            run.app.domains.accepted(domain_of(delivery.email.as_ref()));
            run.sent.fetch_add(1, Ordering::Relaxed);
            Step::sent(delivery, run.app.stamp())
        }
        Err(MailError::Permanent { reply }) => {
            refused(run, &delivery, &reply, DeliveryState::Error);
            Step::failed(delivery, DeliveryState::Error, reply)
        }
        Err(MailError::Temporary { reply }) => {
            refused(run, &delivery, &reply, not_now(&delivery));
            if means_the_domain(&reply) {
                run.app.domains.put_off(domain_of(delivery.email.as_ref()), run.app.clock.elapsed());
            }
            later(run, delivery, reply)
        }
        Err(MailError::Unknown { cause }) => Step::failed(delivery, DeliveryState::Unknown, cause),
        // As if it had said "later": else the row would be tried first in each run, and the campaign would never end.
        Err(MailError::Unavailable { cause }) if own_fault => later(run, delivery, hang_ups::words(&cause)),
        Err(MailError::Unavailable { cause }) => Step::retry(delivery, cause, None, false),
    }
}

/// What becomes of a row that the server does not want now.
fn not_now(delivery: &Delivery) -> DeliveryState {
    if delivery.attempts + 1 >= ATTEMPTS_MAX { DeliveryState::Error } else { DeliveryState::Pending }
}

/// Another attempt after a while, or none where there were enough.
fn later(run: &Run, delivery: Delivery, words: String) -> Step {
    let becomes = not_now(&delivery);
    if becomes == DeliveryState::Error {
        return Step::failed(delivery, becomes, words);
    }
    let at = run.app.now_ms() + run.app.settings.retry_after_ms(delivery.attempts);
    Step::retry(delivery, words, Some(at), true)
}

fn refused(run: &Run, delivery: &Delivery, reply: &str, becomes: DeliveryState) {
    let domain = domain_of(delivery.email.as_ref());
    let mut refusals = run.refusals.lock();
    refusals.several |= refusals.in_a_row > 0 && refusals.domain != domain;
    domain.clone_into(&mut refusals.domain);
    refusals.in_a_row += 1;
    refusals.lost += u32::from(becomes == DeliveryState::Error);
    // One domain that refuses for now, while others took mail of this campaign, is its own affair: each of its rows says so, and is tried again. Rows that are
    // lost are not: where nobody took a mail between so many of them, there may be no other domain that ever will.
    let ours = refusals.several || (run.sent.load(Ordering::Relaxed) == 0 && run.campaign.counts.get(DeliveryState::Sent) == 0);
    if refusals.lost >= REFUSED_IN_A_ROW || (refusals.in_a_row >= REFUSED_IN_A_ROW && ours) {
        run.halt(Halt::Refused(nameless(reply)));
    }
}

/// Words of a mail server without the addresses in them: the campaign keeps them, and an erasure does not look there.
fn nameless(reply: &str) -> String {
    reply.split_whitespace().map(|word| if word.contains('@') { "…" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Hands the claimed mails over, one on each connection, all at once. Connections that cannot be had are given up while others stand. One that the server ended
/// at a mail is opened again for another mail: only where that goes on is it the connection, or the server.
async fn hand_over(run: &Run, lines: &mut Vec<Line>, claimed: Vec<Claimed>, next: Vec<Envelope>, denied: &mut Denied, batch: &Span) -> Vec<Ended> {
    to_their_lines(lines, &claimed);
    let one = async |line: &mut Line, claim: Claimed, next: Option<Envelope>| {
        let span = spans::mail(batch, run.app.transport.name(), &claim.delivery);
        let (result, connected) = match line_ready(run, line).await {
            // Whoever stood still for so long may have lost the row without knowing. If not, it waits again.
            Ok(_) if claim.at.is_old(&run.app) => {
                let result = Err(MailError::Unavailable { cause: "the worker stood still before the mail was handed over".to_owned() });
                return Ended { delivery: claim.delivery, result, hung_up: false, own_fault: false, too_late: true };
            }
            Ok(connection) => (connection.send_before(&claim.mail, next.as_ref()).await, true),
            Err(error) => (Err(error), false),
        };
        spans::mail_ended(&span, &result);
        let result = result.map(|_| ());
        if matches!(result, Err(MailError::Unknown { .. } | MailError::Unavailable { .. })) && line.connection.take().is_some() {
            run.open_lines.fetch_sub(1, Ordering::Relaxed);
        }
        line.expects = next.filter(|_| line.connection.is_some());
        let hung_up = connected && matches!(result, Err(MailError::Unavailable { .. }));
        line.hang_ups = if hung_up { line.hang_ups + 1 } else { 0 };
        Ended { delivery: claim.delivery, result, hung_up, own_fault: false, too_late: false }
    };
    let next = next.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
    let mut ended = join_all(lines.iter_mut().zip(claimed).zip(next).map(|((line, claim), next)| one(line, claim, next))).await;
    let taken = run.sent.load(Ordering::Relaxed) + ended.iter().filter(|outcome| outcome.result.is_ok()).count();
    let some_taken = taken > 0 || run.campaign.counts.get(DeliveryState::Sent) > 0;
    for (i, outcome) in ended.iter_mut().enumerate().rev() {
        let Err(MailError::Unavailable { cause }) = &outcome.result else { continue };
        if outcome.too_late {
            continue;
        }
        if outcome.hung_up
            && let Some(line) = lines.get_mut(i)
        {
            let mut hang_ups = run.hang_ups.lock();
            outcome.own_fault = hang_ups.one(&outcome.delivery, taken, some_taken);
            if outcome.own_fault {
                line.hang_ups = 0;
            }
            if outcome.own_fault || (line.hang_ups < HANG_UPS_MAX && hang_ups.are_few()) {
                continue;
            }
        }
        if run.open_lines.load(Ordering::Relaxed) == 0 {
            run.halt(Halt::Unavailable(cause.clone()));
        } else if lines.len() > i {
            // The server allows fewer connections than we would like.
            lines.swap_remove(i);
            denied.one(Instant::now());
        }
    }
    ended
}

/// Puts the lines into the order of the mails: each to the line that was told of it, the others to lines that expect none of these.
fn to_their_lines(lines: &mut [Line], claimed: &[Claimed]) {
    let expects = |line: &Line, claim: &Claimed| line.expects.as_ref().is_some_and(|expected| expected.is_of(&claim.mail));
    for (n, claim) in claimed.iter().enumerate() {
        let theirs = lines.iter().skip(n).position(|line| expects(line, claim));
        let found = theirs.or_else(|| {
            let rest = claimed.get(n + 1..).unwrap_or_default();
            lines.iter().skip(n).position(|line| !rest.iter().any(|claim| expects(line, claim)))
        });
        if let Some(found) = found {
            lines.swap(n, n + found);
        }
    }
}

async fn line_ready<'a>(run: &Run, line: &'a mut Line) -> Result<&'a mut Box<dyn Connection>, MailError> {
    if line.connection.is_none() {
        run.open_lines.fetch_add(1, Ordering::Relaxed);
        let opened = run.app.transport.connect().await;
        if opened.is_err() {
            run.open_lines.fetch_sub(1, Ordering::Relaxed);
        }
        line.connection = Some(opened?);
    }
    line.connection.as_mut().ok_or_else(|| MailError::Unavailable { cause: "no connection".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_campaign_keeps_of_a_refusal_names_nobody() {
        assert_eq!(nameless("550 5.1.1 <ann@example.org>: Recipient address rejected"), "550 5.1.1 … Recipient address rejected");
    }

    #[test]
    fn a_connection_that_was_not_given_is_asked_for_again_after_a_while() {
        let mut denied = Denied::default();
        let start = Instant::now();
        assert_eq!(denied.now(start), 0);
        denied.one(start);
        denied.one(start);
        assert_eq!(denied.now(start + DENIED_REST / 2), 2);
        assert_eq!(denied.now(start + DENIED_REST), 1, "one at a time");
        assert_eq!(denied.now(start + DENIED_REST), 1);
        denied.one(start + DENIED_REST * 3 / 2);
        assert_eq!(denied.now(start + DENIED_REST * 2), 2, "refused again");
        assert_eq!([3, 4, 5].map(|n| denied.now(start + DENIED_REST * n)), [1, 0, 0]);
    }
}
