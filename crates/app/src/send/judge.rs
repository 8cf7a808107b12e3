//! Who may still be mailed: the storage decides, now, not the frozen list.
//!
//! Many people are cheaper to look at together than a few at a time, so a run looks ahead where the engine can tell that nothing changed since
//! ([`emcrm_store::Engine::people_version`]). What it cannot tell is looked at again, right before the claim.

use emcrm_model::{Delivery, DeliveryState, EmailAddress, Suppression, User, UserId};

use super::{PERSON_GONE, Run};
use crate::campaigns::same_address;
use crate::{App, AppError};

/// Somebody who may be mailed, or why not.
pub(super) type Verdict = Result<User, (DeliveryState, &'static str)>;

/// A row that waits, and what was found about its person.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) delivery: Delivery,
    /// With the version of then. Thousands of rows may wait, of which a hundred are judged.
    found: Option<Box<(u64, Verdict)>>,
}

impl Row {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self { delivery, found: None }
    }
    /// Whether what was found holds still.
    pub(super) fn holds(&self, app: &App) -> bool {
        self.found.as_ref().is_some_and(|found| app.store.engine.people_version() == Some(found.0))
    }
    pub(super) fn was_judged(&self) -> bool {
        self.found.is_some()
    }
}

/// Looks at the people of these rows; what is found stays with them, where the engine can tell for how long it holds.
pub(super) async fn ahead(run: &Run, rows: &mut [&mut Row]) -> Result<(), AppError> {
    // Before the first look: a change that comes between is one since.
    let Some(version) = run.app.store.engine.people_version() else { return Ok(()) };
    let deliveries: Vec<&Delivery> = rows.iter().map(|row| &row.delivery).collect();
    let verdicts = judge(run, &deliveries).await?;
    for (row, verdict) in rows.iter_mut().zip(verdicts) {
        row.found = Some(Box::new((version, verdict)));
    }
    Ok(())
}

/// The verdicts of now.
pub(super) async fn now(run: &Run, rows: Vec<Row>) -> Result<Vec<(Delivery, Verdict)>, AppError> {
    if rows.iter().all(|row| row.holds(&run.app)) {
        return Ok(rows.into_iter().filter_map(|row| Some((row.delivery, row.found?.1))).collect());
    }
    let deliveries: Vec<&Delivery> = rows.iter().map(|row| &row.delivery).collect();
    let verdicts = judge(run, &deliveries).await?;
    Ok(rows.into_iter().map(|row| row.delivery).zip(verdicts).collect())
}

async fn judge(run: &Run, rows: &[&Delivery]) -> Result<Vec<Verdict>, AppError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<UserId> = rows.iter().map(|row| row.user_id.clone()).collect();
    let users = run.app.store.users.get_many(&ids).await?;
    let listed = run.app.listed(&run.recipients, &ids).await?;
    let addresses: Vec<EmailAddress> = rows.iter().map(|row| row.email.clone().unwrap_or_else(|| String::from("-").into())).collect();
    let suppressed = run.app.store.suppressions.of(&addresses).await?;
    let kind = run.campaign.kind;
    let verdict = |delivery: &Delivery, user: Option<User>, listed: bool, suppressed: Option<Suppression>| match user {
        None => Err((DeliveryState::Skipped, PERSON_GONE)),
        Some(_) if let Some(entry) = suppressed.as_ref().filter(|entry| entry.reason.stops(kind)) => Err((DeliveryState::Suppressed, entry.reason.words())),
        Some(user) if !same_address(&user, delivery.email.as_ref()) => {
            Err((DeliveryState::Skipped, "the person's address changed after the audience was frozen"))
        }
        Some(_) if !listed => Err((DeliveryState::Skipped, "the person is no longer among those on the event's list whom the campaign is for")),
        Some(user) if !run.recipients.filter.matches(&user) => Err((DeliveryState::Skipped, "the person no longer matches the filter")),
        Some(user) => Ok(user),
    };
    Ok(rows
        .iter()
        .zip(users)
        .zip(listed.into_iter().zip(suppressed))
        .map(|((row, user), (listed, suppressed))| verdict(row, user, listed, suppressed))
        .collect())
}
