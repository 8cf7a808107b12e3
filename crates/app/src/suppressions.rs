//! Addresses that must not be mailed: the list, and what people do by the links in their mails.

use emcrm_model::{CampaignId, CampaignKind, EmailAddress, Page, PageRequest, Role, Suppression, SuppressionReason, UserId};
use emcrm_store::{CountKind, Rule, Suppressions, Transaction, keys};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
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
    /// What stands against mailing it.
    pub suppressed: Option<SuppressionReason>,
}

/// A complaint outweighs everything, so that nothing lesser can be taken away with it.
fn weight(reason: SuppressionReason) -> u8 {
    match reason {
        SuppressionReason::Unsubscribed => 1,
        SuppressionReason::Manual => 2,
        SuppressionReason::Bounced => 3,
        SuppressionReason::Complained => 4,
    }
}

/// How the audit trail calls an address: by its digest, because the trail outlives an erasure.
fn suppression_of(address: &EmailAddress) -> String {
    keys::suppression_hash(address).pk
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

    /// Puts an address on the list, by hand.
    pub async fn suppression_add(&self, call: &Call, address: &EmailAddress, reason: SuppressionReason, note: Option<String>) -> Result<Suppression, AppError> {
        call.require(Role::Sender)?;
        self.suppress(address, reason, note, None).await?;
        self.audit(call, Deed::new("suppression.added", suppression_of(address))).await?;
        self.suppression_get(call, address).await
    }

    /// Takes an address off the list: somebody says that it may be mailed again.
    pub async fn suppression_remove(&self, call: &Call, address: &EmailAddress) -> Result<(), AppError> {
        call.require(Role::Sender)?;
        if !self.unsuppress(address, None).await? {
            return Err(AppError::SuppressionUnknown);
        }
        self.audit(call, Deed::new("suppression.removed", suppression_of(address))).await
    }

    /// The entry of an address, whatever it was before. The graver reason stays.
    pub(crate) async fn suppress(
        &self,
        address: &EmailAddress,
        reason: SuppressionReason,
        note: Option<String>,
        campaign: Option<&CampaignId>,
    ) -> Result<Suppressed, AppError> {
        let entry = Suppression {
            email: Some(address.normalised().to_owned()),
            reason,
            note: note.map(|note| note.chars().take(500).collect()),
            campaign_id: campaign.map(ToString::to_string),
            created_at: self.stamp(),
        };
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let mut tx = Transaction::new();
            let outcome = match self.store.suppressions.get(address).await? {
                None => {
                    self.store.suppressions.put(&mut tx, address, &entry);
                    self.store.counts.add(&mut tx, CountKind::Suppressions, address.normalised(), 1);
                    Suppressed::New
                }
                Some(old) if weight(old.reason) >= weight(reason) => return Ok(Suppressed::Already),
                Some(old) => {
                    if old.email.is_some() {
                        self.store.suppressions.replace(&mut tx, address, &entry);
                    } else {
                        // Known by its hash only; the same person is here again.
                        self.store.suppressions.delete_hash(&mut tx, address);
                        self.store.suppressions.put(&mut tx, address, &entry);
                    }
                    Suppressed::Graver
                }
            };
            if crate::freeze::moved(self.transact(tx).await)? {
                return Ok(outcome);
            }
        }
        Err(AppError::Contended)
    }

    /// Takes it off the list, with `only` just where this is the reason; false where there was nothing to take.
    async fn unsuppress(&self, address: &EmailAddress, only: Option<SuppressionReason>) -> Result<bool, AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let Some(old) = self.store.suppressions.get(address).await? else { return Ok(false) };
            if only.is_some_and(|reason| reason != old.reason) {
                return Ok(false);
            }
            let mut tx = Transaction::new();
            if old.email.is_some() {
                self.store.suppressions.delete(&mut tx, address);
            } else {
                self.store.suppressions.delete_hash(&mut tx, address);
            }
            self.store.counts.add(&mut tx, CountKind::Suppressions, address.normalised(), -1);
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
        let email = self.store.campaigns.delivery(&campaign, &user).await?.and_then(|delivery| delivery.email);
        let suppressed = match &email {
            Some(email) => self.store.suppressions.get(email).await?.map(|entry| entry.reason),
            None => None,
        };
        Ok(Some(Subscriber { campaign, user, email, suppressed: suppressed.filter(|reason| reason.stops(CampaignKind::Marketing)) }))
    }

    /// The reader does not want mails like this one. Repeating it changes nothing.
    pub async fn unsubscribe(&self, call: &Call, subscriber: &Subscriber) -> Result<(), AppError> {
        if let Some(email) = &subscriber.email
            && self.suppress(email, SuppressionReason::Unsubscribed, None, Some(&subscriber.campaign)).await? != Suppressed::Already
        {
            self.audit(call, Deed::new("user.unsubscribed", keys::user_part(&subscriber.user)).and(keys::campaign_part(&subscriber.campaign))).await?;
        }
        Ok(())
    }

    /// The reader wants them again. Only what the reader asked for can be taken back by the reader.
    pub async fn resubscribe(&self, call: &Call, subscriber: &Subscriber) -> Result<bool, AppError> {
        let Some(email) = &subscriber.email else { return Ok(false) };
        let taken_back = self.unsuppress(email, Some(SuppressionReason::Unsubscribed)).await?;
        if taken_back {
            self.audit(call, Deed::new("user.resubscribed", keys::user_part(&subscriber.user)).and(keys::campaign_part(&subscriber.campaign))).await?;
        }
        Ok(taken_back)
    }

    /// For somebody who is erased: the entry stays, under a hash of the address. True when there was one.
    pub async fn suppression_pseudonymise(&self, address: &EmailAddress) -> Result<bool, AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let Some(old) = self.store.suppressions.get(address).await? else { return Ok(false) };
            if old.email.is_none() {
                return Ok(true);
            }
            let mut tx = Transaction::new();
            self.store.suppressions.delete(&mut tx, address);
            self.store.suppressions.put_hash(&mut tx, address, &old);
            match self.transact(tx).await {
                Ok(()) => return Ok(true),
                Err(error) if error.rule() == Some(Rule::Changed) => {}
                Err(error) => return Err(error.rule().map_or_else(|| AppError::Internal(error.to_string()), unexpected)),
            }
        }
        Err(AppError::Contended)
    }
}
