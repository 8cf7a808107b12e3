//! Addresses that several users have, and slugs that several events have: found by sorting, before there are claims. Memory does not grow with the
//! data.

use std::io;

use emcrm_model::EmailAddress;
use emcrm_store::engine::GET_MANY_MAX;
use emcrm_store::{EngineError, Item, Key, Table, keys};
use serde::Serialize;
use serde_json::{Value, json};

use crate::sorter::Sorter;
use crate::verify::FindingKind;
use crate::{App, AppError};

/// Groups that are listed; the others are counted.
const LISTED: usize = 1_000;

/// What should be one's own, and is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// [`FindingKind::EmailShared`] or [`FindingKind::SlugShared`].
    pub kind: FindingKind,
    /// The address, normalised, or the slug.
    pub value: String,
    /// Keys of those who have it, in order; the first hundred.
    pub of: Vec<String>,
}

pub(super) struct Collector {
    sorter: Sorter,
}

impl Collector {
    pub(super) fn new() -> Self {
        Self { sorter: Sorter::new(None) }
    }

    pub(super) fn add(&mut self, table: Table, item: &Item) -> Result<(), AppError> {
        let Some((kind, value)) = of(table, item) else { return Ok(()) };
        let line = json!([value, item.key.pk]).to_string();
        self.sorter.add(kind, &value, &item.key.pk, line).map_err(failed)
    }

    /// What is shared: the first thousand, and how many there are. Read again before it is said, so what changed meanwhile is not in it.
    pub(super) async fn shared(self, app: &App) -> Result<(Vec<Shared>, u64), AppError> {
        let mut sorted = self.sorter.finish().map_err(failed)?;
        let (mut shared, mut total) = (Vec::new(), 0);
        let mut group: Option<(String, Vec<String>)> = None;
        loop {
            let line = sorted.next().map_err(failed)?.map(|line| serde_json::from_str::<(String, String)>(&line)).transpose();
            let line = line.map_err(failed)?;
            match (&mut group, &line) {
                (Some((value, of)), Some((next, pk))) if value == next && keys_alike(of, pk) => {
                    if of.len() < GET_MANY_MAX {
                        of.push(pk.clone());
                    }
                    continue;
                }
                _ => {}
            }
            if let Some((value, of)) = group.take().filter(|(_, of)| of.len() > 1)
                && let Some(still) = still_shared(app, value, &of).await?
            {
                total += 1;
                if shared.len() < LISTED {
                    shared.push(still);
                }
            }
            match line {
                Some((value, pk)) => group = Some((value, vec![pk])),
                None => return Ok((shared, total)),
            }
        }
    }
}

/// Users beside users, events beside events.
fn keys_alike(of: &[String], pk: &str) -> bool {
    of.first().is_some_and(|first| first.starts_with(keys::USER_PREFIX) == pk.starts_with(keys::USER_PREFIX))
}

/// What of the row must be its own.
fn of(table: Table, item: &Item) -> Option<(u8, String)> {
    let text = |name: &str| item.attrs.get(name).and_then(Value::as_str);
    match text("type").filter(|_| table == Table::Main)? {
        keys::TYPE_USER => Some((0, EmailAddress::from(text("email")?.to_owned()).normalised().to_owned())),
        keys::TYPE_EVENT => Some((1, text("slug")?.to_owned())),
        _ => None,
    }
}

async fn still_shared(app: &App, value: String, pks: &[String]) -> Result<Option<Shared>, AppError> {
    let wanted: Vec<Key> = pks.iter().map(|pk| Key::single(pk.as_str())).collect();
    let mut kind = FindingKind::EmailShared;
    let mut having = Vec::new();
    for item in app.store.engine.get_many(Table::Main, &wanted).await?.into_iter().flatten() {
        let Some((place, _)) = of(Table::Main, &item).filter(|(_, has)| *has == value) else { continue };
        if place == 1 {
            kind = FindingKind::SlugShared;
        }
        having.push(item.key.pk);
    }
    Ok((having.len() > 1).then_some(Shared { kind, value, of: having }))
}

fn failed(error: impl Into<io::Error>) -> AppError {
    let error = error.into();
    EngineError::Unavailable(format!("rows cannot be sorted in a file: {error}")).into()
}
