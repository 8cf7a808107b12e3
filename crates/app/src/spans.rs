//! Spans of tasks, of what they do in steps, and of single mails. docs/OPERATIONS.md has the list. Ids, numbers and words of this program only: no
//! address, no name, no text of a mail, and of a mail server's answer the codes alone, because its words repeat addresses.

use emcrm_mail::{MailError, Receipt, reply_codes};
use emcrm_model::{CampaignId, Delivery};
use emcrm_store::Task;
use emcrm_trace::{Span, TASK, child, is_shown, root};
use tracing::field::Empty;

/// One run of a task, below the request that asked for it; none where that was not traced.
pub(crate) fn task(task: &Task) -> Span {
    let Some(trace) = &task.trace else { return Span::none() };
    let campaign = task.payload.get("campaign").and_then(serde_json::Value::as_str);
    let span = root!(
        TASK,
        otel.name = format_args!("task {}", task.kind),
        otel.kind = "consumer",
        emcrm.task.kind = %task.kind,
        emcrm.task.queue = task.queue.as_str(),
        emcrm.task.run = trace.runs + 1,
        emcrm.task.attempts = task.attempts,
        emcrm.campaign.id = campaign,
        emcrm.batches = Empty,
        emcrm.mails.accepted = Empty,
    );
    emcrm_trace::follow(&span, &trace.place);
    span
}

/// One look into the index for the people of an audience.
pub(crate) fn walk(task: &Span, number: u64) -> Span {
    if is_shown(number) { child!(task, "freeze walk", emcrm.walk.number = number) } else { Span::none() }
}

/// One page of an audience: people read and checked, rows of the ledger written.
pub(crate) fn page(task: &Span, number: u64, people: usize) -> Span {
    if is_shown(number) { child!(task, "freeze page", emcrm.page.number = number, emcrm.page.people = people) } else { Span::none() }
}

/// One batch of mails: claimed, handed over, recorded.
pub(crate) fn batch(task: &Span, campaign: &CampaignId, number: u64, mails: usize) -> Span {
    if is_shown(number) { child!(task, "batch", emcrm.campaign.id = %campaign, emcrm.batch.number = number, emcrm.batch.mails = mails) } else { Span::none() }
}

/// The transaction that claims the mails of a batch, and records what became of those before.
pub(crate) fn ledger(batch: &Span, claims: usize, records: usize) -> Span {
    let name = match (claims, records) {
        (0, _) => "record",
        (_, 0) => "claim",
        _ => "record and claim",
    };
    child!(batch, "ledger", otel.name = name, emcrm.ledger.claims = claims, emcrm.ledger.records = records)
}

/// Handing one mail over.
pub(crate) fn mail(batch: &Span, transport: &'static str, delivery: &Delivery) -> Span {
    child!(
        batch,
        "mail",
        otel.kind = "client",
        emcrm.campaign.id = %delivery.campaign_id,
        emcrm.user.id = %delivery.user_id,
        emcrm.mail.transport = transport,
        emcrm.mail.attempt = delivery.attempts + 1,
        emcrm.mail.outcome = Empty,
        emcrm.smtp.reply_code = Empty,
        emcrm.smtp.enhanced_code = Empty,
    )
}

/// What the mail server said.
pub(crate) fn mail_ended(span: &Span, result: &Result<Receipt, MailError>) {
    if span.is_disabled() {
        return;
    }
    let (outcome, reply) = match result {
        Ok(Receipt { reply }) => ("accepted", reply.as_str()),
        Err(MailError::Temporary { reply }) => ("temporary", reply.as_str()),
        Err(MailError::Permanent { reply }) => ("permanent", reply.as_str()),
        Err(MailError::Unknown { .. }) => ("unknown", ""),
        Err(MailError::Unavailable { .. }) => ("unavailable", ""),
    };
    span.record("emcrm.mail.outcome", outcome);
    let (code, enhanced) = reply_codes(reply);
    if let Some(code) = code {
        span.record("emcrm.smtp.reply_code", code);
    }
    if let Some(enhanced) = enhanced {
        span.record("emcrm.smtp.enhanced_code", enhanced);
    }
    if result.is_err() {
        emcrm_trace::failed(span);
    }
}
