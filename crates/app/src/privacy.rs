//! What is held about a person, for that person: all of it in one document, and all of it gone.
//!
//! Erasing is more than deleting. The person goes as with a deletion, so counters stay right; what must stay as proof loses whom it was about: a row of a ledger
//! keeps a digest of the address, an entry of the suppression list too (otherwise the address could be mailed again), and what was noted about reading goes.

use emcrm_model::{CampaignId, Delivery, DeliveryState, EmailAddress, Role, UserId};
use emcrm_store::{Attendances, Campaigns, Events, Guard, Item, Query, Queue, Rule, Table, Task, Transaction, from_item, keys};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::audit::Deed;
use crate::cascade::Outcome;
use crate::freeze::moved;
use crate::{App, AppError, Call};

/// Rows that one step reads and changes.
const CHUNK: u32 = 40;
/// How long an index may lag behind, in milliseconds: rows are looked for once more after that.
const INDEX_LAG_MS: i64 = 10_000;
/// Pause before rows that are being mailed are looked at again, in milliseconds.
const BUSY_MS: i64 = 5_000;
/// Entries of the audit trail in one archive.
const AUDIT_MAX: u32 = 100;

/// SHA-256 of a normalised address, in hexadecimal.
fn address_digest(address: &EmailAddress) -> String {
    use std::fmt::Write as _;
    Sha256::digest(address.normalised().as_bytes()).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn without_keys(mut item: Item) -> Value {
    item.attrs.remove("type");
    Value::Object(item.attrs)
}

impl App {
    /// Everything that is held about a person, as one JSON document.
    pub async fn user_export(&self, call: &Call, id: &UserId) -> Result<Value, AppError> {
        call.require(Role::Admin)?;
        let user = self.store.users.item(id).await?;
        let attendances = self.all_rows(Attendances::of_user(id)).await?;
        let hosting = self.all_rows(Events::hosted_by(id)).await?;
        let deliveries = self.all_rows(Campaigns::deliveries_of_user(id)).await?;
        if user.is_none() && attendances.is_empty() && deliveries.is_empty() {
            return Err(AppError::UserUnknown);
        }
        let mut addresses: Vec<EmailAddress> =
            user.iter().chain(&deliveries).filter_map(|item| item.attrs.get("email")?.as_str()).map(|email| email.to_owned().into()).collect();
        addresses.dedup_by(|a, b| a.normalised() == b.normalised());
        let mut suppressions = Vec::new();
        for address in &addresses {
            suppressions.extend(self.store.suppressions.get(address).await?);
        }
        let mut reading = Vec::new();
        for delivery in &deliveries {
            let campaign = delivery.key.pk.strip_prefix(keys::DELIVERY_PREFIX).map(|id| CampaignId::from(id.to_owned()));
            if let Some(campaign) = campaign {
                reading.extend(
                    self.all_rows(hits_of(&campaign, id)).await?.into_iter().map(|item| json!({ "email_id": campaign.as_str(), "hit": without_keys(item) })),
                );
            }
        }
        let audit = self.audit_page(Some(&keys::user_part(id)), &first_page()).await?;
        self.audit(call, Deed::new("user.exported", keys::user_part(id))).await?;
        let hosts: Vec<&str> = hosting.iter().filter_map(|item| item.key.sk.strip_prefix(keys::EVENT_PREFIX)).collect();
        Ok(json!({
            "exportedAt": self.stamp(),
            "id": id.as_str(),
            "user": user.map(without_keys),
            "attendances": attendances.into_iter().map(without_keys).collect::<Vec<_>>(),
            "hostsEvents": hosts,
            "emails": deliveries.into_iter().map(without_keys).collect::<Vec<_>>(),
            "suppressions": suppressions,
            "reading": reading,
            "audit": audit.items.into_iter().map(|chained| json!({ "at": chained.entry.at, "what": chained.entry.what })).collect::<Vec<_>>(),
        }))
    }

    async fn all_rows(&self, query: Query) -> Result<Vec<Item>, AppError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let found = self.store.engine.query(query.clone().after(after).limit(CHUNK)).await?;
            rows.extend(found.items);
            match found.next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// The person is gone at once, as with a deletion; everything that is left of them follows as a task. Works too for somebody who was deleted before.
    pub async fn user_erase(&self, call: &Call, id: &UserId) -> Result<(), AppError> {
        call.require(Role::Admin)?;
        let email = self.store.users.get(id).await?.map(|user| user.email);
        let known = email.is_some() || !self.store.engine.query(Campaigns::deliveries_of_user(id).limit(1)).await?.items.is_empty();
        if !known {
            return Err(AppError::UserUnknown);
        }
        // The address is remembered by the task only, and goes with it.
        let mut tx = Transaction::new();
        let payload = json!({ "user": id.as_str(), "email": email.as_ref().map(EmailAddress::as_str) });
        self.store.tasks.put(&mut tx, Queue::Default, &keys::user_part(id), "user_erase", payload, self.now_ms());
        self.audit_note(&mut tx, call, Deed::new("user.erased", keys::user_part(id)));
        self.transact(tx).await?;
        match self.user_delete(&Call { idempotency: None, if_match: None, ..call.clone() }, id).await {
            // The task deletes whom a crash here has left.
            Ok(()) | Err(AppError::UserUnknown) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What is left of somebody loses whom it was about. Every step can be repeated.
    pub(crate) async fn user_erase_rest(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(id) = task.payload.get("user").and_then(Value::as_str).map(|id| UserId::from(id.to_owned())) else { return Ok(Outcome::Done) };
        match self.user_delete(&Call::system(), &id).await {
            Ok(()) | Err(AppError::UserUnknown) => {}
            Err(error) => return Err(error),
        }
        if let Some(email) = task.payload.get("email").and_then(Value::as_str) {
            self.suppression_pseudonymise(&EmailAddress::from(email.to_owned())).await?;
        }
        let mut busy = false;
        for row in self.all_rows(Campaigns::deliveries_of_user(&id)).await? {
            let delivery: Delivery = from_item(row)?;
            // Being mailed, or about to be passed over: the worker needs the row as it is.
            if matches!(delivery.status, DeliveryState::Pending | DeliveryState::Sending) {
                busy = true;
                continue;
            }
            self.delivery_pseudonymise(&delivery).await?;
        }
        let swept = task.payload.get("swept").is_some();
        if busy || !swept {
            let mut payload = task.payload.clone();
            if let Some(payload) = payload.as_object_mut()
                && !busy
            {
                payload.insert("swept".to_owned(), Value::Bool(true));
            }
            return Ok(Outcome::Again { due: self.now_ms() + if busy { BUSY_MS } else { INDEX_LAG_MS }, payload });
        }
        Ok(Outcome::Done)
    }

    async fn delivery_pseudonymise(&self, delivery: &Delivery) -> Result<(), AppError> {
        let (campaign, user) = (&delivery.campaign_id, &delivery.user_id);
        for hit in self.all_rows(hits_of(campaign, user)).await? {
            let mut tx = Transaction::new();
            tx.delete(Table::Email, hit.key);
            self.transact(tx).await?;
        }
        let Some(email) = &delivery.email else { return Ok(()) };
        self.suppression_pseudonymise(email).await?;
        let mut tx = Transaction::new();
        // What the mail server said may name the address.
        tx.update(Table::Email, keys::delivery(campaign, user))
            .set("emailHash", address_digest(email))
            .remove("email")
            .remove("error")
            .when(Guard::equals("status", delivery.status.as_str()))
            .or(Rule::CampaignMoved);
        if moved(self.transact(tx).await)? { Ok(()) } else { Err(AppError::Contended) }
    }
}

fn hits_of(campaign: &CampaignId, user: &UserId) -> Query {
    Query::table(Table::Email, keys::hits_part(campaign)).prefix(format!("{user}#"))
}

fn first_page() -> emcrm_model::PageRequest {
    emcrm_model::PageRequest { position: emcrm_model::Position::Number(1), size: AUDIT_MAX }
}
