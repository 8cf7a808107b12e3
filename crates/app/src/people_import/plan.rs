//! What each row of an import would do, by the people who are stored now.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use emcrm_model::{EmailAddress, EventId, FieldErrors, Role, User, UserDraft, UserId, UserPatch};
use emcrm_store::{Item, Table, keys};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns::{self, Mapping, draft_of, fields_of, patch_of};
use super::{ImportCounts, PeopleImport, Row};
use crate::{App, AppError, Call};

/// What one row does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    /// Adds somebody, with this id, so that a repeat is noticed.
    Create {
        id: UserId,
        body: Value,
    },
    /// Changes somebody, who was like this.
    Change {
        before: Box<User>,
        body: Value,
    },
    Same,
    Faulty,
}

/// What one row does to the event's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    /// Nothing: the row is left out.
    No,
    Already,
    Take(UserId),
}

impl Place {
    pub(super) fn taken(&self) -> Option<&UserId> {
        match self {
            Self::Take(user) => Some(user),
            Self::No | Self::Already => None,
        }
    }
}

/// What some rows do, in their order. Without an event there are no places.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) places: Vec<Place>,
    pub(super) faults: Vec<RowFault>,
}

/// A row that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowFault {
    /// Line of the file, from 1.
    pub line: u64,
    pub cells: Vec<String>,
    pub faults: Vec<String>,
}

/// What an import would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    pub counts: ImportCounts,
    pub faults: Vec<RowFault>,
}

/// Pieces whose people are read at once when somebody looks at an import.
const PIECES_AT_ONCE: u32 = 16;

/// What a row says of whom, or its faults.
type Read = Result<(EmailAddress, UserPatch), Vec<String>>;

/// Rows, and whom they are about as they are now.
struct Known {
    rows: Vec<Row>,
    read: Vec<(Value, Read)>,
    /// Of each row with an address, in their order.
    users: Vec<Option<User>>,
    listed: HashSet<UserId>,
}

/// What is known from the rows before.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Addresses of the file so far, and their lines.
    pub(super) seen: HashMap<String, u64>,
    /// Places of the event that are free; none where it has no limit.
    pub(super) free: Option<i64>,
}

impl App {
    /// What an import would do with this mapping. `most`: rows whose faults are told.
    pub async fn people_import_check(&self, call: &Call, import: &PeopleImport, mapping: &Mapping, most: usize) -> Result<Checked, AppError> {
        call.require(Role::Viewer)?;
        columns::check(mapping)?;
        let mut checked = Checked::default();
        let mut before = Before::default();
        if let Some(event) = &import.event {
            let gone = || FieldErrors::one("event", "value_error", "the event was deleted");
            before.free = self.store.events.get(event).await?.ok_or_else(gone)?.places_left();
        }
        let event = import.event.as_ref();
        let mut first = 0;
        while first < import.pieces {
            let next = import.pieces.min(first + PIECES_AT_ONCE);
            let known = try_join_all((first..next).map(|n| async move {
                let rows = self.import_rows(import, n).await?;
                self.import_known(event, rows, mapping).await
            }));
            for known in known.await? {
                let plan = self.import_plan_of(event, known, &mut before);
                count(&mut checked.counts, &plan.steps, &plan.places);
                checked.counts.registered += plan.places.iter().filter(|place| place.taken().is_some()).count() as u64;
                let room = most.saturating_sub(checked.faults.len());
                checked.faults.extend(plan.faults.into_iter().take(room));
            }
            first = next;
        }
        Ok(checked)
    }

    /// Of each column the first values that are not empty, at most `most`, each once: out of the first rows.
    pub async fn people_import_samples(&self, call: &Call, import: &PeopleImport, most: usize) -> Result<Vec<Vec<String>>, AppError> {
        call.require(Role::Viewer)?;
        let rows = if import.pieces == 0 { Vec::new() } else { self.import_rows(import, 0).await? };
        let mut samples: Vec<Vec<String>> = vec![Vec::new(); import.header.len()];
        for Row(_, cells) in &rows {
            for (sample, cell) in samples.iter_mut().zip(cells) {
                let cell = cell.trim();
                if sample.len() < most && !cell.is_empty() && sample.iter().all(|have| have != cell) {
                    sample.push(cell.to_owned());
                }
            }
        }
        Ok(samples)
    }

    pub(super) async fn import_rows(&self, import: &PeopleImport, n: u32) -> Result<Vec<Row>, AppError> {
        self.import_content(&keys::people_import_rows(&import.id, n)).await?.ok_or(AppError::NothingThere("The rows of this import are gone"))
    }

    pub(super) async fn import_content<T: serde::de::DeserializeOwned>(&self, key: &emcrm_store::Key) -> Result<Option<T>, AppError> {
        self.store.engine.get(Table::Main, key).await?.as_ref().map(content_of).transpose()
    }

    /// What some rows do. `event`: whose list the people are put on.
    pub(super) async fn import_plan(&self, event: Option<&EventId>, rows: Vec<Row>, mapping: &Mapping, before: &mut Before) -> Result<Plan, AppError> {
        let known = self.import_known(event, rows, mapping).await?;
        Ok(self.import_plan_of(event, known, before))
    }

    /// Reads whom rows are about. Of no row it matters what others say, so many can be asked at once.
    async fn import_known(&self, event: Option<&EventId>, rows: Vec<Row>, mapping: &Mapping) -> Result<Known, AppError> {
        let read: Vec<_> = rows
            .iter()
            .map(|Row(_, cells)| {
                let body = fields_of(cells, mapping);
                let row = patch_of(&body).and_then(|patch| match patch.email.clone() {
                    Some(email) => Ok((email, patch)),
                    None => Err(vec!["email: is needed".to_owned()]),
                });
                (body, row)
            })
            .collect();
        let addresses: Vec<EmailAddress> = read.iter().filter_map(|(_, row)| row.as_ref().ok().map(|(email, _)| email.clone())).collect();
        let users = self.users_by_address(&addresses).await?;
        let listed = match event {
            Some(event) => {
                let ids: Vec<UserId> = users.iter().flatten().map(|user| user.id.clone()).collect();
                self.attending(&Call::system(), event, &ids).await?
            }
            None => HashSet::new(),
        };
        Ok(Known { rows, read, users, listed })
    }

    fn import_plan_of(&self, event: Option<&EventId>, known: Known, before: &mut Before) -> Plan {
        let Known { rows, read, users, listed } = known;
        let mut users = users.into_iter();
        let mut plan = Plan::default();
        for (Row(line, cells), (body, row)) in rows.into_iter().zip(read) {
            let row = row.and_then(|(email, patch)| {
                let user = users.next().flatten();
                match before.seen.entry(email.normalised().to_owned()) {
                    Entry::Occupied(earlier) => Err(vec![format!("email: the same address is in line {} already", earlier.get())]),
                    Entry::Vacant(free) => {
                        free.insert(line);
                        Ok((user, patch))
                    }
                }
            });
            let step = match row {
                Err(why) => Err(why),
                Ok((user, patch)) => match user {
                    Some(user) if patch.clone().apply(UserDraft::of(&user)) == UserDraft::of(&user) => Ok((user.id, Step::Same)),
                    Some(user) => Ok((user.id.clone(), Step::Change { before: Box::new(user), body })),
                    None => draft_of(&body).map(|_| {
                        let id = UserId::from(self.ids.random());
                        (id.clone(), Step::Create { id, body })
                    }),
                },
            };
            let placed = step.and_then(|(user, step)| {
                let place = if event.is_none() {
                    Place::No
                } else if listed.contains(&user) {
                    Place::Already
                } else {
                    match &mut before.free {
                        // Nobody is made or changed for a place that there is not.
                        Some(free) if *free <= 0 => return Err(vec!["All places are taken".to_owned()]),
                        Some(free) => *free -= 1,
                        None => {}
                    }
                    Place::Take(user)
                };
                Ok((step, place))
            });
            let (step, place) = placed.unwrap_or_else(|why| {
                plan.faults.push(RowFault { line, cells, faults: why });
                (Step::Faulty, Place::No)
            });
            plan.steps.push(step);
            if event.is_some() {
                plan.places.push(place);
            }
        }
        plan
    }

    /// Whom addresses belong to, in their order.
    async fn users_by_address(&self, addresses: &[EmailAddress]) -> Result<Vec<Option<User>>, AppError> {
        let ids = self.store.users.holders(addresses).await?;
        let wanted: Vec<UserId> = ids.iter().flatten().cloned().collect();
        let mut users = self.store.users.get_many(&wanted).await?.into_iter();
        Ok(ids.into_iter().map(|id| id.and_then(|_| users.next().flatten())).collect())
    }
}

/// What a piece holds.
pub(super) fn content_of<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, AppError> {
    let text = item.attrs.get("content").and_then(Value::as_str).unwrap_or_default();
    serde_json::from_str(text).map_err(|error| AppError::Internal(format!("a piece of an import: {error}")))
}

/// All but who was put on the list, which is known when it is done.
pub(super) fn count(counts: &mut ImportCounts, steps: &[Step], places: &[Place]) {
    counts.already += places.iter().filter(|place| matches!(place, Place::Already)).count() as u64;
    for step in steps {
        match step {
            Step::Create { .. } => counts.created += 1,
            Step::Change { .. } => counts.changed += 1,
            Step::Same => counts.same += 1,
            Step::Faulty => counts.faulty += 1,
        }
    }
}
