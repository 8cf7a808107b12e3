//! The ledger: who is mailed, and what became of it.

use emcrm_model::{CampaignId, Delivery, DeliveryState, EmailAddress, Page, PageRequest, Position, Role, User, UserId};
use emcrm_store::{Campaigns, IndexName, Key, Query, Table, keys, rows_count};

use crate::{App, AppError, Call};

/// Rows of a ledger that are looked at for one filtered page.
const LEDGER_SCAN_MAX: usize = 300_000;

impl App {
    /// The ledger, in the order of user ids; only rows in one of these states, if any are named. `NothingThere` when it is empty.
    pub async fn deliveries_of_campaign(&self, call: &Call, id: &CampaignId, page: PageRequest, states: &[DeliveryState]) -> Result<Page<Delivery>, AppError> {
        call.require(Role::Viewer)?;
        let nothing = AppError::NothingThere("No emails found for this request");
        let Some(campaign) = self.store.campaigns.get(id).await? else { return Err(nothing) };
        let list = format!("deliveries/{id}");
        if states.is_empty() {
            if campaign.total_recipients == 0 {
                return Err(nothing);
            }
            return self.page(&list, Campaigns::deliveries(id), &page, campaign.total_recipients, Campaigns::read_delivery).await;
        }
        let total = states.iter().map(|state| campaign.counts.get(*state).max(0) as u64).sum();
        if total == 0 {
            return Err(nothing);
        }
        let names: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
        self.deliveries_in(&format!("{list}/{}", names.join("+")), id, &page, states, total).await
    }

    async fn deliveries_in(&self, list: &str, id: &CampaignId, page: &PageRequest, states: &[DeliveryState], total: u64) -> Result<Page<Delivery>, AppError> {
        let (mut after, mut skip, number) = match &page.position {
            Position::Cursor(cursor) => (Some(self.open_position(list, cursor)?), 0, 1),
            Position::Number(number) if number.saturating_mul(page.size) > PageRequest::DEEPEST => return Err(AppError::TooDeep),
            Position::Number(number) => (None, (number.saturating_sub(1) * page.size) as usize, *number),
        };
        let mut items = Vec::new();
        let mut looked = 0;
        loop {
            let rows = self.store.engine.query(Campaigns::deliveries(id).limit(1_000).after(after.take())).await?;
            looked += rows.items.len();
            for item in rows.items {
                let key = item.key.clone();
                let delivery = Campaigns::read_delivery(item)?;
                if !states.contains(&delivery.status) {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                items.push(delivery);
                if items.len() == page.size as usize {
                    let next = Some(self.seal_position(list, key));
                    return Ok(Page { items, total, page: number, size: page.size, next });
                }
            }
            match rows.next {
                Some(next) if looked >= LEDGER_SCAN_MAX => {
                    let next = Some(self.seal_position(list, next));
                    return Ok(Page { items, total, page: number, size: page.size, next });
                }
                Some(next) => after = Some(next),
                None => return Ok(Page { items, total, page: number, size: page.size, next: None }),
            }
        }
    }

    /// The people of these rows, in their order; none where somebody was deleted.
    pub async fn deliveries_people(&self, call: &Call, rows: &[Delivery]) -> Result<Vec<Option<User>>, AppError> {
        call.require(Role::Viewer)?;
        let ids: Vec<UserId> = rows.iter().map(|row| row.user_id.clone()).collect();
        Ok(self.store.users.get_many(&ids).await?)
    }

    /// A person's mails, newest first. `NothingThere` when there is none.
    pub async fn deliveries_of_user(&self, call: &Call, user: &UserId, page: PageRequest) -> Result<Page<Delivery>, AppError> {
        call.require(Role::Viewer)?;
        let query = Campaigns::deliveries_of_user(user);
        let total = rows_count(self.store.engine.as_ref(), query.clone()).await?;
        if total == 0 {
            return Err(AppError::NothingThere("No emails found for this user"));
        }
        self.page(&format!("deliveries-of/{user}"), query, &page, total, Campaigns::read_delivery).await
    }

    /// The rows of a ledger that went to this address: compared normalised with who has it now, and exactly with what was frozen.
    pub async fn deliveries_to(&self, call: &Call, id: &CampaignId, address: &EmailAddress) -> Result<Vec<Delivery>, AppError> {
        call.require(Role::Viewer)?;
        let mut found: Vec<Delivery> = Vec::new();
        if let Some(user) = self.store.users.by_email(address).await? {
            found.extend(self.store.campaigns.delivery(id, &user.id).await?);
        }
        let part = keys::delivery_part(id);
        for written in [address.as_str(), address.normalised()] {
            let rows = self.store.engine.query(Query::index(Table::Email, IndexName::Email, written).prefix(part.as_str()).limit(100)).await?;
            for item in rows.items {
                let delivery = Campaigns::read_delivery(item)?;
                if delivery.campaign_id == *id && !found.iter().any(|known| known.user_id == delivery.user_id) {
                    found.push(delivery);
                }
            }
        }
        Ok(found)
    }

    /// The next rows of a ledger after `after`, for whoever reads all of it.
    pub async fn deliveries_chunk(&self, call: &Call, id: &CampaignId, after: Option<Key>) -> Result<(Vec<Delivery>, Option<Key>), AppError> {
        call.require(Role::Viewer)?;
        let rows = self.store.engine.query(Campaigns::deliveries(id).limit(1_000).after(after)).await?;
        let deliveries = rows.items.into_iter().map(Campaigns::read_delivery).collect::<Result<_, _>>()?;
        Ok((deliveries, rows.next))
    }
}
