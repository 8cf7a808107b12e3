//! Tables that an earlier service wrote with the same documented keys and attributes, brought up to date: rows get what this product adds (`rev`, a
//! readable slug, settled mails), then everything is recounted and what is missing is added (claims, host rows, counters, totals), as `verify`
//! does with its repairs.
//!
//! Each row is changed by one conditional write, and only where something is missing. So it can run beside a live server, be killed at any moment and
//! be run again: a second run finds nothing to do.
//!
//! Nothing is mailed by it: a campaign that the earlier service left unfinished ends as `error`, and mails of which nobody knows whether
//! they went out become `unknown`.
//!
//! | file | holds |
//! |---|---|
//! | `rows` | what a row lacks, and its write |
//! | `shared` | addresses and slugs that several have |

mod rows;
mod shared;

use std::sync::Arc;

use emcrm_model::{Attendance, Campaign, Delivery, Event, User};
use emcrm_store::{EngineError, Item, Table, from_item, keys};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::Value;

pub use shared::Shared;

use crate::verify::{FindingKind, Progress, VerifyReport, verify};
use crate::{App, AppError};
use shared::Collector;

/// Rows that one read takes.
const READ: u32 = 500;
/// Writes at once.
const AT_ONCE: usize = 16;
/// Rows that cannot be read which are listed; the others are counted.
const LISTED: usize = 1_000;

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
    /// Addresses and slugs that several have, which only a person can settle; the first thousand.
    pub shared: Vec<Shared>,
    pub shared_total: u64,
    /// The recount. With a dry run without rows that cannot be read, since many of them only lack something.
    pub report: VerifyReport,
}

/// Brings the tables up to date, or with `dry_run` only says what would be done.
pub async fn adopt(app: &Arc<App>, dry_run: bool, progress: Progress<'_>) -> Result<Adopted, AppError> {
    let mut adopted = Adopted::default();
    let mut collector = Collector::new();
    for table in [Table::Main, Table::Email] {
        let mut after = None;
        loop {
            let rows = app.store.engine.scan(table, after, READ).await?;
            for item in &rows.items {
                adopted.look(table, item);
                collector.add(table, item)?;
            }
            // One after the other where a slug is chosen, so that of several events with one title the first in order has the plain one.
            let (mut choosing, others): (Vec<Item>, Vec<Item>) = rows.items.into_iter().partition(|item| rows::lacks(item).contains_key("slug"));
            choosing.sort_unstable_by(|one, other| one.key.cmp(&other.key));
            for item in choosing {
                adopted.changed += u64::from(rows::complete(app, table, item, dry_run).await?);
            }
            let completed: Vec<bool> =
                stream::iter(others.into_iter().map(|item| rows::complete(app, table, item, dry_run))).buffer_unordered(AT_ONCE).try_collect().await?;
            adopted.changed += completed.into_iter().map(u64::from).sum::<u64>();
            progress("rows", adopted.rows());
            after = rows.next;
            if after.is_none() {
                break;
            }
        }
    }
    (adopted.shared, adopted.shared_total) = collector.shared(app).await?;
    if !dry_run {
        app.fill_index(|n| progress("documents of the index", n)).await?;
    }
    adopted.report = verify(app, !dry_run, progress).await?;
    if dry_run {
        // Said already, of each row as it would be: one that only lacks something is no puzzle for a person.
        adopted.report.forget(FindingKind::Unreadable);
    }
    Ok(adopted)
}

impl Adopted {
    fn rows(&self) -> u64 {
        self.users + self.events + self.attendances + self.campaigns + self.deliveries + self.others
    }

    /// Nothing is left that a person has to decide.
    pub fn is_settled(&self) -> bool {
        self.unreadable_total == 0 && self.shared_total == 0 && self.report.total() == self.report.repaired
    }

    /// Counts a row, and reads it as the product will.
    fn look(&mut self, table: Table, item: &Item) {
        let of_type = item.attrs.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = format!("{} / {}", item.key.pk, item.key.sk);
        let mut whole = item.clone();
        whole.attrs.extend(rows::lacks(item));
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
                from_item::<Attendance>(whole).map(drop)
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
