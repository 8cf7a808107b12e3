//! Tables that an earlier service wrote with the same documented keys and attributes, brought up to date: rows get what this product adds (`rev`, a
//! readable slug, settled mails), then everything is recounted and what is missing is added (claims, host rows, counters, totals), as `verify`
//! does with its repairs.
//!
//! Each row is changed by one conditional write, and only where something is missing. So it can run beside a live server, be killed at any moment and
//! be run again: a second run finds nothing to do.
//!
//! Nothing is mailed by it: a campaign that the earlier service left unfinished ends as `error`, and mails of which nobody knows whether
//! they went out become `unknown`.

use std::sync::Arc;

use emcrm_model::{Campaign, CampaignState, Delivery, DeliveryState, Event, EventId, Slug, User};
use emcrm_store::{Attrs, EngineError, Guard, Item, Rule, Table, TransactError, Transaction, from_item, keys};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::Value;

use crate::verify::{Progress, VerifyReport, verify};
use crate::{App, AppError};

/// Rows that one read takes.
const READ: u32 = 500;
/// Writes at once.
const AT_ONCE: usize = 16;
/// Rows that cannot be read which are listed; the others are counted.
const LISTED: usize = 1_000;

const LEFT: &str = "left by an earlier service; whether it was sent is not known";
const UNFINISHED: &str = "adopted from an earlier service, which had not finished it";

/// What was found, row by row, and by the recount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Adopted {
    pub users: u64,
    pub events: u64,
    pub attendances: u64,
    pub campaigns: u64,
    pub deliveries: u64,
    /// Rows of other kinds; they are left as they are.
    pub others: u64,
    /// Rows that lacked something; with a dry run they still do.
    pub changed: u64,
    /// Rows that cannot be read: place and reason, the first thousand.
    pub unreadable: Vec<(String, String)>,
    pub unreadable_total: u64,
    pub report: VerifyReport,
}

/// What a row lacks.
#[derive(Debug, Default, PartialEq)]
struct Lacks {
    set: Attrs,
}

/// Brings the tables up to date, or with `dry_run` only says what would be done.
pub async fn adopt(app: &Arc<App>, dry_run: bool, progress: Progress<'_>) -> Result<Adopted, AppError> {
    let mut adopted = Adopted::default();
    for table in [Table::Main, Table::Email] {
        let mut after = None;
        loop {
            let rows = app.store.engine.scan(table, after, READ).await?;
            let mut writes = Vec::new();
            for item in rows.items {
                match lacks(&item) {
                    Some(lacks) if !lacks.set.is_empty() => writes.push((item.clone(), lacks)),
                    _ => {}
                }
                adopted.look(table, &item);
            }
            adopted.changed += writes.len() as u64;
            if !dry_run {
                stream::iter(writes.into_iter().map(|(item, lacks)| fill(app, table, item, lacks))).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
            }
            progress("rows", adopted.rows());
            after = rows.next;
            if after.is_none() {
                break;
            }
        }
    }
    if !dry_run {
        app.fill_index(|n| progress("documents of the index", n)).await?;
    }
    adopted.report = verify(app, !dry_run, progress).await?;
    Ok(adopted)
}

impl Adopted {
    fn rows(&self) -> u64 {
        self.users + self.events + self.attendances + self.campaigns + self.deliveries + self.others
    }

    /// Nothing is left that a person has to decide.
    pub fn is_settled(&self) -> bool {
        self.unreadable_total == 0 && self.report.total() == self.report.repaired
    }

    /// Counts a row, and reads it as the product will.
    fn look(&mut self, table: Table, item: &Item) {
        let of_type = item.attrs.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = format!("{} / {}", item.key.pk, item.key.sk);
        let mut whole = item.clone();
        if let Some(lacks) = lacks(item) {
            whole.attrs.extend(lacks.set);
        }
        let read = match (table, of_type.as_str()) {
            (Table::Main, keys::TYPE_USER) => {
                self.users += 1;
                from_item::<User>(whole).map(drop)
            }
            (Table::Main, keys::TYPE_EVENT) => {
                self.events += 1;
                from_item::<Event>(whole).map(drop)
            }
            (Table::Main, keys::TYPE_ATTENDANCE) => {
                self.attendances += 1;
                from_item::<emcrm_model::Attendance>(whole).map(drop)
            }
            (Table::Email, keys::TYPE_CAMPAIGN) => {
                self.campaigns += 1;
                from_item::<Campaign>(whole).map(drop)
            }
            (Table::Email, keys::TYPE_DELIVERY) => {
                self.deliveries += 1;
                from_item::<Delivery>(whole).map(drop)
            }
            _ => {
                self.others += 1;
                Ok(())
            }
        };
        if let Err(error) = read {
            self.unreadable_total += 1;
            if self.unreadable.len() < LISTED {
                let (EngineError::Corrupt(why) | EngineError::Unavailable(why)) = error else { return };
                self.unreadable.push((place, why));
            }
        }
    }
}

/// What the row lacks; none for a row that is not of the kinds that are adopted. Only attributes that are missing, and states that nobody will
/// settle any more, are in it.
fn lacks(item: &Item) -> Option<Lacks> {
    let text = |name: &str| item.attrs.get(name).and_then(Value::as_str);
    let mut lacks = Lacks::default();
    let mut want = |name: &str, value: Value| {
        if !item.attrs.contains_key(name) {
            lacks.set.insert(name.to_owned(), value);
        }
    };
    let id_of = |key: &str, prefix: &str| key.strip_prefix(prefix).map(Value::from);
    let (pk, sk) = (item.key.pk.as_str(), item.key.sk.as_str());
    // Rows that this product wrote have a revision; deliveries count their attempts.
    let ours = item.attrs.contains_key("rev") || item.attrs.contains_key("attempts");
    match text("type")? {
        keys::TYPE_USER => want("id", id_of(pk, keys::USER_PREFIX)?),
        keys::TYPE_EVENT => {
            let id = id_of(pk, keys::EVENT_PREFIX)?;
            // Whether it is free is found out when it is written.
            want("slug", Slug::from_title(text("title").unwrap_or_default(), 0).as_str().into());
            want("id", id);
        }
        keys::TYPE_ATTENDANCE => {
            want("user_id", id_of(pk, keys::USER_PREFIX)?);
            want("event_id", id_of(sk, keys::EVENT_PREFIX)?);
        }
        keys::TYPE_CAMPAIGN => {
            want("email_id", id_of(pk, "email#")?);
            let state = text("status").and_then(|text| serde_json::from_value::<CampaignState>(text.into()).ok());
            if !ours && !state.is_some_and(CampaignState::is_final) {
                lacks.set.insert("status".to_owned(), CampaignState::Error.as_str().into());
                lacks.set.insert("reason".to_owned(), UNFINISHED.into());
            }
        }
        keys::TYPE_DELIVERY => {
            want("email_id", id_of(pk, keys::DELIVERY_PREFIX)?);
            want("user_id", id_of(sk, keys::USER_PREFIX)?);
            want("attempts", 0.into());
            let state = text("status").and_then(DeliveryState::parse);
            if !ours && !matches!(state, Some(DeliveryState::Sent | DeliveryState::Error)) {
                lacks.set.insert("status".to_owned(), DeliveryState::Unknown.as_str().into());
                lacks.set.insert("error".to_owned(), LEFT.into());
            }
            return Some(lacks);
        }
        _ => return None,
    }
    if !item.attrs.contains_key("rev") {
        lacks.set.insert("rev".to_owned(), 1.into());
    }
    Some(lacks)
}

/// Writes what is missing, if it is still missing and the row is still there. Somebody else who changed the row meanwhile is right.
async fn fill(app: &Arc<App>, table: Table, item: Item, lacks: Lacks) -> Result<(), AppError> {
    // A slug is claimed together with the row that gets it.
    let title = item.attrs.get("title").and_then(Value::as_str).unwrap_or_default();
    let event = item.key.pk.strip_prefix(keys::EVENT_PREFIX).map(|id| EventId::from(id.to_owned())).filter(|_| lacks.set.contains_key("slug"));
    for attempt in 0..1_000 {
        let mut tx = Transaction::new();
        let mut op = tx.update(table, item.key.clone()).when(Guard::Present).or(Rule::Changed);
        for (name, value) in &lacks.set {
            op = op.when(emcrm_store::unchanged(&item, name)).or(Rule::Changed);
            op = if name == "slug" { op.set("slug", Slug::from_title(title, attempt).as_str()) } else { op.set(name, value.clone()) };
        }
        let _ = op;
        if let Some(event) = &event {
            app.store.events.claim_slug(&mut tx, &Slug::from_title(title, attempt), event);
        }
        match app.store.engine.transact(tx).await {
            Err(TransactError::Engine(error)) => return Err(error.into()),
            Err(refused) if refused.rule() == Some(Rule::SlugTaken) => {}
            Ok(()) | Err(_) => return Ok(()),
        }
    }
    Ok(())
}
