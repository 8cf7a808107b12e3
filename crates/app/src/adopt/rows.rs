//! What a row of an earlier service lacks, and its one conditional write.

use std::sync::Arc;

use emcrm_model::{CampaignState, DeliveryState, EventId, Slug};
use emcrm_store::{Attrs, Guard, IndexName, Item, Query, Rule, Table, TransactError, Transaction, keys, unchanged};
use serde_json::Value;

use crate::app::{ATTEMPTS, back_off};
use crate::{App, AppError};

const LEFT: &str = "left by an earlier service; whether it was sent is not known";
const UNFINISHED: &str = "adopted from an earlier service, which had not finished it";
/// Numbered slugs that are tried for a title before random ones are.
const NUMBERED_SLUGS: u32 = 100;

/// What the row lacks: attributes that are missing, and states that nobody will settle any more. Nothing for rows of other kinds.
pub(super) fn lacks(item: &Item) -> Attrs {
    let mut set = Attrs::new();
    let _ = look_for(item, &mut set);
    set
}

/// None: the row is of another kind.
fn look_for(item: &Item, set: &mut Attrs) -> Option<()> {
    let text = |name: &str| item.attrs.get(name).and_then(Value::as_str);
    let mut want = |name: &str, value: Value| {
        if !item.attrs.contains_key(name) {
            set.insert(name.to_owned(), value);
        }
    };
    let id_of = |key: &str, prefix: &str| key.strip_prefix(prefix).map(Value::from);
    let (pk, sk) = (item.key.pk.as_str(), item.key.sk.as_str());
    // Rows that this product wrote have a revision; deliveries count their attempts.
    let ours = item.attrs.contains_key("rev") || item.attrs.contains_key("attempts");
    match text("type")? {
        keys::TYPE_USER => {
            want("id", id_of(pk, keys::USER_PREFIX)?);
            // A counter may be there as null, to which nothing can be added.
            want("attendedCount", 0.into());
            want("hostedCount", 0.into());
            want("rev", 1.into());
        }
        keys::TYPE_EVENT => {
            want("id", id_of(pk, keys::EVENT_PREFIX)?);
            // Which one is free is found out when it is written.
            want("slug", Slug::from_title(text("title").unwrap_or_default(), 0).as_str().into());
            want("attendeeCount", 0.into());
            want("rev", 1.into());
        }
        keys::TYPE_ATTENDANCE => {
            want("user_id", id_of(pk, keys::USER_PREFIX)?);
            want("event_id", id_of(sk, keys::EVENT_PREFIX)?);
            want("rev", 1.into());
        }
        keys::TYPE_CAMPAIGN => {
            want("email_id", id_of(pk, "email#")?);
            want("rev", 1.into());
            let state = text("status").and_then(|text| serde_json::from_value::<CampaignState>(text.into()).ok());
            if !ours && !state.is_some_and(CampaignState::is_final) {
                set.insert("status".to_owned(), CampaignState::Error.as_str().into());
                set.insert("reason".to_owned(), UNFINISHED.into());
            }
        }
        keys::TYPE_DELIVERY => {
            want("email_id", id_of(pk, keys::DELIVERY_PREFIX)?);
            want("user_id", id_of(sk, keys::USER_PREFIX)?);
            want("attempts", 0.into());
            let state = text("status").and_then(DeliveryState::parse);
            if !ours && !matches!(state, Some(DeliveryState::Sent | DeliveryState::Error)) {
                set.insert("status".to_owned(), DeliveryState::Unknown.as_str().into());
                set.insert("error".to_owned(), LEFT.into());
            }
        }
        _ => return None,
    }
    Some(())
}

/// Adds what the row lacks, unless `dry_run`. Whether it lacks something.
pub(super) async fn complete(app: &Arc<App>, table: Table, mut item: Item, dry_run: bool) -> Result<bool, AppError> {
    let mut slugs = 0;
    for attempt in 0..ATTEMPTS {
        let mut set = lacks(&item);
        if let Some(hosts) = hosts_in_another_form(app, &item).await? {
            set.insert("hosts".to_owned(), hosts);
        }
        if set.is_empty() || dry_run {
            return Ok(attempt > 0 || !set.is_empty());
        }
        let mut tx = Transaction::new();
        if set.contains_key("slug")
            && let Some(id) = item.key.pk.strip_prefix(keys::EVENT_PREFIX)
        {
            let slug = slug_free(app, &item, &mut slugs).await?;
            set.insert("slug".to_owned(), slug.as_str().into());
            // It is claimed together with the row that gets it.
            app.store.events.claim_slug(&mut tx, &slug, &EventId::from(id.to_owned()));
        }
        let mut op = tx.update(table, item.key.clone()).when(Guard::Present).or(Rule::Changed);
        for (name, value) in set {
            // A change of the hosts moves the revision.
            op = op.when(unchanged(&item, if name == "hosts" { "rev" } else { &name })).or(Rule::Changed).set(&name, value);
        }
        let _ = op;
        match app.store.engine.transact(tx).await {
            Ok(()) => return Ok(true),
            Err(TransactError::Engine(error)) => return Err(error.into()),
            // Somebody changed the row meanwhile, or was quicker with the slug.
            Err(TransactError::Refused(_)) => back_off(attempt).await,
        }
        match app.store.engine.get(table, &item.key).await? {
            Some(now) => item = now,
            None => return Ok(true),
        }
    }
    Err(AppError::Contended)
}

/// Hosts that are stored as a set of texts, which other programs write: read as a list they are, compared with one they are not, so no change of the event
/// that looks at them could ever happen.
async fn hosts_in_another_form(app: &Arc<App>, item: &Item) -> Result<Option<Value>, AppError> {
    let hosts = match item.attrs.get("hosts") {
        Some(Value::Array(hosts)) if !hosts.is_empty() && item.key.pk.starts_with(keys::EVENT_PREFIX) => hosts,
        _ => return Ok(None),
    };
    let mut tx = Transaction::new();
    tx.check(Table::Main, item.key.clone()).when(unchanged(item, "hosts")).or(Rule::Changed);
    match app.store.engine.transact(tx).await {
        Ok(()) => Ok(None),
        Err(TransactError::Refused(_)) => Ok(Some(hosts.clone().into())),
        Err(TransactError::Engine(error)) => Err(error.into()),
    }
}

/// A slug for the event's title that nobody claims, and that no event has which is not adopted yet. `tried`: how many were.
async fn slug_free(app: &Arc<App>, item: &Item, tried: &mut u32) -> Result<Slug, AppError> {
    let title = item.attrs.get("title").and_then(Value::as_str).unwrap_or_default();
    loop {
        let number = if *tried < NUMBERED_SLUGS { *tried } else { (app.ids.random().as_u128() % 1_000_000_000) as u32 };
        *tried += 1;
        let slug = Slug::from_title(title, number);
        // Claims decide; the index knows those that an earlier service gave without one.
        if app.store.engine.get(Table::Main, &keys::slug_claim(&slug)).await?.is_none()
            && app.store.engine.query(Query::index(Table::Main, IndexName::Slug, slug.as_str()).limit(1)).await?.items.is_empty()
        {
            return Ok(slug);
        }
    }
}
