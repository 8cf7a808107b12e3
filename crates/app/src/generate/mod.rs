//! Made-up people, events and attendances for trying things out, the same for the same seed. Believable, and nobody real: addresses are under
//! `example.com`, `.org` and `.net`, telephone numbers are those kept for fiction.
//!
//! | file | holds |
//! |---|---|
//! | `dice` | random numbers that never change |
//! | `words` | names, places, companies, topics |
//! | `people`, `events` | one person, one event, who comes: functions of seed and number, so nothing is held in memory |

mod dice;
mod events;
mod people;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::time::Duration;

use emcrm_model::{EventDraft, EventId, FixedClock, Role, UserDraft, UserId};
use emcrm_store::Queue;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Serialize;

use crate::audit::Deed;
use crate::bulk::{ATTENDANCES_AT_ONCE, USERS_AT_ONCE};
use crate::drain::{reindex_instead, work_off};
use crate::verify::Progress;
use crate::{App, AppError, AppParts, Call};

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratePlan {
    pub users: u64,
    pub events: u64,
    /// At most `users * events`.
    pub attendance: u64,
    pub seed: u64,
    /// Events take place in the year before and the year after; what is made carries this as the time at which it was made. None: now.
    pub base: Option<Timestamp>,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Generated {
    pub users: u64,
    pub events: u64,
    pub attendance: u64,
    /// Rows that were there already, from an earlier run with this seed or from elsewhere.
    pub already_there: u64,
    /// Attendances that found their event full, because it was made for fewer people.
    pub refused: u64,
}

/// Imports at once: while one waits for the disk, others are prepared.
const AT_ONCE: usize = 64;
/// Transactions of one import.
const CHUNKS: usize = 2;
/// From so many rows on, an index made anew is cheaper than bringing the old one up to date.
const MANY: u64 = 5_000;
/// How long the index may stand still before it is left to the server.
const INDEX_PATIENCE: Duration = Duration::from_secs(20);

/// The moment that data is made around unless told otherwise.
pub fn fixed_base() -> Timestamp {
    // 2026-01-15T12:00:00Z
    Timestamp::from_second(1_768_478_400).unwrap_or_default()
}

/// Makes everything and has it indexed. `progress` is told `people`, `events` and `attendances` with the number so far.
pub async fn generate(app: &Arc<App>, plan: &GeneratePlan, progress: Progress<'_>) -> Result<Generated, AppError> {
    let base = plan.base.unwrap_or_else(|| app.now());
    // The same application at a standing time, so that also the stamps are those of the plan.
    let maker = match plan.base {
        None => app.clone(),
        Some(base) => App::new(AppParts {
            engine: app.store.engine.clone(),
            index: app.index.clone(),
            transport: app.transport.clone(),
            clock: Arc::new(FixedClock::new(base)),
            ids: app.ids.clone(),
            settings: app.settings.clone(),
        }),
    };
    let mut made = Generated::default();
    make_users(&maker, plan, progress, &mut made).await?;
    let sizes = events::sizes(plan.seed, plan.users, plan.events, plan.attendance);
    make_events(&maker, plan, base, &sizes, progress, &mut made).await?;
    make_attendances(&maker, plan, &sizes, progress, &mut made).await?;
    progress("index", 0);
    if made.users + made.attendance >= MANY || !app.index.is_complete().await? {
        reindex_instead(app, |n| progress("index", n)).await?;
    }
    work_off(app, &[Queue::Index], INDEX_PATIENCE).await?;
    Ok(made)
}

/// The same for somebody who wants to look around. The rows are made by the program; the audit trail says who asked for them.
pub async fn demo_make(app: &Arc<App>, call: &Call, plan: &GeneratePlan) -> Result<Generated, AppError> {
    call.require(Role::Admin)?;
    app.audit(call, Deed::new("demo.made", "").with(format!("{} people, {} events", plan.users, plan.events))).await?;
    generate(app, plan, &|_, _| ()).await
}

fn invalid(what: &str, n: u64) -> AppError {
    AppError::Internal(format!("made-up {what} {n} is not valid"))
}

async fn make_users(app: &Arc<App>, plan: &GeneratePlan, progress: Progress<'_>, made: &mut Generated) -> Result<(), AppError> {
    let (seed, users) = (plan.seed, plan.users);
    let size = (USERS_AT_ONCE * CHUNKS) as u64;
    let imports = (0..users.div_ceil(size)).map(|chunk| {
        let app = app.clone();
        async move {
            let people = (chunk * size..((chunk + 1) * size).min(users)).map(|n| {
                let draft = people::person(seed, n).ok_or_else(|| invalid("person", n))?;
                Ok((Some(people::user_id(seed, n)), draft))
            });
            let drafts = people.collect::<Result<Vec<(Option<UserId>, UserDraft)>, AppError>>()?;
            app.users_import(&Call::system(), drafts).await
        }
    });
    let mut answers = stream::iter(imports).buffer_unordered(AT_ONCE);
    while let Some(answers) = answers.try_next().await? {
        for answer in answers {
            match answer {
                Ok(_) => made.users += 1,
                Err(AppError::UserIdTaken | AppError::EmailTaken) => made.already_there += 1,
                Err(error) => return Err(error),
            }
        }
        progress("people", made.users);
    }
    Ok(())
}

async fn make_events(
    app: &Arc<App>,
    plan: &GeneratePlan,
    base: Timestamp,
    sizes: &[u64],
    progress: Progress<'_>,
    made: &mut Generated,
) -> Result<(), AppError> {
    let (seed, users) = (plan.seed, plan.users);
    let mut titles = events::Titles::default();
    let creations = (0..).zip(sizes.to_vec()).map(|(n, size)| {
        let app = app.clone();
        let draft = events::event(seed, n, users, size, base, &mut titles).ok_or_else(|| invalid("event", n));
        async move { event_create(&app, events::event_id(seed, n), draft?).await }
    });
    let mut answers = stream::iter(creations).buffer_unordered(AT_ONCE);
    while let Some(new) = answers.try_next().await? {
        made.events += u64::from(new);
        made.already_there += u64::from(!new);
        progress("events", made.events);
    }
    Ok(())
}

/// False when the event is there already. An event whose slug is another's gets one with its own id in it.
async fn event_create(app: &App, id: EventId, draft: EventDraft) -> Result<bool, AppError> {
    match app.event_create(&Call::system(), Some(id.clone()), draft.clone()).await {
        Ok(_) => Ok(true),
        Err(AppError::EventIdTaken) => Ok(false),
        Err(AppError::SlugTaken) => {
            if app.store.events.get(&id).await?.is_some() {
                return Ok(false);
            }
            let tail: String = id.as_str().chars().rev().take(6).collect();
            let slug = Some(emcrm_model::Slug::from_title(&format!("{} {tail}", draft.title.chars().take(40).collect::<String>()), 0));
            app.event_create(&Call::system(), Some(id), EventDraft { slug, ..draft }).await.map(|_| true)
        }
        Err(error) => Err(error),
    }
}

async fn make_attendances(app: &Arc<App>, plan: &GeneratePlan, sizes: &[u64], progress: Progress<'_>, made: &mut Generated) -> Result<(), AppError> {
    let (seed, users) = (plan.seed, plan.users);
    let chunk = ATTENDANCES_AT_ONCE * CHUNKS;
    let imports = (0..).zip(sizes.to_vec()).flat_map(move |(event, size)| (0..size.div_ceil(chunk as u64)).map(move |part| (event, size, part as usize)));
    let imports = imports.map(|(event, size, part)| {
        let app = app.clone();
        async move {
            let who: Vec<UserId> = events::attendees(seed, event, users, size).skip(part * chunk).take(chunk).map(|n| people::user_id(seed, n)).collect();
            app.attendances_import(&Call::system(), &events::event_id(seed, event), &who, "yes").await
        }
    });
    let mut answers = stream::iter(imports).buffer_unordered(AT_ONCE);
    while let Some(answers) = answers.try_next().await? {
        for answer in answers {
            match answer {
                Ok(()) => made.attendance += 1,
                Err(AppError::AlreadyAttending) => made.already_there += 1,
                Err(AppError::EventFull) => made.refused += 1,
                Err(error) => return Err(error),
            }
        }
        progress("attendances", made.attendance);
    }
    Ok(())
}
