//! Whom a campaign is for: candidates out of the index of people or off an event's list, and the storage's word on each of them.

use std::time::Duration;

use emcrm_model::{Attendance, Audience, EmailAddress, EventId, Recipients, Role, User, UserId};
use emcrm_search::{Conditions, Kind, conditions_of};
use emcrm_store::{Attendances, CountKind, keys};
use tokio::time::Instant;

use crate::campaigns::same_address;
use crate::roster::HERE;
use crate::{App, AppError, Call};

/// People who are shown of an audience.
pub(super) const FIRST: usize = 10;
/// How long a count waits for changes that do not show yet.
const SETTLE_WAIT: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Rows of an event's list that are read at once.
const ROWS: u32 = 1_000;
/// How long the people on a list are looked at one by one for a count.
const COUNT_TIME: Duration = Duration::from_secs(5);

/// Whom a campaign would reach now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// People who match; at most so many where it is not settled.
    pub total: u64,
    /// Every change that was made before is in the figure, so it is exact.
    pub settled: bool,
    /// The first of them.
    pub people: Vec<User>,
}

impl App {
    /// How many people a campaign would be for, and the first of them.
    pub async fn reach(&self, call: &Call, of: &Recipients) -> Result<Reach, AppError> {
        call.require(Role::Viewer)?;
        let (total, settled) = self.recipients_count(of).await?;
        Ok(Reach { total, settled, people: self.first_of(of, FIRST).await? })
    }

    /// Refuses what nobody would get. Where nobody can say, because changes do not show yet, it is let through.
    pub(super) async fn somebody_matches(&self, of: &Recipients) -> Result<(), AppError> {
        let (count, settled) = self.recipients_count(of).await?;
        if settled && count == 0 { Err(AppError::NoUsersMatch) } else { Ok(()) }
    }

    /// How many match, and whether that is exact.
    pub(super) async fn recipients_count(&self, of: &Recipients) -> Result<(u64, bool), AppError> {
        let (at_most, settled) = self.count_at_most(of).await?;
        if !of.audience.is_of_event() || (of.audience == Audience::Attendees && of.filter.is_empty()) {
            return Ok((at_most, settled));
        }
        let begun = Instant::now();
        let (mut count, mut after) = (0, None);
        loop {
            let ids = self.candidates_walk(of, after.take(), ROWS).await?;
            if ids.is_empty() {
                return Ok((count, settled));
            }
            after = ids.last().cloned();
            let ids: Vec<UserId> = ids.into_iter().map(UserId::from).collect();
            count += self.recipients_among(of, &ids).await?.len() as u64;
            if begun.elapsed() > COUNT_TIME {
                return Ok((at_most, false));
            }
        }
    }

    /// The same without looking at those on a list one by one.
    async fn count_at_most(&self, of: &Recipients) -> Result<(u64, bool), AppError> {
        let settled = self.candidates_settled(of, SETTLE_WAIT).await?;
        let count = match source(of) {
            Source::Index => self.index.count(Kind::User, conditions_of(&of.filter)).await?,
            Source::List(event) => self.store.events.get(event).await?.map_or(0, |event| event.attendee_count.max(0) as u64),
            Source::Nobody => 0,
        };
        Ok((count, settled))
    }

    /// The first who match; fewer where there are no more, or where those on a list take too long to look at.
    pub(super) async fn first_of(&self, of: &Recipients, wanted: usize) -> Result<Vec<User>, AppError> {
        let list = of.audience.is_of_event();
        let at_once = if list { ROWS } else { wanted as u32 };
        let begun = Instant::now();
        let (mut people, mut after) = (Vec::new(), None);
        loop {
            let ids = self.candidates_walk(of, after.take(), at_once).await?;
            let ended = ids.is_empty();
            after = ids.last().cloned();
            let ids: Vec<UserId> = ids.into_iter().map(UserId::from).collect();
            people.extend(self.recipients_among(of, &ids).await?);
            // The index has looked at the filter; on a list, who matches may stand far behind.
            if ended || !list || people.len() >= wanted || begun.elapsed() > COUNT_TIME {
                people.truncate(wanted);
                return Ok(people);
            }
        }
    }

    /// Whether everything that was written before is among the candidates.
    pub(crate) async fn candidates_settled(&self, of: &Recipients, patience: Duration) -> Result<bool, AppError> {
        let event = match source(of) {
            Source::Index => return self.index_settled(patience).await,
            Source::Nobody => return Ok(true),
            Source::List(event) => event,
        };
        let deadline = Instant::now() + patience;
        loop {
            // The event counts in the same transaction that writes the row; an index may show the row later.
            let Some(counted) = self.store.events.get(event).await?.map(|event| event.attendee_count) else { return Ok(true) };
            if self.rows_of(event).await? >= counted {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// That people are missing from the index, though it says that it is whole. `stored`: how many there were before it was settled.
    pub(crate) async fn people_lacking(&self, of: &Recipients, stored: u64) -> Result<Option<String>, AppError> {
        if of.audience.is_of_event() {
            return Ok(None);
        }
        let known = self.index.count(Kind::User, Conditions::default()).await?;
        // Those who were deleted meanwhile are not missing, and those who came meanwhile need not be there yet.
        let lacking = stored.min(self.store.counts.total(CountKind::Users).await?).saturating_sub(known);
        Ok((lacking > 0).then(|| format!("{lacking} of {stored} people are not in the index, so nobody knows whether they match; emcrm reindex makes it anew")))
    }

    async fn rows_of(&self, event: &EventId) -> Result<i64, AppError> {
        let (mut rows, mut after) = (0, None);
        loop {
            let found = self.store.engine.query(Attendances::of_event(event).limit(ROWS).after(after)).await?;
            rows += found.items.len() as i64;
            match found.next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// Ids of those who may be recipients, in order, after this one; none when there are no more.
    pub(crate) async fn candidates_walk(&self, of: &Recipients, after: Option<String>, limit: u32) -> Result<Vec<String>, AppError> {
        match source(of) {
            Source::Index => {
                let mut ids = self.index.walk(Kind::User, conditions_of(&of.filter), after.clone(), limit).await?;
                // An index is not trusted: an id that comes again would be refused by the ledger, again and again, and one that is not after this one would lead
                // the walk in a circle.
                ids.sort_unstable();
                ids.dedup();
                ids.retain(|id| after.as_ref().is_none_or(|after| id > after));
                Ok(ids)
            }
            Source::Nobody => Ok(Vec::new()),
            Source::List(event) => {
                let after = after.map(|id| keys::attendance(&UserId::from(id), event));
                let rows = self.store.engine.query(Attendances::of_event(event).limit(limit).after(after)).await?;
                // By their keys: a row that cannot be read must not end the walk.
                Ok(rows.items.iter().filter_map(|row| row.key.pk.strip_prefix(keys::USER_PREFIX)).map(str::to_owned).collect())
            }
        }
    }

    /// Those of these people who are recipients, as the storage knows them now.
    pub(crate) async fn recipients_among(&self, of: &Recipients, ids: &[UserId]) -> Result<Vec<User>, AppError> {
        let users = self.store.users.get_many(ids).await?;
        let listed = self.listed(of, ids).await?;
        let found = users.into_iter().zip(listed).filter_map(|(user, listed)| user.filter(|user| listed && of.filter.matches(user)));
        Ok(found.collect())
    }

    /// Whose address is another person's: tables that were adopted may hold one twice, and it gets one mail, that of the person who has claimed it.
    pub(crate) async fn share_anothers_address(&self, users: &[User]) -> Result<Vec<bool>, AppError> {
        let addresses: Vec<EmailAddress> = users.iter().map(|user| user.email.clone()).collect();
        let holders = self.store.users.holders(&addresses).await?;
        let others: Vec<Option<UserId>> = users.iter().zip(holders).map(|(user, holder)| holder.filter(|holder| *holder != user.id)).collect();
        let ids: Vec<UserId> = others.iter().flatten().cloned().collect();
        if ids.is_empty() {
            return Ok(vec![false; users.len()]);
        }
        // A claim whose holder is gone, or has another address, is a leftover and keeps nobody from their mail.
        let mut holding = self.store.users.get_many(&ids).await?.into_iter();
        let mut is_anothers = |user: &User| holding.next().flatten().is_some_and(|holder| same_address(&holder, Some(&user.email)));
        Ok(users.iter().zip(&others).map(|(user, other)| other.is_some() && is_anothers(user)).collect())
    }

    /// Who of these people is among whom the filter chooses: everybody, or those on the list.
    pub(crate) async fn listed(&self, of: &Recipients, ids: &[UserId]) -> Result<Vec<bool>, AppError> {
        let event = match source(of) {
            Source::Index => return Ok(vec![true; ids.len()]),
            Source::Nobody => return Ok(vec![false; ids.len()]),
            Source::List(event) => event,
        };
        let rows = self.store.attendances.get_many(ids, event).await?;
        Ok(rows.into_iter().map(|row| row.is_some_and(|attendance| is_meant(of.audience, &attendance))).collect())
    }
}

/// Where candidates come from.
enum Source<'a> {
    Index,
    List(&'a EventId),
    /// A list is asked for and no event is named, which no draft can say. That is never everybody.
    Nobody,
}

fn source(of: &Recipients) -> Source<'_> {
    match (of.audience.is_of_event(), &of.event_id) {
        (false, _) => Source::Index,
        (true, Some(event)) => Source::List(event),
        (true, None) => Source::Nobody,
    }
}

fn is_meant(audience: Audience, attendance: &Attendance) -> bool {
    match audience {
        Audience::People | Audience::Attendees => true,
        Audience::Here => attendance.attended == HERE,
        Audience::Away => attendance.attended != HERE,
    }
}
