//! Who comes to an event, as people at a desk or a door look at it: by name, with who is here already; and whom one could add.

use std::cmp::Ordering;
use std::collections::HashSet;

use emcrm_model::{EmailAddress, Event, EventId, PageRequest, Position, Role, User, UserId, fold};
use emcrm_search::Kind;
use emcrm_store::Attendances;
use serde::{Deserialize, Serialize};

use crate::search::ListSearch;
use crate::{App, AppError, Attendee, Call};

/// What `attended` says of somebody who has come. Whoever registered has another value: `yes` unless a client said otherwise.
pub const HERE: &str = "here";
/// What `attended` says again when a check-in is taken back.
pub const REGISTERED: &str = "yes";
/// Attendees of an event that are sorted, counted and searched at once. The lists of larger events come in the order of ids, page by page.
pub const WHOLE_MAX: i64 = 3_000;
/// People whom a search offers.
const OFFERED: u32 = 8;

impl Attendee {
    pub fn is_here(&self) -> bool {
        self.attendance.attended == HERE
    }
    /// A name to show, also of somebody without one.
    pub fn name(&self) -> String {
        match &self.user {
            Some(user) => Some(user.full_name()).filter(|name| !name.is_empty()).unwrap_or_else(|| user.email.to_string()),
            None => "Somebody who was deleted".to_owned(),
        }
    }
}

/// Whom a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    #[default]
    All,
    Here,
    Away,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RosterSort {
    #[default]
    Name,
    Company,
    Registered,
}

/// Which part of an event's list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterRequest {
    pub presence: Presence,
    pub sort: RosterSort,
    pub descending: bool,
    /// Words that name, company or address begin with.
    pub q: Option<String>,
    pub page: PageRequest,
}

impl RosterRequest {
    pub fn all(size: u32) -> Self {
        Self { presence: Presence::All, sort: RosterSort::Name, descending: false, q: None, page: PageRequest { position: Position::Number(1), size } }
    }
}

/// A part of an event's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub event: Event,
    pub rows: Vec<Attendee>,
    /// Rows of the whole list that was asked for; none where the event is too large to count them.
    pub total: Option<u64>,
    /// People who are here; none where the event is too large to count them.
    pub here: Option<u64>,
    /// Number of the first of these rows in a whole list, from 1.
    pub first: u64,
    /// Cursor of what is behind these rows; none at the end.
    pub next: Option<String>,
    /// Cursor of what is in front of them; none at the beginning, and in a list that is not whole.
    pub previous: Option<String>,
}

impl Roster {
    /// Sorted, counted and searched as a whole.
    pub fn is_whole(&self) -> bool {
        self.here.is_some()
    }
}

/// What rows are put in order by.
type SortKey = (bool, String, String, String);

/// A place in a whole list: behind a row, or in front of it. So whoever comes or goes while it is paged hides nobody and shows nobody twice. That matters at a
/// door: who is checked in leaves the list of those who are not.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    behind: bool,
    user: UserId,
    /// The row's number when it was shown, from 1: for when it is not on the event's list any more.
    number: usize,
}

impl Mark {
    /// Where a page begins, counted from 0. `row`: what the marked row is put in order by, shown or not.
    fn start(&self, rows: &[Attendee], row: Option<&SortKey>, request: &RosterRequest) -> usize {
        let in_front = |one: &Attendee, row: &SortKey| {
            let order = sort_key(one, request.sort).cmp(row);
            let order = if request.descending { order.reverse() } else { order };
            order == Ordering::Less || (self.behind && order == Ordering::Equal)
        };
        let passed = match row {
            Some(row) => rows.iter().take_while(|one| in_front(one, row)).count(),
            None => self.number.saturating_sub(1),
        };
        if self.behind { passed } else { passed.saturating_sub(request.page.size as usize) }
    }
}

impl App {
    /// The list of an event: whole and sorted while the event is not larger than [`WHOLE_MAX`], else in the order of ids.
    pub async fn roster(&self, call: &Call, event: &EventId, request: RosterRequest) -> Result<Roster, AppError> {
        call.require_event(event)?;
        let event = self.store.events.get(event).await?.ok_or(AppError::EventUnknown)?;
        if event.attendee_count > WHOLE_MAX {
            return self.roster_of_many(call, event, request).await;
        }
        let mut rows = self.roster_whole(&event.id).await?;
        let here = rows.iter().filter(|row| row.is_here()).count() as u64;
        let mark = self.roster_mark(&event.id, &request.page.position);
        let marked = mark.as_ref().and_then(|mark| rows.iter().find(|row| row.attendance.user_id == mark.user)).map(|row| sort_key(row, request.sort));
        match request.presence {
            Presence::All => {}
            Presence::Here => rows.retain(Attendee::is_here),
            Presence::Away => rows.retain(|row| !row.is_here()),
        }
        if let Some(q) = &request.q {
            let words: Vec<String> = fold(q).split_whitespace().map(str::to_owned).collect();
            rows.retain(|row| words.iter().all(|word| row_words(row).any(|have| have.starts_with(word.as_str()))));
        }
        rows.sort_by_cached_key(|row| sort_key(row, request.sort));
        if request.descending {
            rows.reverse();
        }
        let (total, size) = (rows.len(), request.page.size.max(1) as usize);
        let start = match (&mark, &request.page.position) {
            (Some(mark), _) => mark.start(&rows, marked.as_ref(), &request),
            (None, Position::Number(number)) => number.saturating_sub(1) as usize * size,
            (None, Position::Cursor(_)) => 0,
        };
        // People leave the list while it is paged: the last page that there is, then.
        let start = if start < total { start } else { total.saturating_sub(1) / size * size };
        let rows: Vec<Attendee> = rows.into_iter().skip(start).take(size).collect();
        let end = start + rows.len();
        let seal = |behind, row: &Attendee, number| self.cursors.seal(&list_of(&event.id), &Mark { behind, user: row.attendance.user_id.clone(), number });
        let next = rows.last().filter(|_| end < total).map(|row| seal(true, row, end));
        let previous = rows.first().filter(|_| start > 0).map(|row| seal(false, row, start + 1));
        Ok(Roster { event, rows, total: Some(total as u64), here: Some(here), first: start as u64 + 1, next, previous })
    }

    /// The place that a cursor of a whole list stands for.
    fn roster_mark(&self, event: &EventId, position: &Position) -> Option<Mark> {
        match position {
            Position::Number(_) => None,
            Position::Cursor(cursor) => self.cursors.open(&list_of(event), cursor).ok(),
        }
    }

    async fn roster_whole(&self, event: &EventId) -> Result<Vec<Attendee>, AppError> {
        let mut rows = Vec::new();
        let mut after = None;
        // The list may have grown since the event was read; it is still bounded.
        while rows.len() <= 2 * WHOLE_MAX as usize {
            let found = self.store.engine.query(Attendances::of_event(event).limit(1_000).after(after)).await?;
            rows.extend(Attendances::read(found.items)?);
            match found.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let ids: Vec<UserId> = rows.iter().map(|attendance| attendance.user_id.clone()).collect();
        let users = self.store.users.get_many(&ids).await?;
        Ok(rows.into_iter().zip(users).map(|(attendance, user)| Attendee { attendance, user }).collect())
    }

    /// A search goes through the index of people, and keeps those who attend.
    async fn roster_of_many(&self, call: &Call, event: Event, request: RosterRequest) -> Result<Roster, AppError> {
        if let Some(q) = request.q {
            let search = ListSearch { kind: Kind::User, all: Vec::new(), q: Some(q), sort: None };
            let found = self.list_search(search, &PageRequest { position: Position::Number(1), size: PageRequest::SIZE_MAX }).await?;
            let ids: Vec<UserId> = found.items.into_iter().map(UserId::from).collect();
            let keys: Vec<_> = ids.iter().map(|id| emcrm_store::keys::attendance(id, &event.id)).collect();
            let attending = self.store.engine.get_many(emcrm_store::Table::Main, &keys).await?;
            let attendances = Attendances::read(attending.into_iter().flatten().collect())?;
            let ids: Vec<UserId> = attendances.iter().map(|attendance| attendance.user_id.clone()).collect();
            let users = self.store.users.get_many(&ids).await?;
            let rows = attendances.into_iter().zip(users).map(|(attendance, user)| Attendee { attendance, user }).collect();
            return Ok(Roster { event, rows, total: None, here: None, first: 1, next: None, previous: None });
        }
        // A cursor of the list while it was whole leads nowhere in this order.
        let was_whole = self.roster_mark(&event.id, &request.page.position).is_some();
        let page = if was_whole { PageRequest { position: Position::Number(1), ..request.page } } else { request.page };
        let page = self.attendance_of_event(call, &event.id, page, true).await?;
        Ok(Roster { event, rows: page.items, total: Some(page.total), here: None, first: 1, next: page.next, previous: None })
    }

    /// Those of these people who are on the event's list.
    pub async fn attending(&self, call: &Call, event: &EventId, users: &[UserId]) -> Result<HashSet<UserId>, AppError> {
        call.require(Role::Viewer)?;
        let keys: Vec<_> = users.iter().map(|id| emcrm_store::keys::attendance(id, event)).collect();
        let found = self.store.engine.get_many(emcrm_store::Table::Main, &keys).await?;
        Ok(users.iter().zip(found).filter(|(_, item)| item.is_some()).map(|(id, _)| id.clone()).collect())
    }

    /// One row of an event's list.
    pub async fn roster_row(&self, call: &Call, event: &EventId, user: &UserId) -> Result<Attendee, AppError> {
        let attendance = self.attendance_get(call, user, event).await?;
        let user = self.store.users.get(user).await?;
        Ok(Attendee { attendance, user })
    }

    /// People whom somebody may mean by a few letters: who has exactly this address first, then who is found by name, company or address.
    pub async fn user_candidates(&self, call: &Call, text: &str) -> Result<Vec<User>, AppError> {
        call.require(Role::Viewer)?;
        let mut found = Vec::new();
        if let Ok(address) = EmailAddress::parse(text) {
            found.extend(self.store.users.by_email(&address).await?);
        }
        let search = ListSearch { kind: Kind::User, all: Vec::new(), q: Some(text.to_owned()), sort: None };
        let ids = self.list_search(search, &PageRequest { position: Position::Number(1), size: OFFERED }).await?.items;
        let ids: Vec<UserId> = ids.into_iter().map(UserId::from).filter(|id| found.iter().all(|user: &User| user.id != *id)).collect();
        found.extend(self.store.users.get_many(&ids).await?.into_iter().flatten());
        Ok(found)
    }

    /// People by their ids, in this order; none for those who are gone.
    pub async fn user_get_many(&self, call: &Call, ids: &[UserId]) -> Result<Vec<Option<User>>, AppError> {
        call.require(Role::Viewer)?;
        Ok(self.store.users.get_many(ids).await?)
    }
}

/// Names an event's list, for its cursors.
fn list_of(event: &EventId) -> String {
    format!("roster/{event}")
}

fn row_words(row: &Attendee) -> impl Iterator<Item = String> {
    let text = row.user.as_ref().map(|user| fold(&format!("{} {} {}", user.full_name(), user.company.as_deref().unwrap_or_default(), user.email)));
    text.unwrap_or_default().split(|c: char| c.is_whitespace() || c == '-').map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Rows without a value come last; equal ones in the order of names, so that pages do not overlap.
fn sort_key(row: &Attendee, sort: RosterSort) -> SortKey {
    let name = fold(&row.name());
    let first = match sort {
        RosterSort::Name => String::new(),
        RosterSort::Company => row.user.as_ref().and_then(|user| user.company.as_deref()).map(fold).unwrap_or_default(),
        RosterSort::Registered => row.attendance.created_at.clone().unwrap_or_default(),
    };
    let without = match sort {
        RosterSort::Name => row.user.is_none(),
        RosterSort::Company | RosterSort::Registered => first.is_empty(),
    };
    (without, first, name, row.attendance.user_id.to_string())
}
