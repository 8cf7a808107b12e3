//! Rows of a campaign: who was mailed, what became of it, in the mail server's words.

use emcrm_app::AppError;
use emcrm_model::{Campaign, Delivery, DeliveryState, EmailAddress, Page, PageRequest, User};
use serde::Serialize;

use super::words::{Badge, GROUPS, Group, Part, delivery_badge, parts};
use crate::api::error::ApiError;
use crate::auth::{Auth, Viewer};
use crate::http::QueryReader;
use crate::web::href;
use crate::web::paging::Paging;

/// What of the ledger is wanted.
pub struct LedgerQuery {
    group: Option<&'static Group>,
    address: Option<String>,
    page: PageRequest,
    by_cursor: bool,
}

impl LedgerQuery {
    pub fn read(mut query: QueryReader) -> Result<Self, ApiError> {
        let choices: Vec<_> = GROUPS.iter().map(|group| (group.key, group)).collect();
        let group = if query.has("s") { query.choice("s", &choices) } else { None };
        let address = query.text("address", EmailAddress::MAX);
        let page = query.page();
        let by_cursor = query.has("cursor");
        query.check_page(&page)?;
        Ok(Self { group, address, page, by_cursor })
    }
}

#[derive(Serialize)]
pub struct Ledger {
    /// All rows.
    total: u64,
    /// The group that is shown; none for all.
    shown: Option<&'static str>,
    tabs: Vec<Part>,
    address: String,
    rows: Vec<Row>,
    paging: Option<Paging>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    initials: String,
    /// None where the person was deleted.
    href: Option<String>,
    /// Where the mail can be looked at.
    mail: Option<String>,
    email: String,
    badge: Badge,
    attempts: u32,
    at: Option<String>,
    words: String,
}

impl Row {
    fn of(campaign: &str, delivery: Delivery, user: Option<&User>) -> Self {
        let email = delivery.email.map(String::from).unwrap_or_default();
        let words = match (delivery.error, delivery.status) {
            (Some(error), _) => error,
            (None, DeliveryState::Sending) => "Handed to the mail server".to_owned(),
            (None, DeliveryState::Sent) => "Taken by the mail server".to_owned(),
            (None, _) => String::new(),
        };
        let name = user.map(User::full_name);
        // Whoever was left out may lack what the mail is made of.
        let made = !matches!(delivery.status, DeliveryState::Suppressed | DeliveryState::Skipped);
        Self {
            initials: name.as_deref().unwrap_or("?").split_whitespace().filter_map(|word| word.chars().next()).take(2).flat_map(char::to_uppercase).collect(),
            href: user.map(|user| href::person(user.id.as_str())),
            name: name.unwrap_or_else(|| if email.is_empty() { "somebody who was deleted".to_owned() } else { email.clone() }),
            mail: user.filter(|_| made).map(|user| format!("{campaign}/mail/{}", href::segment(user.id.as_str()))),
            email,
            badge: delivery_badge(delivery.status),
            attempts: delivery.attempts,
            at: delivery.sent_at,
            words,
        }
    }
}

impl Ledger {
    /// None before there are rows.
    pub async fn of(auth: &Auth<Viewer>, campaign: &Campaign, wanted: LedgerQuery) -> Result<Option<Self>, AppError> {
        if campaign.total_recipients == 0 {
            return Ok(None);
        }
        let (app, call) = (auth.app(), auth.read());
        let LedgerQuery { group, address, page, by_cursor } = wanted;
        let path = href::campaign(campaign.id.as_str());
        let (found, paging) = if let Some(address) = &address {
            (app.deliveries_to(call, &campaign.id, &EmailAddress::from(address.clone())).await?, None)
        } else {
            let size = page.size;
            let states = group.map_or(&[][..], |group| group.states);
            let found = match app.deliveries_of_campaign(call, &campaign.id, page, states).await {
                Err(AppError::NothingThere(_)) => Page { items: Vec::new(), total: 0, page: 1, size, next: None },
                found => found?,
            };
            let kept: Vec<_> = group.map(|group| ("s", group.key)).into_iter().collect();
            // Rows of one state leave it while a campaign goes on; all of them stay where they are.
            let paging = || if kept.is_empty() { Paging::of(&found, by_cursor, &path, &kept) } else { Paging::walking(&found, by_cursor, &path, &kept) };
            let paging = (found.total > 0).then(paging);
            (found.items, paging)
        };
        let people = app.deliveries_people(call, &found).await?;
        let rows = found.into_iter().zip(people).map(|(delivery, user)| Row::of(&path, delivery, user.as_ref())).collect();
        Ok(Some(Self {
            total: campaign.total_recipients,
            shown: group.map(|group| group.key),
            tabs: parts(campaign),
            address: address.unwrap_or_default(),
            rows,
            paging,
        }))
    }
}
