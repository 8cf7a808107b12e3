//! What comes back after a mail was taken: bounces and complaints, told by the mail service or by a bounce mail.

use emcrm_mail::{Report, ReportKind};
use emcrm_model::{CampaignId, Delivery, DeliveryState, EmailAddress, SuppressionReason, UserId};
use emcrm_store::{Guard, Rule, Transaction, keys};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::freeze::moved;
use crate::links::{Purpose, Signed};
use crate::suppressions::suppression_added;
use crate::{App, AppError, Call};

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
        if let (Some(email), Some(reason)) = (&delivery.email, reason) {
            let about_it = report.address.as_deref().is_none_or(|address| EmailAddress::from(address.to_owned()).normalised() == email.normalised());
            if about_it {
                let deed = suppression_added(email).and(keys::campaign_part(&campaign));
                self.suppress(email, reason, Some(words), Some(&campaign), Some((call, deed))).await?;
            }
        }
        Ok(if changed { Heard::Recorded } else { Heard::Known })
    }

    /// `sent` or `unknown` becomes `bounced` or `complained`; a bounce becomes a complaint, never the other way round.
    async fn delivery_came_back(&self, call: &Call, campaign: &CampaignId, user: &UserId, to: DeliveryState, words: &str) -> Result<bool, AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let Some(Delivery { status: from, .. }) = self.store.campaigns.delivery(campaign, user).await? else { return Ok(false) };
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
            self.store
                .campaigns
                .delivery_step(&mut tx, campaign, user, from, to)
                .when(Guard::Present)
                .or(Rule::CampaignMoved)
                .set("error", words)
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
