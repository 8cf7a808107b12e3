//! What comes back after a mail was taken: bounces and complaints, told by the mail service or by a bounce mail.

use emcrm_mail::{Report, ReportKind};
use emcrm_model::{CampaignId, Delivery, DeliveryState, EmailAddress, SuppressionReason, UserId};
use emcrm_store::{Guard, Remembered, Rule, Transaction, keys};
use serde_json::Value;

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::freeze::moved;
use crate::links::{Purpose, Signed};
use crate::suppressions::suppression_added_of;
use crate::{App, AppError, Call};

/// Whose idempotency rows say which messages of the mail service were worked on.
const NOTIFIED: &str = "notification";

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The ledger and the suppression list have it.
    Recorded,
    /// They had it already.
    Known,
    /// It names no mail of this installation.
    NotOurs,
    /// It asks for nothing.
    Ignored,
}

impl App {
    /// Records it once, however often it is told, in whatever order.
    pub async fn feedback(&self, call: &Call, report: &Report) -> Result<Heard, AppError> {
        let (state, reason) = match report.kind {
            ReportKind::Delayed => return Ok(Heard::Ignored),
            ReportKind::Bounced => (DeliveryState::Bounced, Some(SuppressionReason::Bounced)),
            ReportKind::Returned => (DeliveryState::Bounced, None),
            ReportKind::Complained => (DeliveryState::Complained, Some(SuppressionReason::Complained)),
        };
        let signed = report.delivery.as_deref().and_then(|token| self.links.open(Purpose::Delivery, token.trim()));
        // Only what we have signed is believed: anybody can name an address.
        let Some(Signed { campaign, user, .. }) = signed else { return Ok(Heard::NotOurs) };
        let Some(delivery) = self.store.campaigns.delivery(&campaign, &user).await? else { return Ok(Heard::NotOurs) };
        let words: String = report.words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
        let changed = self.delivery_came_back(call, &campaign, &user, state, &words).await?;
        if let Some(reason) = reason
            && report.address.as_deref().is_none_or(|address| went_to(&delivery, &EmailAddress::from(address.to_owned())))
        {
            self.suppress_mailed(&delivery, reason, Some(words), call, suppression_added_of(&delivery).and(keys::campaign_part(&campaign))).await?;
        }
        Ok(if changed { Heard::Recorded } else { Heard::Known })
    }

    /// Whether this message of the mail service was worked on before, to its end.
    pub async fn notification_was_heard(&self, id: &str) -> Result<bool, AppError> {
        Ok(self.store.idempotency.get(NOTIFIED, id, self.now().as_second()).await?.is_some())
    }

    /// Remembers that it was, for a day. After the work, so that a message whose work failed is worked on when it comes again.
    pub async fn notification_heard(&self, id: &str) -> Result<(), AppError> {
        let remembered = Remembered { fingerprint: String::new(), answer: Value::Null };
        let mut tx = Transaction::new();
        self.store.idempotency.put(&mut tx, NOTIFIED, id, &remembered, self.now().as_second());
        match self.transact(tx).await {
            Ok(()) => Ok(()),
            // It came twice at once.
            Err(error) if error.rule() == Some(Rule::KeyUsed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `sent` or `unknown` becomes `bounced` or `complained`; a bounce becomes a complaint, never the other way round. The words repeat the address as a
    /// rule, so they are kept only where the row still has it.
    async fn delivery_came_back(&self, call: &Call, campaign: &CampaignId, user: &UserId, to: DeliveryState, words: &str) -> Result<bool, AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let Some(Delivery { status: from, email, .. }) = self.store.campaigns.delivery(campaign, user).await? else { return Ok(false) };
            let may = match to {
                DeliveryState::Bounced => matches!(from, DeliveryState::Sent | DeliveryState::Unknown),
                _ => matches!(from, DeliveryState::Sent | DeliveryState::Unknown | DeliveryState::Bounced),
            };
            if from == DeliveryState::Sending {
                // Its outcome is being recorded this moment.
                continue;
            }
            if !may {
                return Ok(false);
            }
            let mut tx = Transaction::new();
            let as_read = email.as_ref().map_or_else(|| Guard::Missing("email".to_owned()), |email| Guard::equals("email", email.as_str()));
            self.store
                .campaigns
                .delivery_step(&mut tx, campaign, user, from, to)
                .when(Guard::Present)
                .or(Rule::CampaignMoved)
                .when(as_read)
                .or(Rule::CampaignMoved)
                .set_or_remove("error", email.is_some().then_some(words))
                .remove("worker");
            self.store.campaigns.update_any(&mut tx, campaign).add(from.count_attr(), -1).add(to.count_attr(), 1);
            let deed = Deed::new(format!("delivery.{}", to.as_str()), keys::campaign_part(campaign)).and(keys::user_part(user));
            self.audit_note(&mut tx, call, deed);
            if moved(self.transact(tx).await)? {
                return Ok(true);
            }
        }
        Err(AppError::Contended)
    }
}

/// Whether this is the address that the mail went to, also where only its hash is left.
fn went_to(delivery: &Delivery, address: &EmailAddress) -> bool {
    match (&delivery.email, &delivery.email_hash) {
        (Some(email), _) => email.normalised() == address.normalised(),
        (None, Some(hash)) => *hash == keys::address_hash(address),
        (None, None) => false,
    }
}
