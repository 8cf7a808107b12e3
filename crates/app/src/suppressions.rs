//! Addresses that must not be mailed: the list, and what people do by the links in their mails.

use emcrm_model::{
    CampaignId, CampaignKind, Delivery, EmailAddress, FieldErrors, Listed, Page, PageRequest, Role, Suppression, SuppressionReason, User, UserId,
};
use emcrm_store::{CountKind, Rule, Suppressions, Transaction, keys};
use jiff::Timestamp;

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::campaigns::same_address;
use crate::links::{Purpose, Signed};
use crate::users::unexpected;
use crate::{App, AppError, Call};

/// What became of an address that was to be put on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suppressed {
    New,
    /// It was there, for the same or a graver reason.
    Already,
    /// It was there for a lesser reason.
    Graver,
}

/// Whom an unsubscribe link was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    pub campaign: CampaignId,
    pub user: UserId,
    /// The address that the mail went to; none when it was erased.
    pub email: Option<EmailAddress>,
    /// What is left of the address then.
    pub email_hash: Option<String>,
    /// What stands against mailing it, and the address that they have since, if that is another.
    pub suppressed: Option<SuppressionReason>,
}

/// Lines of one import.
pub const IMPORT_MAX: usize = 5_000;

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuppressionImport {
    /// Put on the list, or kept there for a graver reason.
    pub taken: usize,
    /// On the list before.
    pub known: usize,
    pub faults: Vec<ImportFault>,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// From 1.
    pub line: usize,
    /// Its beginning.
    pub text: String,
    pub message: String,
}

fn import_line(text: &str) -> Result<(Listed, SuppressionReason), String> {
    let mut parts = text.splitn(3, [',', ';', '\t']).map(|part| part.trim().trim_matches('"').trim());
    let listed = Listed::parse(parts.next().unwrap_or_default())?;
    let word = parts.next().unwrap_or_default().to_lowercase();
    let reason = if word.is_empty() { Some(SuppressionReason::Manual) } else { SuppressionReason::parse(&word) };
    let words = || SuppressionReason::ALL.map(SuppressionReason::as_str).join(", ");
    reason.map(|reason| (listed, reason)).ok_or_else(|| format!("the reason \u{201c}{word}\u{201d} is not one of: {}", words()))
}

/// How the audit trail calls an address: by its digest, because the trail outlives an erasure. A digest may be named itself.
fn suppression_of(address: &EmailAddress) -> String {
    let named = keys::suppression(address).pk;
    if named.starts_with(keys::SUPPRESSION_HASH_PREFIX) { named } else { keys::suppression_hash(address).pk }
}

/// That an address was put on the list.
fn suppression_added(address: &EmailAddress) -> Deed {
    Deed::new("suppression.added", suppression_of(address))
}

/// The same of the address that a mail went to, whatever is left of it.
pub(crate) fn suppression_added_of(delivery: &Delivery) -> Deed {
    let hash = delivery.email.as_ref().map(keys::address_hash).or_else(|| delivery.email_hash.clone());
    Deed::new("suppression.added", hash.map(|hash| keys::suppression_of_hash(&hash).pk).unwrap_or_default())
}

/// The reason that counts.
fn gravest(clear: Option<&Suppression>, hashed: Option<&Suppression>) -> Option<SuppressionReason> {
    clear.into_iter().chain(hashed).map(|entry| entry.reason).max_by_key(|reason| reason.weight())
}

impl App {
    /// The list, in the order of addresses; with `reason` only those. The total counts all.
    pub async fn suppression_list(&self, call: &Call, page: PageRequest) -> Result<Page<Suppression>, AppError> {
        call.require(Role::Viewer)?;
        let total = self.store.counts.total(CountKind::Suppressions).await?;
        self.page("suppressions", Suppressions::list(), &page, total, Suppressions::read).await
    }

    pub async fn suppression_get(&self, call: &Call, address: &EmailAddress) -> Result<Suppression, AppError> {
        call.require(Role::Viewer)?;
        self.store.suppressions.get(address).await?.ok_or(AppError::SuppressionUnknown)
    }

    /// Puts the addresses of a text on the list, one a line, each with a reason behind a comma where it has one: what a spreadsheet, another service or an
    /// export gives. Faulty lines are named and do not keep the others out.
    pub async fn suppression_import(&self, call: &Call, text: &str) -> Result<SuppressionImport, AppError> {
        call.require(Role::Sender)?;
        let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.is_empty()).collect();
        if lines.len() > IMPORT_MAX {
            return Err(FieldErrors::one("text", "too_long", format!("must have at most {IMPORT_MAX} lines; there are {}", lines.len())).into());
        }
        let mut done = SuppressionImport::default();
        self.audit(call, Deed::new("suppression.imported", "").with(format!("{} lines", lines.len()))).await?;
        for (line, text) in lines {
            match import_line(text) {
                Ok((listed, reason)) => match self.suppress_listed(&listed, reason, None, None).await? {
                    Suppressed::Already => done.known += 1,
                    Suppressed::New | Suppressed::Graver => done.taken += 1,
                },
                // The first line of an export names its columns.
                Err(_) if line == 1 && !text.contains('@') && !text.contains(Listed::HASH_MARK) => {}
                Err(message) => done.faults.push(ImportFault { line, text: text.chars().take(100).collect(), message }),
            }
        }
        Ok(done)
    }

    /// Puts an address on the list, by hand.
    pub async fn suppression_add(&self, call: &Call, address: &EmailAddress, reason: SuppressionReason, note: Option<String>) -> Result<Suppression, AppError> {
        call.require(Role::Sender)?;
        self.suppress(address, reason, note, None, Some((call, suppression_added(address)))).await?;
        self.suppression_get(call, address).await
    }

    /// The same of what an export says: an address, or the hash of one. A hash keeps no note.
    pub async fn suppression_take(&self, call: &Call, listed: &Listed, reason: SuppressionReason, note: Option<String>) -> Result<(), AppError> {
        call.require(Role::Sender)?;
        self.suppress_listed(listed, reason, note, Some(call)).await?;
        Ok(())
    }

    async fn suppress_listed(&self, listed: &Listed, reason: SuppressionReason, note: Option<String>, noted: Option<&Call>) -> Result<Suppressed, AppError> {
        match listed {
            Listed::Address(address) => self.suppress(address, reason, note, None, noted.map(|call| (call, suppression_added(address)))).await,
            Listed::Hash(hash) => {
                let deed = Deed::new("suppression.added", keys::suppression_of_hash(hash).pk);
                self.suppress_hash(hash, reason, None, noted.map(|call| (call, deed))).await
            }
        }
    }

    /// Takes an address off the list: somebody says that it may be mailed again.
    pub async fn suppression_remove(&self, call: &Call, address: &EmailAddress) -> Result<(), AppError> {
        call.require(Role::Sender)?;
        let deed = Deed::new("suppression.removed", suppression_of(address));
        if self.unsuppress(address, None, call, &deed).await? { Ok(()) } else { Err(AppError::SuppressionUnknown) }
    }

    /// The entry of an address, whatever it was before. The graver reason stays. What is noted is noted where something is changed.
    pub(crate) async fn suppress(
        &self,
        address: &EmailAddress,
        reason: SuppressionReason,
        note: Option<String>,
        campaign: Option<&CampaignId>,
        noted: Option<(&Call, Deed)>,
    ) -> Result<Suppressed, AppError> {
        let entry = Suppression {
            email: Some(address.normalised().to_owned()),
            email_hash: None,
            reason,
            note: note.map(|note| note.chars().take(500).collect()),
            campaign_id: campaign.map(ToString::to_string),
            created_at: self.stamp(),
        };
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let mut tx = Transaction::new();
            let (clear, hashed) = self.store.suppressions.both(address).await?;
            if gravest(clear.as_ref(), hashed.as_ref()).is_some_and(|stands| stands.weight() >= reason.weight()) {
                return Ok(Suppressed::Already);
            }
            let outcome = match (&clear, &hashed) {
                (Some(old), _) => {
                    self.store.suppressions.replace(&mut tx, address, old, &entry);
                    Suppressed::Graver
                }
                // Known by its hash only; the same person is here again.
                (None, Some(old)) => {
                    self.store.suppressions.delete_hash(&mut tx, &keys::address_hash(address), old);
                    self.store.suppressions.put(&mut tx, address, &entry);
                    Suppressed::Graver
                }
                (None, None) => {
                    self.store.suppressions.put(&mut tx, address, &entry);
                    self.store.counts.add(&mut tx, CountKind::Suppressions, address.normalised(), 1);
                    Suppressed::New
                }
            };
            if let Some((call, deed)) = &noted {
                self.audit_note(&mut tx, call, deed.clone());
            }
            if crate::freeze::moved(self.transact(tx).await)? {
                return Ok(outcome);
            }
        }
        Err(AppError::Contended)
    }

    /// Takes it off the list, with `only` just where this is the reason; false where there was nothing to take.
    async fn unsuppress(&self, address: &EmailAddress, only: Option<SuppressionReason>, call: &Call, deed: &Deed) -> Result<bool, AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let (clear, hashed) = self.store.suppressions.both(address).await?;
            let Some(reason) = gravest(clear.as_ref(), hashed.as_ref()) else { return Ok(false) };
            if only.is_some_and(|only| only != reason) {
                return Ok(false);
            }
            let mut tx = Transaction::new();
            if let Some(old) = &clear {
                self.store.suppressions.delete(&mut tx, address, old);
            }
            if let Some(old) = &hashed {
                self.store.suppressions.delete_hash(&mut tx, &keys::address_hash(address), old);
            }
            let gone = clear.iter().chain(&hashed).count() as i64;
            self.store.counts.add(&mut tx, CountKind::Suppressions, address.normalised(), -gone);
            self.audit_note(&mut tx, call, deed.clone());
            match self.transact(tx).await {
                Ok(()) => return Ok(true),
                Err(error) if error.rule() == Some(Rule::Changed) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::Contended)
    }

    /// Whom an unsubscribe link was made for; nothing for a forged one.
    pub async fn unsubscribe_open(&self, token: &str) -> Result<Option<Subscriber>, AppError> {
        let Some(Signed { campaign, user, .. }) = self.links.open(Purpose::Unsubscribe, token) else { return Ok(None) };
        // The address that the mail went to: who has it now decides nothing.
        let delivery = self.store.campaigns.delivery(&campaign, &user).await?;
        let since = match &delivery {
            Some(delivery) => self.address_since(delivery).await?,
            None => None,
        };
        let (email, email_hash) = delivery.map_or((None, None), |delivery| (delivery.email, delivery.email_hash));
        let entry = match (&email, &email_hash) {
            (Some(email), _) => self.store.suppressions.get(email).await?,
            (None, Some(hash)) => self.store.suppressions.by_hash(hash).await?,
            (None, None) => None,
        };
        let mut suppressed = entry.map(|entry| entry.reason).filter(|reason| reason.stops(CampaignKind::Marketing));
        if let Some(since) = since {
            // Whose present address gets mail can still refuse it.
            let stopped = self.store.suppressions.get(&since).await?.is_some_and(|entry| entry.reason.stops(CampaignKind::Marketing));
            suppressed = suppressed.filter(|_| stopped);
        }
        Ok(Some(Subscriber { campaign, user, email, email_hash, suppressed }))
    }

    /// The reader does not want mails like this one, wherever they are reached by now. Repeating it changes nothing.
    pub async fn unsubscribe(&self, call: &Call, subscriber: &Subscriber) -> Result<(), AppError> {
        let Some(delivery) = self.store.campaigns.delivery(&subscriber.campaign, &subscriber.user).await? else { return Ok(()) };
        let deed = Deed::new("user.unsubscribed", keys::user_part(&subscriber.user)).and(keys::campaign_part(&subscriber.campaign));
        self.suppress_mailed(&delivery, SuppressionReason::Unsubscribed, None, call, deed.clone()).await?;
        if let Some(since) = self.address_since(&delivery).await? {
            self.suppress(&since, SuppressionReason::Unsubscribed, None, Some(&subscriber.campaign), Some((call, deed))).await?;
            // Whoever was deleted this moment must not be on the list in clear.
            if self.outlived(&subscriber.user, &since).await? {
                self.suppression_pseudonymise(&since).await?;
            }
        }
        Ok(())
    }

    /// The reader wants them again. Only what the reader asked for can be taken back by the reader.
    pub async fn resubscribe(&self, call: &Call, subscriber: &Subscriber) -> Result<bool, AppError> {
        let deed = Deed::new("user.resubscribed", keys::user_part(&subscriber.user)).and(keys::campaign_part(&subscriber.campaign));
        let taken = match (&subscriber.email, &subscriber.email_hash) {
            (Some(email), _) => self.unsuppress(email, Some(SuppressionReason::Unsubscribed), call, &deed).await?,
            (None, Some(hash)) => self.unsubscribed_hash_forget(hash, call, deed.clone()).await?,
            (None, None) => return Ok(false),
        };
        let Some(delivery) = self.store.campaigns.delivery(&subscriber.campaign, &subscriber.user).await? else { return Ok(taken) };
        let Some(since) = self.address_since(&delivery).await? else { return Ok(taken) };
        // Only what came by this link: who reads mail at an address that somebody gave up decides nothing about their present one.
        let entry = self.store.suppressions.get(&since).await?;
        let ours = entry.is_some_and(|entry| entry.campaign_id.as_deref() == Some(subscriber.campaign.as_str()));
        Ok((ours && self.unsuppress(&since, Some(SuppressionReason::Unsubscribed), call, &deed).await?) || taken)
    }

    /// Whether the person is gone, and nobody else has the address.
    async fn outlived(&self, user: &UserId, address: &EmailAddress) -> Result<bool, AppError> {
        Ok(self.store.users.get(user).await?.is_none() && self.store.users.by_email(address).await?.is_none())
    }

    /// The address that the recipient of a mail has by now, where it is another than the mail went to.
    async fn address_since(&self, delivery: &Delivery) -> Result<Option<EmailAddress>, AppError> {
        // Without it, the recipient was erased, and whoever has the id is somebody else.
        let Some(frozen) = &delivery.email else { return Ok(None) };
        let instant = |text: &str| text.parse::<Timestamp>().ok();
        let mailed = instant(&delivery.created_at);
        // The id of somebody who was deleted may be taken again.
        let is_somebody_else = |user: &User| user.created_at.as_deref().and_then(instant).zip(mailed).is_some_and(|(made, mailed)| made > mailed);
        let user = self.store.users.get(&delivery.user_id).await?;
        Ok(user.filter(|user| !same_address(user, Some(frozen)) && !is_somebody_else(user)).map(|user| user.email))
    }

    /// Puts the address on the list that a mail went to: in clear, or by its hash where the person was erased.
    pub(crate) async fn suppress_mailed(
        &self,
        delivery: &Delivery,
        reason: SuppressionReason,
        note: Option<String>,
        call: &Call,
        deed: Deed,
    ) -> Result<Suppressed, AppError> {
        let campaign = &delivery.campaign_id;
        match (&delivery.email, &delivery.email_hash) {
            (Some(email), _) => {
                let outcome = self.suppress(email, reason, note, Some(campaign), Some((call, deed))).await?;
                // Whoever was erased this moment, or deleted at any time, must not be on the list in clear.
                let now = self.store.campaigns.delivery(campaign, &delivery.user_id).await?;
                if now.is_some_and(|now| now.email.is_none()) || self.outlived(&delivery.user_id, email).await? {
                    self.suppression_pseudonymise(email).await?;
                }
                Ok(outcome)
            }
            (None, Some(hash)) => self.suppress_hash(hash, reason, Some(campaign), Some((call, deed))).await,
            (None, None) => Ok(Suppressed::Already),
        }
    }

    /// The same rules as for an address. An entry in clear, where the address is here again, cannot be found from its hash: it stays, and the graver of
    /// both counts.
    async fn suppress_hash(
        &self,
        hash: &str,
        reason: SuppressionReason,
        campaign: Option<&CampaignId>,
        noted: Option<(&Call, Deed)>,
    ) -> Result<Suppressed, AppError> {
        let campaign_id = campaign.map(ToString::to_string);
        let entry = Suppression { email: None, email_hash: None, reason, note: None, campaign_id, created_at: self.stamp() };
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let mut tx = Transaction::new();
            let outcome = match self.store.suppressions.by_hash(hash).await? {
                None => {
                    self.store.suppressions.put_hash(&mut tx, hash, &entry);
                    self.store.counts.add(&mut tx, CountKind::Suppressions, hash, 1);
                    Suppressed::New
                }
                Some(old) if old.reason.weight() >= reason.weight() => return Ok(Suppressed::Already),
                Some(old) => {
                    self.store.suppressions.replace_hash(&mut tx, hash, &old, &entry);
                    Suppressed::Graver
                }
            };
            if let Some((call, deed)) = &noted {
                self.audit_note(&mut tx, call, deed.clone());
            }
            if crate::freeze::moved(self.transact(tx).await)? {
                return Ok(outcome);
            }
        }
        Err(AppError::Contended)
    }

    /// Takes the entry of a hash off the list where its reader asked for it; false where there is no such entry.
    async fn unsubscribed_hash_forget(&self, hash: &str, call: &Call, deed: Deed) -> Result<bool, AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let old = self.store.suppressions.by_hash(hash).await?;
            let Some(old) = old.filter(|old| old.reason == SuppressionReason::Unsubscribed) else { return Ok(false) };
            let mut tx = Transaction::new();
            self.store.suppressions.delete_hash(&mut tx, hash, &old);
            self.store.counts.add(&mut tx, CountKind::Suppressions, hash, -1);
            self.audit_note(&mut tx, call, deed.clone());
            if crate::freeze::moved(self.transact(tx).await)? {
                return Ok(true);
            }
        }
        Err(AppError::Contended)
    }

    /// For somebody who is deleted or erased: the entry stays, under a hash of the address. True when there was one.
    pub async fn suppression_pseudonymise(&self, address: &EmailAddress) -> Result<bool, AppError> {
        let hash = keys::address_hash(address);
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let (clear, hashed) = self.store.suppressions.both(address).await?;
            let Some(old) = clear else { return Ok(hashed.is_some()) };
            let mut tx = Transaction::new();
            self.store.suppressions.delete(&mut tx, address, &old);
            match hashed {
                // Of two entries one is left, for the graver reason.
                Some(hashed) => {
                    if old.reason.weight() > hashed.reason.weight() {
                        self.store.suppressions.replace_hash(&mut tx, &hash, &hashed, &old);
                    }
                    self.store.counts.add(&mut tx, CountKind::Suppressions, address.normalised(), -1);
                }
                None => self.store.suppressions.put_hash(&mut tx, &hash, &old),
            }
            match self.transact(tx).await {
                Ok(()) => return Ok(true),
                Err(error) if error.rule() == Some(Rule::Changed) => {}
                Err(error) => return Err(error.rule().map_or_else(|| AppError::Internal(error.to_string()), unexpected)),
            }
        }
        Err(AppError::Contended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_import_is_an_address_with_or_without_a_reason() {
        let ann = || Listed::Address(EmailAddress::parse("ann@example.org").unwrap());
        assert_eq!(import_line("ann@example.org"), Ok((ann(), SuppressionReason::Manual)));
        assert_eq!(import_line("\"ann@example.org\", Bounced, 2026-01-01T00:00:00Z,,note"), Ok((ann(), SuppressionReason::Bounced)));
        assert_eq!(import_line("ann@example.org;complained"), Ok((ann(), SuppressionReason::Complained)));
        let hash = "0a".repeat(32);
        assert_eq!(import_line(&format!("sha256:{hash},complained,2026-01-01T00:00:00Z,,")), Ok((Listed::Hash(hash), SuppressionReason::Complained)));
        assert!(import_line("nobody").is_err());
        assert!(import_line("ann@example.org,because").unwrap_err().contains("because"));
    }
}
