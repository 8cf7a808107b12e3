//! Recounts everything: counters, claims, host rows, ledgers, and the index against the storage. With `repair` it mends what has one right value.
//!
//! | file | holds |
//! |---|---|
//! | `report` | what can be found, and what is said about it |
//! | `walk` | reading long lists in pages |
//! | `events`, `users`, `campaigns`, `index`, `tasks`, `audit` | the checks |
//!
//! Lists are read in pages and in the order of their keys, so memory does not grow with the data: what is held is one number for each person who
//! hosts something, and eight bytes for each mail of one campaign. Where a recount differs, the object is counted once more, strongly consistent and
//! with an unchanged revision, before it is called wrong; so changes that go on meanwhile are not findings.
//!
//! What cannot be seen, because the storage has no scan: claims and tombstones that nothing points to any more. A claim is looked up for each user,
//! each event and each address of a ledger; a tombstone for each user and event that exists and for each attendance whose other side is gone.

mod audit;
mod campaigns;
mod events;
mod index;
mod report;
mod tasks;
#[cfg(test)]
mod tests;
mod users;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use emcrm_model::{EmailAddress, Event, EventId, User, UserId};
use emcrm_store::{CountKind, EngineError, Guard, Item, Rule, Table, TransactError, Transaction, from_item, keys};
use serde_json::Value;

pub use report::{Counted, Finding, FindingKind, Note, NoteKind, Repair, VerifyReport};

use crate::{App, AppError};
use tasks::Waiting;

/// Told what is being read and how many of it so far.
pub type Progress<'a> = &'a (dyn Fn(&str, u64) + Sync);

/// Times that an object which others change meanwhile is counted again.
const RECOUNTS: u32 = 5;

/// Recounts everything, and mends what can be mended when `repair`. Work that waits is done first, except mail: nothing is sent. Every finding is in
/// the report, whether it was mended or not.
pub async fn verify(app: &Arc<App>, repair: bool, progress: Progress<'_>) -> Result<VerifyReport, AppError> {
    let mut check = Check { app, repair, progress, report: VerifyReport::default(), hosted: HashMap::new(), waiting: Waiting::default() };
    check.drain().await?;
    check.waiting = Waiting::read(app).await?;
    check.events().await?;
    check.users().await?;
    check.campaigns().await?;
    check.mail_lists().await?;
    check.tasks().await?;
    check.audit().await?;
    if repair && check.report.total() > 0 {
        // What was mended may have to be searchable, and consequences of deletions are made up for.
        check.drain().await?;
    }
    check.index().await?;
    Ok(check.report)
}

/// One run.
struct Check<'a> {
    app: &'a Arc<App>,
    repair: bool,
    progress: Progress<'a>,
    report: VerifyReport,
    /// Events that each host owns or hosts, recounted from the events.
    hosted: HashMap<UserId, i64>,
    waiting: Waiting,
}

impl Check<'_> {
    fn found(&mut self, kind: FindingKind, place: impl Into<String>, detail: impl Into<String>, repair: Repair) {
        self.report.add(Finding { kind, place: place.into(), detail: detail.into(), repair });
    }

    fn note(&mut self, kind: NoteKind, count: u64, place: impl Into<String>, detail: impl Into<String>) {
        self.report.notes.push(Note { kind, count, place: place.into(), detail: detail.into() });
    }

    /// Commits a repair, if repairs are wanted.
    async fn mend(&self, prepare: impl FnOnce(&mut Transaction)) -> Result<Repair, AppError> {
        if !self.repair {
            return Ok(Repair::NotAsked);
        }
        let mut tx = Transaction::new();
        prepare(&mut tx);
        match self.app.transact(tx).await {
            Ok(()) => Ok(Repair::Done),
            Err(TransactError::Refused(_)) => Ok(Repair::Overtaken),
            Err(TransactError::Engine(error)) => Err(error.into()),
        }
    }

    /// Items by key, strongly consistent; the keys may repeat.
    async fn fetch(&self, table: Table, mut wanted: Vec<emcrm_store::Key>) -> Result<HashMap<emcrm_store::Key, Item>, EngineError> {
        wanted.sort_unstable();
        wanted.dedup();
        let mut found = HashMap::new();
        for chunk in wanted.chunks(emcrm_store::engine::GET_MANY_MAX) {
            for item in self.app.store.engine.get_many(table, chunk).await?.into_iter().flatten() {
                found.insert(item.key.clone(), item);
            }
        }
        Ok(found)
    }

    /// Compares the shards of a total with a recount. `before` is their sum when the count began.
    async fn total(&mut self, finding: FindingKind, kind: CountKind, before: i64, recount: u64) -> Result<(), AppError> {
        let recount = recount as i64;
        let shards = self.app.store.counts.shards(kind).await?;
        let sum: i64 = shards.iter().sum();
        if sum == recount {
            return Ok(());
        }
        let place = format!("count#{}", kind.as_str());
        if sum != before {
            self.note(NoteKind::ChangedMeanwhile, recount as u64, place, "rows came or went while they were counted; verify again when it is quiet");
            return Ok(());
        }
        let first = shards.first().copied().unwrap_or(0);
        let key = keys::count(kind.as_str(), 0);
        let as_read = self.app.store.engine.get(Table::Main, &key).await?;
        let right = first + recount - sum;
        let repair = self
            .mend(|tx| {
                let unchanged = match as_read.and_then(|item| item.attrs.get("n").cloned()) {
                    Some(n) => Guard::Equals("n".to_owned(), n),
                    None => Guard::Missing("n".to_owned()).or(Guard::Absent),
                };
                tx.update(Table::Main, key).set("n", right).when(unchanged).or(Rule::Changed);
            })
            .await?;
        self.found(finding, place, format!("the total says {sum}, there are {recount}"), repair);
        Ok(())
    }

    /// None also when it cannot be read, which is a finding of its own.
    async fn user_now(&self, id: &UserId) -> Result<Option<User>, EngineError> {
        Ok(self.app.store.users.item(id).await?.and_then(|item| from_item(item).ok()))
    }

    /// None also when it cannot be read, which is a finding of its own.
    async fn event_now(&self, id: &EventId) -> Result<Option<Event>, EngineError> {
        Ok(self.app.store.events.item(id).await?.and_then(|item| from_item(item).ok()))
    }

    async fn sum(&self, kind: CountKind) -> Result<i64, EngineError> {
        Ok(self.app.store.counts.shards(kind).await?.into_iter().sum())
    }
}

/// An attribute that counts; a missing one is 0.
fn number(item: &Item, attr: &str) -> i64 {
    item.attrs.get(attr).and_then(Value::as_i64).unwrap_or(0)
}

/// Whether a stored user has the address. One that cannot be read may have it.
fn has_address(user: &Item, address: &EmailAddress) -> bool {
    text(user, "email").is_none_or(|typed| EmailAddress::from(typed.to_owned()).normalised() == address.normalised())
}

fn text<'a>(item: &'a Item, attr: &str) -> Option<&'a str> {
    item.attrs.get(attr).and_then(Value::as_str)
}
