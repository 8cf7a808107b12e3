//! What is held about a person, for that person: all of it in one document, and all of it gone.
//!
//! Erasing is more than deleting. The person goes as with a deletion, so counters stay right; what must stay as proof loses whom it was about: a row of a ledger
//! keeps a digest of the address, an entry of the suppression list too (otherwise the address could be mailed again), and what was noted about reading goes.

use std::collections::BTreeSet;

use emcrm_model::{CampaignId, Delivery, DeliveryState, EmailAddress, Role, UserId};
use emcrm_store::{Attendances, Campaigns, Events, Guard, Item, Query, Queue, Rule, Table, Task, Transaction, from_item, keys};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::Deed;
use crate::cascade::Outcome;
use crate::freeze::moved;
use crate::people_import::{ImportPlace, Whom};
use crate::send::PERSON_GONE;
use crate::{App, AppError, Call};

/// Rows that one step reads and changes.
const CHUNK: u32 = 40;
/// How long an index may lag behind, in milliseconds: rows are looked for once more after that.
const INDEX_LAG_MS: i64 = 10_000;
/// Pause before rows that are being mailed are looked at again, in milliseconds.
const BUSY_MS: i64 = 5_000;
/// Entries of the audit trail that one step reads.
const AUDIT_STEP: u32 = 100;
/// Beyond the last place in the chain.
const AUDIT_END: u64 = 1_000_000_000_000_000;

/// What the task of an erasure knows. Addresses are remembered here only, and go with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Erasure {
    user: UserId,
    /// As it was when the erasure was asked for; none of somebody who was deleted before.
    #[serde(default)]
    email: Option<String>,
    /// Others that were found since, normalised.
    #[serde(default)]
    addresses: BTreeSet<String>,
    /// The person is deleted; whoever has the id now is somebody else.
    #[serde(default)]
    gone: bool,
    /// How far the imports are.
    #[serde(default)]
    imports: ImportsSeen,
    /// All was done once; what is left is the second look.
    #[serde(default)]
    swept: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ImportsSeen {
    #[default]
    Not,
    To(ImportPlace),
    All,
}

impl Erasure {
    fn again(&self, due: i64) -> Result<Outcome, AppError> {
        let payload = serde_json::to_value(self).map_err(|error| AppError::Internal(error.to_string()))?;
        Ok(Outcome::Again { due, payload })
    }
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
        if user.is_none() && attendances.is_empty() && deliveries.is_empty() && !self.user_was_here(id).await? {
            return Err(AppError::UserUnknown);
        }
        let addresses: BTreeSet<String> = texts(user.iter().chain(&deliveries), "email").iter().map(|address| normalised(address)).collect();
        let mut suppressions = Vec::new();
        for address in &addresses {
            suppressions.extend(self.store.suppressions.get(&EmailAddress::from(address.clone())).await?);
        }
        for hash in texts(deliveries.iter(), "emailHash") {
            suppressions.extend(self.store.suppressions.by_hash(&hash).await?);
        }
        let imports = self.imports_about(&Whom { id: id.clone(), addresses }).await?;
        let mut reading = Vec::new();
        for delivery in &deliveries {
            let campaign = delivery.key.pk.strip_prefix(keys::DELIVERY_PREFIX).map(|id| CampaignId::from(id.to_owned()));
            if let Some(campaign) = campaign {
                reading.extend(
                    self.all_rows(hits_of(&campaign, id)).await?.into_iter().map(|item| json!({ "email_id": campaign.as_str(), "hit": without_keys(item) })),
                );
            }
        }
        let audit = self.audit_about(id).await?;
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
            "imports": imports,
            "audit": audit,
        }))
    }

    /// What the audit trail has about somebody, newest first.
    async fn audit_about(&self, id: &UserId) -> Result<Vec<Value>, AppError> {
        let object = keys::user_part(id);
        // Those first that are not in the chain yet: what is moved into it meanwhile is found there.
        let mut entries = self.audit_waiting_about(&object).await?;
        let waiting: BTreeSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        entries.reverse();
        let mut before = AUDIT_END;
        loop {
            let places = self.store.audit.places_of(&object, before, AUDIT_STEP).await?;
            let Some(last) = places.last() else { break };
            before = *last;
            let found = self.store.audit.entries(places.into_iter()).await?;
            entries.extend(found.into_iter().flatten().map(|chained| chained.entry).filter(|entry| !waiting.contains(&entry.id)));
        }
        Ok(entries.into_iter().map(|entry| json!({ "at": entry.at, "what": entry.what })).collect())
    }

    /// Whether the audit trail knows somebody with this id, who was perhaps deleted: files that were imported may still hold them.
    async fn user_was_here(&self, id: &UserId) -> Result<bool, AppError> {
        let object = keys::user_part(id);
        Ok(!self.audit_waiting_about(&object).await?.is_empty() || !self.store.audit.places_of(&object, AUDIT_END, 1).await?.is_empty())
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

    /// Whether anything can be left of somebody with this id who was deleted: whom to export or erase although there is no such user any more.
    pub async fn user_is_left(&self, call: &Call, id: &UserId) -> Result<bool, AppError> {
        call.require(Role::Admin)?;
        self.is_left_of(id).await
    }

    async fn is_left_of(&self, id: &UserId) -> Result<bool, AppError> {
        Ok(!self.store.engine.query(Campaigns::deliveries_of_user(id).limit(1)).await?.items.is_empty() || self.user_was_here(id).await?)
    }

    /// The person is gone at once, as with a deletion; everything that is left of them follows as a task. Works too for somebody who was deleted before.
    pub async fn user_erase(&self, call: &Call, id: &UserId) -> Result<(), AppError> {
        call.require(Role::Admin)?;
        let email = self.store.users.get(id).await?.map(|user| user.email);
        if email.is_none() && !self.is_left_of(id).await? {
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
        let mut erasure: Erasure =
            serde_json::from_value(task.payload.clone()).map_err(|error| AppError::Internal(format!("the task of an erasure: {error}")))?;
        if !erasure.gone {
            match self.user_delete(&Call::system(), &erasure.user).await {
                Ok(()) | Err(AppError::UserUnknown) => erasure.gone = true,
                Err(error) => return Err(error),
            }
        }
        let rows = self.all_rows(Campaigns::deliveries_of_user(&erasure.user)).await?;
        let deliveries: Vec<Delivery> = rows.into_iter().map(from_item).collect::<Result<_, _>>()?;
        erasure.addresses.extend(erasure.email.as_deref().map(normalised));
        erasure.addresses.extend(deliveries.iter().filter_map(|delivery| Some(delivery.email.as_ref()?.normalised().to_owned())));
        // Before the ledgers, whose addresses lead to rows of files.
        let from = match std::mem::replace(&mut erasure.imports, ImportsSeen::All) {
            ImportsSeen::Not => Some(ImportPlace::default()),
            ImportsSeen::To(place) => Some(place),
            ImportsSeen::All => None,
        };
        if let Some(from) = from {
            let mut whom = Whom { id: erasure.user.clone(), addresses: std::mem::take(&mut erasure.addresses) };
            let next = self.imports_blank(&mut whom, from).await?;
            erasure.addresses = whom.addresses;
            if let Some(next) = next {
                erasure.imports = ImportsSeen::To(next);
                return erasure.again(self.now_ms());
            }
        }
        for address in &erasure.addresses {
            self.suppression_pseudonymise(&EmailAddress::from(address.clone())).await?;
        }
        let mut busy = false;
        for delivery in &deliveries {
            busy |= !self.delivery_pseudonymise(delivery).await?;
        }
        if busy {
            return erasure.again(self.now_ms() + BUSY_MS);
        }
        if !erasure.swept {
            (erasure.swept, erasure.imports) = (true, ImportsSeen::Not);
            return erasure.again(self.now_ms() + INDEX_LAG_MS);
        }
        Ok(Outcome::Done)
    }

    /// Takes whom it was about out of a row of a ledger. A row that waits is left out, as its campaign would do when its turn came: that may be never,
    /// where the campaign is paused. False where the row is being mailed: the worker needs it as it is.
    async fn delivery_pseudonymise(&self, delivery: &Delivery) -> Result<bool, AppError> {
        let (campaign, user) = (&delivery.campaign_id, &delivery.user_id);
        if delivery.status == DeliveryState::Sending {
            return Ok(false);
        }
        let waits = delivery.status == DeliveryState::Pending;
        let words = if waits { Some(PERSON_GONE) } else { delivery.error.as_deref().filter(|words| is_ours(delivery.status, words)) };
        if waits || delivery.email.is_some() || words != delivery.error.as_deref() {
            // An earlier service may have left rows without their campaign: nobody counts those.
            let counted = waits && self.store.campaigns.get(campaign).await?.is_some();
            let mut tx = Transaction::new();
            let mut op = tx
                .update(Table::Email, keys::delivery(campaign, user))
                .when(Guard::equals("status", delivery.status.as_str()))
                .or(Rule::CampaignMoved)
                .remove("email")
                .set_or_remove("error", words);
            if let Some(email) = &delivery.email {
                op = op.set("emailHash", keys::address_hash(email));
            }
            if waits {
                op.set("status", DeliveryState::Skipped.as_str()).remove("retryAt");
            }
            if counted {
                let campaign = self.store.campaigns.update_any(&mut tx, campaign);
                campaign.add(DeliveryState::Pending.count_attr(), -1).add(DeliveryState::Skipped.count_attr(), 1);
            }
            if !moved(self.transact(tx).await)? {
                // Its mail is being handed over, or came back, this moment.
                return Ok(false);
            }
        }
        // After the address, without which no further hit is noted.
        for hit in self.all_rows(hits_of(campaign, user)).await? {
            let mut tx = Transaction::new();
            tx.delete(Table::Email, hit.key);
            self.transact(tx).await?;
        }
        Ok(true)
    }
}

/// Words that this product put there. Those of mail servers repeat addresses, in whatever form.
fn is_ours(state: DeliveryState, words: &str) -> bool {
    matches!(state, DeliveryState::Suppressed | DeliveryState::Skipped | DeliveryState::Cancelled) && !words.contains('@')
}

/// What the items have as this attribute, each once.
fn texts<'a>(items: impl Iterator<Item = &'a Item>, attr: &str) -> BTreeSet<String> {
    items.filter_map(|item| item.attrs.get(attr)?.as_str()).map(str::to_owned).collect()
}

fn normalised(address: &str) -> String {
    EmailAddress::from(address.to_owned()).normalised().to_owned()
}

fn hits_of(campaign: &CampaignId, user: &UserId) -> Query {
    Query::table(Table::Email, keys::hits_part(campaign)).prefix(format!("{user}#"))
}
